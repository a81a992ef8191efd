//! bind(2): no process of the node may take a NodePort, for it would never be reached there (NP-01).

use aya_ebpf::{helpers::generated::bpf_get_netns_cookie, programs::SockContext};
use lb_common::{Addr, Counter, FrontendKey, Port, Proto};

use crate::{
    config, maps,
    verdict::{ALLOW, refuse},
};

/// After bind(2), explicit or by `listen` and port 0: one hash lookup unless the port is a NodePort.
#[inline(always)]
pub fn post_bind(ctx: &SockContext, addr: Addr) -> i32 {
    // SAFETY: a word of the context.
    let proto = unsafe { (&raw const (*ctx.sock).protocol).read_volatile() };
    // SAFETY: a word of the context; host order, unlike other ports (`struct bpf_sock`).
    let port = Port::new(unsafe { (&raw const (*ctx.sock).src_port).read_volatile() } as u16);
    let proto = Proto::from_number(proto as u8);
    if maps::lookup_frontend(&FrontendKey::port_guard(port, proto)).is_none() {
        return ALLOW;
    }
    // SAFETY: the context is this program's own.
    if !config::is_node(unsafe { bpf_get_netns_cookie(ctx.sock.cast()) }) {
        return ALLOW;
    }
    if !addr.is_any_host() {
        let addr = if addr.is_own_host() { addr.loopback() } else { addr };
        if maps::lookup_frontend(&FrontendKey::new(addr, port, proto)).is_none() {
            return ALLOW;
        }
    }
    refuse(ctx, Counter::NodePortTaken)
}

/// The address bound, of an IPv4 socket.
#[inline(always)]
pub fn address_v4(ctx: &SockContext) -> Addr {
    // SAFETY: a word of the context.
    Addr::from_v4_word(unsafe { (&raw const (*ctx.sock).src_ip4).read_volatile() })
}

/// The address bound, of an IPv6 socket.
#[inline(always)]
pub fn address_v6(ctx: &SockContext) -> Addr {
    // SAFETY: words of the context.
    unsafe {
        Addr::from_words([
            (&raw const (*ctx.sock).src_ip6[0]).read_volatile(),
            (&raw const (*ctx.sock).src_ip6[1]).read_volatile(),
            (&raw const (*ctx.sock).src_ip6[2]).read_volatile(),
            (&raw const (*ctx.sock).src_ip6[3]).read_volatile(),
        ])
    }
}
