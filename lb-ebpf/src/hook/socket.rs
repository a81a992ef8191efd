//! The socket hooks: a dial is rewritten once, before there is a packet; the way back is shown as dialled.

use aya_ebpf::programs::SockAddrContext;
use lb_common::{
    Addr, BackendFlags, Counter, Dialled, Frontend, FrontendFlags, Port, SocketDirection, SocketFlow,
    SocketFlowKey,
};

use super::sock_addr::{self, Form};
pub use super::sock_addr::{V4, V6};
use crate::{
    maps,
    service::{
        affinity::{Client, now_ns},
        choose, lookup,
    },
    verdict::{ALLOW, refuse},
};

/// A dial of a frontend.
struct Dial {
    frontend: Frontend,
    addr: Addr,
    port: Port,
    /// The network namespace of the socket: who dials.
    netns: u64,
}

/// connect(2): to a frontend → to one of its backends, remembered in the socket.
#[inline(always)]
pub fn connect<F: Form>(ctx: &SockAddrContext) -> i32 {
    let not_ours = || {
        // A socket may dial again: what it dialled before is no longer its peer.
        if let Some(dialled) = maps::lookup_dialled(ctx) {
            *dialled = Dialled::NONE;
        }
    };
    rewrite::<F>(ctx, Counter::SocketConnect, not_ours, |dial| {
        let flow = choose_flow(&dial.frontend, dial.netns)?;
        if !maps::record_dialled(ctx, Dialled::connected(dial.addr, dial.port, flow)) {
            maps::count(Counter::NotRemembered);
        }
        Ok(flow)
    })
}

/// sendto(2), sendmsg(2) with an address: as connect(2), for one datagram; those that follow to the same
/// frontend go to the same backend for as long as it serves (LBA-02, LBA-03).
#[inline(always)]
pub fn send<F: Form>(ctx: &SockAddrContext) -> i32 {
    rewrite::<F>(ctx, Counter::SocketSend, || {}, |dial| flow_of_datagram(ctx, &dial))
}

/// Puts the backend that `flow` decides on in place of a frontend, counts it as `done`, or refuses; what is
/// not a Service's stays as it is.
#[inline(always)]
fn rewrite<F: Form>(
    ctx: &SockAddrContext,
    done: Counter,
    not_ours: impl FnOnce(),
    flow: impl FnOnce(Dial) -> Result<SocketFlow, Counter>,
) -> i32 {
    let Some(proto) = sock_addr::proto(ctx) else {
        return ALLOW;
    };
    let (addr, port, netns) = (F::addr(ctx), sock_addr::port(ctx), sock_addr::netns(ctx));
    let flow = match lookup::lookup_from_socket(netns, addr, port, proto) {
        lookup::Found::Frontend(frontend) => flow(Dial { frontend, addr, port, netns }),
        lookup::Found::Refused(reason) => Err(reason),
        lookup::Found::NotOurs => {
            not_ours();
            return ALLOW;
        }
    };
    match flow {
        Ok(flow) => {
            show::<F>(ctx, flow.addr(), flow.port());
            maps::count(done);
            ALLOW
        }
        Err(reason) => refuse(ctx, reason),
    }
}

/// recvfrom(2), recvmsg(2): an answer of a backend is shown as the frontend's (KRN-08).
#[inline(always)]
pub fn receive<F: Form>(ctx: &SockAddrContext) -> i32 {
    // A socket that never spoke to a Service has no storage: most are done here.
    let Some(dialled) = maps::lookup_dialled(ctx) else {
        return ALLOW;
    };
    let (addr, port) = (F::addr(ctx), sock_addr::port(ctx));
    if dialled.is_answered_by(addr, port) {
        show::<F>(ctx, dialled.frontend(), dialled.frontend_port());
        maps::count(Counter::SocketReceive);
        return ALLOW;
    }
    let key = SocketFlowKey::new(sock_addr::cookie(ctx), addr, port, SocketDirection::ToFrontend);
    if let Some(to_frontend) = maps::lookup_socket_flow(&key) {
        show::<F>(ctx, to_frontend.addr(), to_frontend.port());
        maps::count(Counter::SocketReceive);
    }
    ALLOW
}

/// getpeername(2): the peer of a rewritten dial is shown as dialled (KRN-07).
#[inline(always)]
pub fn peer_name<F: Form>(ctx: &SockAddrContext) -> i32 {
    if let Some(dialled) = maps::lookup_dialled(ctx)
        && dialled.is_answered_by(F::addr(ctx), sock_addr::port(ctx))
    {
        show::<F>(ctx, dialled.frontend(), dialled.frontend_port());
        maps::count(Counter::SocketPeerName);
    }
    ALLOW
}

