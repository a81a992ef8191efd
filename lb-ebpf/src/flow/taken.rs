//! Sources that are taken: by a socket of the node, which keeps its own, or by a flow, which may have to give one up.
//!
//! Where many are taken, one is given up for the new one. First choice is the port of a connection that both
//! sides have closed: it is kept for what comes late, but connections that come and go by the thousand a second
//! would take all ports with them for as long. Else the oldest found of those that only one side was heard of:
//! a flood of openings takes the ports of its own kind alone, and a flow in its handshake is younger than most.

use aya_ebpf::{
    bindings::bpf_sock,
    helpers::generated::{bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp},
};
use lb_common::{FlowKey, Moment, Proto};

use crate::{maps::flows, skb::Skb, work::Work};

/// Gives the source of the connection that was closed first to this flow. Of two processors that want it, the
/// one that removes it has it.
#[inline(always)]
pub fn take_closed(work: &mut Work) -> bool {
    let Work { search, reverse, to, .. } = work;
    if search.closed_last == Moment::NEVER {
        return false;
    }
    let Some(other) = flows::lookup_assured(&search.closed) else {
        return false;
    };
    search.answer = search.closed.counterpart(other);
    if !flows::remove_assured(&search.closed) {
        return false;
    }
    flows::remove_assured(&search.answer);
    *to = search.closed.reversed();
    flows::insert_new(&search.closed, reverse)
}

/// Gives the oldest source found to this flow; its own is over. Of two processors that want it, the one that
/// removes it has it.
#[inline(always)]
pub fn take_over(work: &mut Work) -> bool {
    let Work { search, reverse, to, .. } = work;
    if search.oldest_created == Moment::NEVER {
        return false;
    }
    let Some(other) = flows::lookup_new(&search.oldest) else {
        return false;
    };
    search.answer = search.oldest.counterpart(other);
    if !flows::remove_new(&search.oldest) {
        return false;
    }
    flows::remove_new(&search.answer);
    *to = search.oldest.reversed();
    flows::insert_new(&search.oldest, reverse)
}

/// Whether a packet of this tuple would reach a socket of the node.
#[inline(always)]
pub fn is_socket(packet: Skb, answer: &FlowKey) -> bool {
    const OWN_NETNS: u64 = u64::MAX;
    let [a, b] = answer.sport().wire().to_ne_bytes();
    let [c, d] = answer.dport().wire().to_ne_bytes();
    let ports = u32::from_ne_bytes([a, b, c, d]);
    let [src, dst] = [answer.src().words(), answer.dst().words()];
    // `struct bpf_sock_tuple`: addresses, then ports, of one family or the other.
    let mut tuple = [src[0], src[1], src[2], src[3], dst[0], dst[1], dst[2], dst[3], ports];
    let mut len = 36;
    if answer.src().is_v4() {
        tuple[0] = src[3];
        tuple[1] = dst[3];
        tuple[2] = ports;
        len = 12;
    }
    let (ctx, tuple) = (packet.ctx().cast(), (&raw mut tuple).cast());
    let socket: *mut bpf_sock = match answer.proto() {
        // SAFETY: the context is this program's own, the tuple is whole in either family.
        Proto::TCP => unsafe { bpf_skc_lookup_tcp(ctx, tuple, len, OWN_NETNS, 0) },
        // SAFETY: as above.
        Proto::UDP => unsafe { bpf_sk_lookup_udp(ctx, tuple, len, OWN_NETNS, 0) },
        _ => return false,
    };
    if socket.is_null() {
        return false;
    }
    // SAFETY: found, and so held, by the lookup.
    unsafe { bpf_sk_release(socket.cast()) };
    true
}
