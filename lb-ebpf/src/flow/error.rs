//! ICMP errors about packets of flows (KRN-02).

use lb_common::{
    Counter, FilterBit, Flow, FlowKey, FrontendKey,
    packet::{
        Headers,
        icmp::{self, Quoted},
    },
};

use super::{lookup, may_be_masqueraded};
use crate::{
    maps, route,
    skb::Skb,
    verdict::{PASS, drop},
};

/// An error that comes in: about an answer that was sent to a client, or about a packet that was masqueraded.
#[inline(never)]
pub fn arrive(packet: &mut Skb, headers: &Headers) -> i32 {
    let Some(quoted) = icmp::quoted(packet, headers) else {
        return PASS;
    };
    let answer = quoted.tuple.reversed();
    let frontend = FrontendKey::new(answer.dst(), answer.dport(), answer.proto());
    if !maps::is_in_filter(FilterBit::frontend(&frontend)) && !may_be_masqueraded(&answer) {
        return PASS;
    }
    match lookup(&answer) {
        Some(flow) => deliver(packet, headers, &quoted, flow, &answer),
        None => PASS,
    }
}

/// An error that goes out: of a backend of this node, or of the node itself, about a packet of a client.
#[inline(never)]
pub fn leave(packet: &mut Skb, headers: &Headers) -> i32 {
    let Some(quoted) = icmp::quoted(packet, headers) else {
        return PASS;
    };
    let answer = quoted.tuple.reversed();
    if !maps::is_in_filter(FilterBit::backend(answer.src(), answer.sport(), answer.proto())) {
        return PASS;
    }
    match lookup(&answer) {
        Some(flow) if flow.is_reverse() && !flow.is_masqueraded() => {
            deliver(packet, headers, &quoted, flow, &answer)
        }
        _ => PASS,
    }
}

/// Rewrites an error and sends it on. To a client it comes from the frontend, whoever found the fault, for no
/// other address of ours is known to it. To a masqueraded backend it comes from the node.
#[inline(always)]
fn deliver(packet: &mut Skb, headers: &Headers, quoted: &Quoted, flow: &Flow, answer: &FlowKey) -> i32 {
    let to = flow.rewritten(answer.proto());
    let (masqueraded, reverse) = (flow.is_masqueraded(), flow.is_reverse());
    let src = if masqueraded || reverse { to.src() } else { headers.tuple.src() };
    if masqueraded {
        return route::send_error(packet, headers, quoted, &to, src);
    }
    match icmp::rewrite(packet, headers, quoted, &to, src) {
        Some(()) => {
            maps::count(Counter::IcmpError);
            PASS
        }
        None => drop(Counter::Malformed),
    }
}
