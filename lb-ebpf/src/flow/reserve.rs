//! A source for what a backend is sent: one that no other flow to it has.
//!
//! The reverse entry of a flow is its reservation: inserting it where none is *is* the allocation, so that two
//! processors never give one port away twice, and no port is taken without the entry that answers need.

use aya_ebpf::{
    bindings::bpf_sock,
    helpers::{
        bpf_get_prandom_u32,
        generated::{bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp},
    },
};
use lb_common::{Flow, FlowKey, Port, Proto, select::pick};

use crate::{maps, maps::flows, skb::Skb};

/// How many ports are tried. With nine of ten taken, one flow in 700,000 finds none of this many free.
const PROBES: u32 = 128;

/// Where ports begin for clients that keep their address but can't keep their port.
const FIRST_UNPRIVILEGED: u32 = 1024;

/// Reserves the source of `to`, changing its port where that must be, by inserting `reverse`. False where no
/// port is free.
///
/// A client that keeps its address keeps its port too, unless it has another flow to the same backend by that
/// port already: one client, two frontends, one backend.
#[inline(never)]
pub fn reserve(packet: &Skb, key: &FlowKey, to: &mut FlowKey, reverse: &Flow) -> bool {
    let masqueraded = reverse.is_masqueraded();
    let Some(node) = maps::node() else {
        return false;
    };
    let count = if masqueraded { node.port_count() } else { 65_536 - FIRST_UNPRIVILEGED };
    // SAFETY: a helper call without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    let mut number = pick(random, count);
    // Odd, so that rounds don't meet each other's steps; small, so that one step never laps the range.
    let stride = (random & 0x1ff) | 1;
    if count <= stride {
        return false;
    }
    for round in 0..PROBES {
        if masqueraded || round > 0 {
            let port =
                if masqueraded { node.port(number) } else { Port::new((FIRST_UNPRIVILEGED + number) as u16) };
            *to = FlowKey::new(to.src(), port, to.dst(), to.dport(), to.proto());
            number += stride;
            if number >= count {
                number -= count;
            }
        }
        let answer = to.reversed();
        if flows::lookup_assured(&answer).is_some_and(|flow| answer.counterpart(flow) != *key) {
            continue;
        }
        if masqueraded && is_socket(packet, &answer) {
            continue;
        }
        if flows::insert_new(&answer, reverse) {
            return true;
        }
        // Taken: by a packet of this very flow?
        if !masqueraded && flows::lookup_new(&answer).is_some_and(|flow| answer.counterpart(flow) == *key) {
            return true;
        }
    }
    false
}

/// Whether a packet of this tuple would reach a socket of the node.
#[inline(always)]
fn is_socket(packet: &Skb, answer: &FlowKey) -> bool {
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
    let (ctx, tuple) = (packet.ctx().skb.skb.cast(), (&raw mut tuple).cast());
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
