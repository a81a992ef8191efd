//! Packets on their way: rewritten, and sent on where the stack would not.

use aya_ebpf::bindings::__sk_buff;
use lb_common::{
    Addr, Counter, FlowFlags,
    packet::{Part, icmp, reply::Message, rewrite},
};

use crate::{
    answer::cannot_send,
    flow::fragment,
    maps,
    route::{Found, Way, segment_len},
    skb::Skb,
    verdict::{DROP, PASS, drop},
    work::{Work, take_up},
};

/// Makes of the packet what it is to become, and sends it on: a masqueraded one from here, with one hop less
/// to live and no bigger than the way allows, for the stack would take the node's own address on it for a
/// forgery; another one up or down the stack. `flags` are those of its flow. Returns the verdict.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_deliver(skb: *mut __sk_buff, flags: u32) -> i32 {
    let Some((mut packet, Work { headers, to, .. })) = take_up(skb) else {
        return DROP;
    };
    let flags = FlowFlags::from_bits(flags as u16);
    let masqueraded = flags.has(FlowFlags::MASQUERADED);
    if headers.part == Part::First {
        fragment::record(headers);
    }
    let mut way = None;
    if masqueraded {
        if headers.ttl <= 1 {
            return cannot_send(skb, Message::TimeExceeded, 0);
        }
        let way = way.insert(Way::new(packet, to, segment_len(packet, headers)));
        match way.find(packet) {
            Found::Way => {}
            Found::TooBig(mtu) => return cannot_send(skb, Message::TooBig, mtu),
            Found::Nothing => return drop(Counter::NoRoute),
        }
    }
    if rewrite::rewrite(&mut packet, headers, to).is_none() {
        return drop(Counter::Malformed);
    }
    maps::count(if flags.has(FlowFlags::REVERSE) { Counter::TcReply } else { Counter::TcForward });
    let Some(way) = way else {
        return PASS;
    };
    match rewrite::decrement_ttl(&mut packet, headers) {
        Some(()) => way.go(packet),
        None => drop(Counter::Malformed),
    }
}

/// The same for an ICMP error that quotes `work.quoted`: it becomes one from `src` about a packet of `work.to`
/// reversed. Nothing is
/// answered to an error (RFC 1122 §3.2.2).
#[inline(always)]
pub fn deliver_error(packet: &mut Skb, work: &Work, src: Addr, masqueraded: bool) -> i32 {
    let Work { headers, to, quoted, .. } = work;
    let mut way = Way::new(*packet, to, 0);
    if masqueraded {
        if headers.ttl <= 1 {
            return drop(Counter::TtlExpired);
        }
        if way.find(*packet) != Found::Way {
            return drop(Counter::NoRoute);
        }
    }
    if icmp::rewrite(packet, headers, quoted, to, src).is_none() {
        return drop(Counter::Malformed);
    }
    maps::count(Counter::IcmpError);
    if !masqueraded {
        return PASS;
    }
    match rewrite::decrement_ttl(packet, headers) {
        Some(()) => way.go(*packet),
        None => drop(Counter::Malformed),
    }
}
