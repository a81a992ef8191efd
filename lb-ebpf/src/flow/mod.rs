//! Packets of flows that are known: each is rewritten as its entry says. One hash lookup where the flow is
//! assured.

pub mod error;
pub mod fragment;
pub mod open;
mod reserve;

use lb_common::{
    BackendFlags, Counter, FilterBit, Flow, FlowFlags, FlowKey, FlowState, Moment, Proto, Seen,
    flow_state::is_assured,
    packet::{Headers, Part, rewrite},
};

use crate::{
    maps::{self, flows},
    route,
    skb::Skb,
    verdict::{PASS, drop},
};

/// Whether a packet of this tuple may be an answer to a masqueraded one.
#[inline(always)]
pub fn may_be_masqueraded(key: &FlowKey) -> bool {
    maps::node().is_some_and(|node| node.is_masquerade_port(key.dport()))
        && maps::is_in_filter(FilterBit::node_address(key.dst()))
}

/// Sends a packet that comes in the way of its flow; `None` where it has none, or one to be begun anew.
#[inline(always)]
pub fn follow(packet: &mut Skb, headers: &Headers) -> Option<i32> {
    let (key, seen, now) = (&headers.tuple, headers.seen(), flows::now());
    if let Some(flow) = flows::lookup_assured(key) {
        if is_stale(key, flow) || (seen.has(Seen::OPEN) && is_over(key, flow)) {
            return None;
        }
        flow.touch(seen, now);
        let (to, flags) = (flow.rewritten(key.proto()), flow.flags());
        return Some(deliver(packet, headers, &to, flags));
    }
    // One that opens a flow is not looked for here: it is found where it would be made.
    if seen.has(Seen::OPEN) {
        return None;
    }
    let flow = flows::lookup_new(key)?;
    if is_stale(key, flow) {
        flows::remove_new(key);
        return None;
    }
    let (to, flags) = (flow.rewritten(key.proto()), flow.flags());
    if flow.touch(seen, now) || !flow.seen().has(Seen::NO_ROOM) {
        settle(key, flow, now);
    }
    Some(deliver(packet, headers, &to, flags))
}

/// Sends a packet that goes out the way of its flow, where it is the answer of one not masqueraded.
#[inline(always)]
pub fn follow_back(packet: &mut Skb, headers: &Headers) -> Option<i32> {
    let key = &headers.tuple;
    let flow = lookup(key)?;
    if !flow.is_reverse() || flow.is_masqueraded() {
        return None;
    }
    flow.touch(headers.seen(), flows::now());
    let (to, flags) = (flow.rewritten(key.proto()), flow.flags());
    Some(deliver(packet, headers, &to, flags))
}

/// The entry of a tuple, in either table.
#[inline(always)]
pub fn lookup(key: &FlowKey) -> Option<&'static mut Flow> {
    match flows::lookup_assured(key) {
        Some(flow) => Some(flow),
        None => flows::lookup_new(key),
    }
}

/// Rewrites a packet and sends it on: a masqueraded one from here, for the stack would take the node's own
/// address on it for a forgery; another one up or down the stack.
#[inline(always)]
pub fn deliver(packet: &mut Skb, headers: &Headers, to: &FlowKey, flags: FlowFlags) -> i32 {
    let counter = if flags.has(FlowFlags::REVERSE) { Counter::TcReply } else { Counter::TcForward };
    if headers.part == Part::First {
        fragment::record(headers);
    }
    if flags.has(FlowFlags::MASQUERADED) {
        return route::send(packet, headers, to, counter);
    }
    match rewrite::rewrite(packet, headers, to) {
        Some(()) => {
            maps::count(counter);
            PASS
        }
        None => drop(Counter::Malformed),
    }
}

/// Whether a datagram's flow leads to a backend that is gone (CT-01). TCP is left to end by itself (CT-04).
#[inline(always)]
fn is_stale(key: &FlowKey, flow: &Flow) -> bool {
    if key.proto() != Proto::UDP || flow.is_reverse() {
        return false;
    }
    let serves = maps::lookup_backend(flow.backend()).is_some_and(|backend| {
        backend.generation() == flow.generation() && !backend.flags().has(BackendFlags::GONE)
    });
    if !serves {
        maps::count(Counter::StaleFlow);
    }
    !serves
}

/// Whether an assured flow has ended, so that its tuple may begin another.
#[inline(never)]
fn is_over(key: &FlowKey, flow: &Flow) -> bool {
    let counterpart = key.counterpart(flow);
    let other = flows::lookup_assured(&counterpart).map_or(Seen::NOTHING, |other| other.seen());
    let (forward, reverse) = if flow.is_reverse() { (other, flow.seen()) } else { (flow.seen(), other) };
    let state = FlowState::of(key.proto(), forward, reverse);
    state.is_over() || state == FlowState::New
}

/// Moves a flow to the assured ones when its client goes on after an answer.
#[inline(never)]
fn settle(key: &FlowKey, flow: &mut Flow, now: Moment) {
    if flow.is_reverse() {
        return;
    }
    let counterpart = key.counterpart(flow);
    let Some(reverse) = flows::lookup_new(&counterpart) else {
        // The cache has lost one half: without it no answer would find its way.
        flows::insert_new(&counterpart, &flow.counterpart(key, now));
        return;
    };
    if !is_assured(key.proto(), flow.seen(), reverse.seen()) {
        return;
    }
    if flows::insert_assured(&counterpart, reverse) {
        if flows::insert_assured(key, flow) {
            flows::remove_new(key);
            flows::remove_new(&counterpart);
            maps::count(Counter::AssuredFlow);
            return;
        }
        flows::remove_assured(&counterpart);
    }
    flow.touch(Seen::NO_ROOM, now);
    maps::count(Counter::FlowTableFull);
}
