//! The socket hooks: a dial is rewritten once, before there is a packet; the way back is shown as dialled.

use aya_ebpf::programs::SockAddrContext;
use lb_common::{
    Addr, BackendFlags, Counter, Dialled, Frontend, FrontendFlags, Port, SocketDirection, SocketFlow, SocketFlowKey,
};

use super::sock_addr::{self, Form};
pub use super::sock_addr::{V4, V6};
use crate::{
    maps,
    service::{affinity::now_ns, choose, lookup},
    verdict::{ALLOW, refuse},
};

/// connect(2): to a frontend → to one of its backends, remembered in the socket.
#[inline(always)]
pub fn connect<F: Form>(ctx: &SockAddrContext) -> i32 {
    let Some(proto) = sock_addr::proto(ctx) else {
        return ALLOW;
    };
    let (addr, port, netns) = (F::addr(ctx), sock_addr::port(ctx), sock_addr::netns(ctx));
    let frontend = match lookup::lookup_from_socket(netns, addr, port, proto) {
        lookup::Found::Frontend(frontend) => frontend,
        lookup::Found::Refused(reason) => return refuse(ctx, reason),
        lookup::Found::NotOurs => {
            // A socket may dial again: what it dialled before is no longer its peer.
            if let Some(dialled) = maps::lookup_dialled(ctx) {
                *dialled = Dialled::NONE;
            }
            return ALLOW;
        }
    };
    let flow = match choose_flow(&frontend, netns) {
        Ok(flow) => flow,
        Err(reason) => return refuse(ctx, reason),
    };
    if !maps::record_dialled(ctx, Dialled::connected(addr, port, flow)) {
        maps::count(Counter::NotRemembered);
    }
    rewrite::<F>(ctx, &flow);
    maps::count(Counter::SocketConnect);
    ALLOW
}

/// sendto(2), sendmsg(2) with an address: as connect(2), for one datagram; those that follow to the same
/// frontend go to the same backend for as long as it serves (LBA-02, LBA-03).
#[inline(always)]
pub fn send<F: Form>(ctx: &SockAddrContext) -> i32 {
    let Some(proto) = sock_addr::proto(ctx) else {
        return ALLOW;
    };
    let (addr, port, netns) = (F::addr(ctx), sock_addr::port(ctx), sock_addr::netns(ctx));
    let frontend = match lookup::lookup_from_socket(netns, addr, port, proto) {
        lookup::Found::Frontend(frontend) => frontend,
        lookup::Found::Refused(reason) => return refuse(ctx, reason),
        lookup::Found::NotOurs => return ALLOW,
    };
    let flow = match flow_of_datagram(ctx, &frontend, addr, port, netns) {
        Ok(flow) => flow,
        Err(reason) => return refuse(ctx, reason),
    };
    rewrite::<F>(ctx, &flow);
    maps::count(Counter::SocketSend);
    ALLOW
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
    let choice = choose::choose(frontend.service(), local, netns)?;
    let backend = choice.backend;
    Ok(SocketFlow::new(backend.addr(), backend.port(), choice.id, backend.generation(), now_ns()))
}

/// The flow that a datagram to a frontend belongs to: the one in use, or a new one.
///
/// The first Service that a socket speaks to is kept in the socket's storage, further ones in `SOCKET_FLOWS`.
#[inline(always)]
fn flow_of_datagram(
    ctx: &SockAddrContext,
    frontend: &Frontend,
    addr: Addr,
    port: Port,
    netns: u64,
) -> Result<SocketFlow, Counter> {
    let dialled = maps::lookup_dialled(ctx);
    let first = dialled.as_ref().is_none_or(|dialled| dialled.is_none() || dialled.is_datagram_to(addr, port));
    let now = now_ns();
    let to_backend = SocketFlowKey::new(sock_addr::cookie(ctx), addr, port, SocketDirection::ToBackend);
    let known = if first {
        dialled.as_ref().filter(|dialled| !dialled.is_none()).map(|dialled| *dialled.to_backend())
    } else {
        maps::lookup_socket_flow(&to_backend)
    };
    let flow = match known.filter(|flow| is_in_use(flow, frontend, now)) {
        Some(flow) if !flow.wants_refresh(now) => return Ok(flow),
        Some(flow) => SocketFlow::new(flow.addr(), flow.port(), flow.backend(), flow.generation(), now),
        None => choose_flow(frontend, netns)?,
    };
    let recorded = if first {
        maps::record_dialled(ctx, Dialled::datagram(addr, port, flow))
    } else {
        record_both(ctx, addr, port, &to_backend, &flow, now)
    };
    if !recorded {
        maps::count(Counter::NotRemembered);
    }
    Ok(flow)
}

/// Writes both halves of a further translation: what the socket names, and what it hears.
#[inline(always)]
fn record_both(
    ctx: &SockAddrContext,
    addr: Addr,
    port: Port,
    to_backend: &SocketFlowKey,
    flow: &SocketFlow,
    now: u64,
) -> bool {
    let to_frontend =
        SocketFlowKey::new(sock_addr::cookie(ctx), flow.addr(), flow.port(), SocketDirection::ToFrontend);
    let back = SocketFlow::new(addr, port, flow.backend(), flow.generation(), now);
    maps::record_socket_flow(&to_frontend, &back) && maps::record_socket_flow(to_backend, flow)
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

/// Sends to the backend instead.
#[inline(always)]
fn rewrite<F: Form>(ctx: &SockAddrContext, flow: &SocketFlow) {
    show::<F>(ctx, flow.addr(), flow.port());
}

/// Puts an address and a port in the context.
#[inline(always)]
fn show<F: Form>(ctx: &SockAddrContext, addr: Addr, port: Port) {
    F::set_addr(ctx, addr);
    sock_addr::set_port(ctx, port);
}