/// A new flow to a backend of a frontend.
#[inline(always)]
fn choose_flow(frontend: &Frontend, netns: u64) -> Result<SocketFlow, Counter> {
    let local = frontend.flags().has(FrontendFlags::INSIDE_LOCAL);
    let choice = choose::choose(frontend.service(), local, &Client::Namespace(netns))?;
    let backend = choice.backend;
    Ok(SocketFlow::new(backend.addr(), backend.port(), choice.id, backend.generation(), now_ns()))
}

/// The flow that a datagram to a frontend belongs to: the one in use, or a new one.
///
/// The first Service that a socket speaks to is kept in the socket's storage, further ones in `SOCKET_FLOWS`.
#[inline(always)]
fn flow_of_datagram(ctx: &SockAddrContext, dial: &Dial) -> Result<SocketFlow, Counter> {
    let now = now_ns();
    let known = match maps::lookup_dialled(ctx) {
        Some(dialled) if !dialled.is_none() && !dialled.is_datagram_to(dial.addr, dial.port) => {
            return flow_of_further(ctx, dialled, dial);
        }
        Some(dialled) if !dialled.is_none() => Some(*dialled.to_backend()),
        _ => None,
    };
    let flow = match known.filter(|flow| is_in_use(flow, &dial.frontend, now)) {
        Some(flow) if !flow.wants_refresh(now) => return Ok(flow),
        Some(flow) => flow.at(now),
        None => choose_flow(&dial.frontend, dial.netns)?,
    };
    if !maps::record_dialled(ctx, Dialled::datagram(dial.addr, dial.port, flow)) {
        maps::count(Counter::NotRemembered);
    }
    Ok(flow)
}

/// The same for a Service that is not the one in the socket's storage.
#[inline(always)]
fn flow_of_further(ctx: &SockAddrContext, dialled: &mut Dialled, dial: &Dial) -> Result<SocketFlow, Counter> {
    let (now, cookie) = (now_ns(), sock_addr::cookie(ctx));
    let key = SocketFlowKey::new(cookie, dial.addr, dial.port, SocketDirection::ToBackend);
    let known = maps::lookup_socket_flow(&key);
    let flow = match known.filter(|flow| is_in_use(flow, &dial.frontend, now)) {
        Some(flow) => flow.at(now),
        None => choose_flow(&dial.frontend, dial.netns)?,
    };
    // Written with every datagram: where two Services of one socket have one backend, its answers are shown
    // as those of the one that was named last.
    let recorded = if dialled.is_datagram() && dialled.is_answered_by(flow.addr(), flow.port()) {
        let displaced = *dialled;
        *dialled = Dialled::datagram(dial.addr, dial.port, flow);
        record_both(cookie, displaced.frontend(), displaced.frontend_port(), displaced.to_backend())
    } else {
        record_both(cookie, dial.addr, dial.port, &flow)
    };
    if !recorded {
        maps::count(Counter::NotRemembered);
    }
    Ok(flow)
}

/// Writes both halves of a further translation: what the socket names, and what it hears.
#[inline(always)]
fn record_both(cookie: u64, addr: Addr, port: Port, flow: &SocketFlow) -> bool {
    let to_backend = SocketFlowKey::new(cookie, addr, port, SocketDirection::ToBackend);
    let to_frontend = SocketFlowKey::new(cookie, flow.addr(), flow.port(), SocketDirection::ToFrontend);
    maps::record_socket_flow(&to_frontend, &flow.back_to(addr, port))
        && maps::record_socket_flow(&to_backend, flow)
}

/// Whether a flow goes on: a datagram of late, to a backend that still serves this Service (CT-01).
#[inline(always)]
fn is_in_use(flow: &SocketFlow, frontend: &Frontend, now: u64) -> bool {
    !flow.is_expired(now)
        && maps::lookup_backend(flow.backend()).is_some_and(|backend| {
            backend.generation() == flow.generation()
                && backend.service() == frontend.service()
                && !backend.flags().has(BackendFlags::GONE)
        })
}

/// Puts an address and a port in the context.
#[inline(always)]
fn show<F: Form>(ctx: &SockAddrContext, addr: Addr, port: Port) {
    F::set_addr(ctx, addr);
    sock_addr::set_port(ctx, port);
}
