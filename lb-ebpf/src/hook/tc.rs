//! The tc hooks: packets of clients that no socket hook saw, and the answers to them.
//!
//! Fail-open: what can't be read, is not ours, or is for another host goes on untouched. Fail-closed: a packet
//! to a frontend or of a flow that can't be served is answered or dropped, never sent on half rewritten.

use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use lb_common::{
    Counter, FilterBit, FrontendFlags, FrontendKey, NodeFlags,
    packet::{Headers, Kind},
};

use crate::{
    answer::{shunt_echo, shunt_refuse},
    decode,
    flow::{
        self,
        error::shunt_error,
        fragment,
        open::{REFUSED, shunt_open},
        shunt_follow, shunt_follow_back,
    },
    maps,
    send::shunt_deliver,
    skb::{Addressee, Skb},
    verdict::{DROP, PASS, drop},
    work::{Work, take_up},
};

/// A packet that comes in: from a client to a frontend, or an answer to a masqueraded one.
#[inline(always)]
pub fn ingress(ctx: &TcContext, pod_side: bool) -> i32 {
    let packet = Skb::new(ctx.skb.skb);
    // A bridge's ports see what is for its other ports; a pod's device what is for its bridge. What is for many hosts
    // is served by none, or each of them would answer it.
    let is_for_us = match packet.addressee() {
        Addressee::Device => true,
        Addressee::OtherHost => pod_side,
        Addressee::Many => false,
    };
    if packet.is_tagged() || !is_for_us {
        return PASS;
    }
    let Some(skb) = decode::begin(packet) else {
        return PASS;
    };
    let Some((_, Work { headers, .. })) = take_up(skb) else {
        return PASS;
    };
    // The stack knows what to do with what no host can have sent, and an answer to it would be somebody's flood; also
    // with what is for many hosts or for loopback, where a NodePort is the node's processes' alone.
    if !headers.tuple.src().is_unicast() || !headers.tuple.dst().is_unicast() {
        return PASS;
    }
    match headers.kind {
        Kind::Transport => arrive(skb, pod_side),
        Kind::LaterFragment => later_fragment(skb),
        Kind::IcmpError => shunt_error(skb, 0),
        Kind::Echo | Kind::Other => shunt_other(skb),
    }
}

/// A packet that goes out: an answer of a backend gets the frontend's address back.
#[inline(always)]
pub fn egress(ctx: &TcContext) -> i32 {
    let packet = Skb::new(ctx.skb.skb);
    if packet.is_tagged() {
        return PASS;
    }
    let Some(skb) = decode::begin(packet) else {
        return PASS;
    };
    let Some((_, taken)) = take_up(skb) else {
        return PASS;
    };
    match taken.headers.kind {
        Kind::Transport => {
            let key = &taken.headers.tuple;
            if !maps::is_in_filter(FilterBit::backend(key.src(), key.sport(), key.proto())) {
                return PASS;
            }
        }
        Kind::LaterFragment => {
            if !fragment::recall(&mut taken.headers) {
                return PASS;
            }
        }
        Kind::IcmpError => return shunt_error(skb, 1),
        Kind::Echo | Kind::Other => return PASS,
    }
    let flags = shunt_follow_back();
    if flags == flow::NONE { PASS } else { shunt_deliver(skb, flags) }
}

/// A packet with ports.
#[inline(always)]
fn arrive(skb: *mut __sk_buff, pod_side: bool) -> i32 {
    let Some((_, taken)) = take_up(skb) else {
        return DROP;
    };
    let key = &taken.headers.tuple;
    let frontend = FrontendKey::new(key.dst(), key.dport(), key.proto());
    let perhaps = maps::is_in_filter(FilterBit::frontend(&frontend));
    if !perhaps && !flow::may_be_masqueraded(key) {
        return shunt_other(skb);
    }
    let flags = shunt_follow();
    if flags != flow::NONE {
        return shunt_deliver(skb, flags);
    }
    if !perhaps {
        return shunt_other(skb);
    }
    let Some((_, taken)) = take_up(skb) else {
        return DROP;
    };
    let key = &taken.headers.tuple;
    let frontend = FrontendKey::new(key.dst(), key.dport(), key.proto());
    let Some(frontend) = maps::lookup_frontend(&frontend) else {
        return shunt_other(skb);
    };
    taken.frontend = frontend;
    let opened = shunt_open(skb, pod_side.into());
    if opened < REFUSED { shunt_deliver(skb, opened) } else { shunt_refuse(skb, opened - REFUSED) }
}

/// A later fragment goes where its first went; where that was not seen, nowhere: nobody but us can take it
/// for a Service's address.
#[inline(always)]
fn later_fragment(skb: *mut __sk_buff) -> i32 {
    let Some((_, taken)) = take_up(skb) else {
        return DROP;
    };
    if fragment::recall(&mut taken.headers) {
        let flags = shunt_follow();
        if flags != flow::NONE {
            return shunt_deliver(skb, flags);
        }
    }
    let Some((_, taken)) = take_up(skb) else {
        return DROP;
    };
    match lookup_guard(&taken.headers) {
        Some(flags) if !flags.has(FrontendFlags::PING_ONLY) => drop(Counter::FragmentUnknown),
        _ => PASS,
    }
}

/// A packet to no frontend: an echo request to an address of Services is answered, the rest refused where that
/// address is theirs alone (CIP-03), dropped where it is from the network of ClusterIPs and nobody's (CIP-04),
/// else not ours. Returns the verdict.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shunt_other(skb: *mut __sk_buff) -> i32 {
    let Some((_, Work { headers, .. })) = take_up(skb) else {
        return DROP;
    };
    if let Some(flags) = lookup_guard(headers) {
        if headers.kind == Kind::Echo && has(NodeFlags::VIP_PING) {
            return shunt_echo(skb);
        }
        if flags.has(FrontendFlags::PING_ONLY) {
            return PASS;
        }
        return shunt_refuse(skb, Counter::UnknownPort.index());
    }
    if maps::is_unallocated(headers.tuple.dst()) {
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
