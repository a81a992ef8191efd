//! The tc hooks: packets of clients that no socket hook saw, and the answers to them.
//!
//! Fail-open: what can't be read, is not ours, or is for another host goes on untouched. Fail-closed: a packet
//! to a frontend or of a flow that can't be served is answered or dropped, never sent on half rewritten.

use aya_ebpf::programs::TcContext;
use lb_common::{
    Counter, FilterBit, FlowFlags, Frontend, FrontendFlags, FrontendKey, NodeFlags, RangeSet,
    packet::{Headers, Kind, Parsed, parse},
};

use crate::{
    answer,
    flow::{
        self, error, fragment,
        open::{self, Arrival},
    },
    maps,
    skb::Skb,
    verdict::{PASS, drop},
};

/// A packet that comes in: from a client to a frontend, or an answer to a masqueraded one.
#[inline(always)]
pub fn ingress(ctx: &TcContext, pod_side: bool) -> i32 {
    let mut packet = Skb::new(ctx);
    // A bridge's ports see what is for its other ports; a pod's device what is for its bridge.
    if packet.is_tagged() || (!pod_side && packet.is_for_other_host()) {
        return PASS;
    }
    packet.make_readable();
    let Parsed::Ip(headers) = parse(&packet) else {
        return PASS;
    };
    let to = headers.tuple;
    let mut arrival = Arrival { headers, to, frontend: Frontend::default(), pod_side: pod_side.into() };
    match arrival.headers.kind {
        Kind::Transport => arrive(&mut packet, &mut arrival),
        Kind::LaterFragment => later_fragment(&mut packet, &mut arrival.headers),
        Kind::IcmpError => error::arrive(&mut packet, &arrival.headers),
        Kind::Echo => echo(&mut packet, &arrival.headers),
        Kind::Other => not_a_frontend(&mut packet, &arrival.headers),
    }
}

/// A packet that goes out: an answer of a backend gets the frontend's address back.
#[inline(always)]
pub fn egress(ctx: &TcContext) -> i32 {
    let mut packet = Skb::new(ctx);
    if packet.is_tagged() {
        return PASS;
    }
    packet.make_readable();
    let Parsed::Ip(mut headers) = parse(&packet) else {
        return PASS;
    };
    match headers.kind {
        Kind::Transport => {
            let key = &headers.tuple;
            if !maps::is_in_filter(FilterBit::backend(key.src(), key.sport(), key.proto())) {
                return PASS;
            }
        }
        Kind::LaterFragment => {
            if !fragment::recall(&mut headers) {
                return PASS;
            }
        }
        Kind::IcmpError => return error::leave(&mut packet, &headers),
        Kind::Echo | Kind::Other => return PASS,
    }
    flow::follow_back(&mut packet, &headers).unwrap_or(PASS)
}

/// A packet with ports.
#[inline(always)]
fn arrive(packet: &mut Skb, arrival: &mut Arrival) -> i32 {
    let headers = &arrival.headers;
    let key = &headers.tuple;
    let frontend = FrontendKey::new(key.dst(), key.dport(), key.proto());
    if !maps::is_in_filter(FilterBit::frontend(&frontend)) {
        if flow::may_be_masqueraded(key) {
            return flow::follow(packet, headers).unwrap_or(PASS);
        }
        return not_a_frontend(packet, headers);
    }
    if let Some(verdict) = flow::follow(packet, headers) {
        return verdict;
    }
    let Some(frontend) = maps::lookup_frontend(&frontend) else {
        return not_a_frontend(packet, headers);
    };
    arrival.frontend = frontend;
    let opened = open::open(packet, arrival);
    let headers = &arrival.headers;
    match opened {
        Ok(flags) => flow::deliver(packet, headers, &arrival.to, FlowFlags::from_bits(flags as u16)),
        Err(reason) => answer::refuse(packet, headers, reason),
    }
}

/// A later fragment goes where its first went; where that was not seen, nowhere: nobody but us can take it
/// for a Service's address.
#[inline(always)]
fn later_fragment(packet: &mut Skb, headers: &mut Headers) -> i32 {
    if fragment::recall(headers) {
        return flow::follow(packet, headers).unwrap_or(PASS);
    }
    match lookup_guard(headers) {
        Some(_) => drop(Counter::FragmentUnknown),
        None => PASS,
    }
}

/// An echo request to an address of Services.
#[inline(never)]
fn echo(packet: &mut Skb, headers: &Headers) -> i32 {
    if lookup_guard(headers).is_none() || !has(NodeFlags::VIP_PING) {
        return not_a_frontend(packet, headers);
    }
    answer::echo(packet, headers)
}

/// A packet to no frontend: refused where its address is a Service's (CIP-03), dropped where it is from the
/// network of ClusterIPs and nobody's (CIP-04), else not ours.
#[inline(never)]
fn not_a_frontend(packet: &mut Skb, headers: &Headers) -> i32 {
    if let Some(flags) = lookup_guard(headers) {
        if flags.has(FrontendFlags::PING_ONLY) {
            return PASS;
        }
        return answer::refuse(packet, headers, Counter::UnknownPort.index());
    }
    if has(NodeFlags::CLUSTER_IP_RANGES) && maps::is_in_range(RangeSet::CLUSTER_IPS, headers.tuple.dst()) {
        return drop(Counter::UnallocatedAddress);
    }
    PASS
}

/// The guard of the packet's destination.
#[inline(always)]
fn lookup_guard(headers: &Headers) -> Option<FrontendFlags> {
    let guard = FrontendKey::address_guard(headers.tuple.dst());
    if !maps::is_in_filter(FilterBit::frontend(&guard)) {
        return None;
    }
    maps::lookup_frontend(&guard).map(|guard| guard.flags())
}

#[inline(always)]
fn has(flag: NodeFlags) -> bool {
    maps::node().is_some_and(|node| node.flags().has(flag))
}
