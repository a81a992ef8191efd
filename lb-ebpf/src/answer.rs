//! Packets that are answered instead of sent on: back out of the device that they came in by.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_redirect};
use lb_common::{
    Addr, Counter, Proto,
    packet::{
        Kind, Part,
        headers::{ICMP, ICMPV6},
        reply::{self, Message},
    },
};

use crate::{
    maps,
    skb::Skb,
    verdict::{DROP, drop},
    work::{Work, take_up},
};

/// Refuses a packet to a frontend in the way that its client understands (NOE-01, CIP-03), or drops it where
/// policy says so (NOE-02, LSR-01), or where it may be served when it is sent again ([`Counter::Inconsistent`]).
/// `reason` is the number of the counter that says why. Returns the verdict.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_refuse(skb: *mut __sk_buff, reason: u32) -> i32 {
    const NO_FLOW: u32 = Counter::NoFlow.index();
    const NO_ENDPOINT: u32 = Counter::NoEndpoint.index();
    const UNKNOWN_PORT: u32 = Counter::UnknownPort.index();
    let Some((mut packet, Work { headers, .. })) = take_up(skb) else {
        return DROP;
    };
    maps::count_index(reason);
    let proto = headers.tuple.proto();
    // Of ICMP, only what asks for something is answered (RFC 1122 §3.2.2, RFC 4443 §2.4).
    if matches!(proto, ICMP | ICMPV6) && headers.kind != Kind::Echo {
        return DROP;
    }
    let tcp = proto == Proto::TCP;
    match reason {
        NO_FLOW if !tcp => return DROP,
        NO_FLOW | NO_ENDPOINT | UNKNOWN_PORT => {}
        _ => return DROP,
    }
    if !tcp {
        return answer(skb, Message::PortUnreachable, 0, Counter::RefusedIcmp);
    }
    let answer = reply::reset(&mut packet, headers);
    finish(packet, answer, Counter::RefusedRst)
}

/// Answers a packet that can't be sent on. `message` is a [`Message`], `value` its own: of
/// [`Message::TooBig`] the biggest packet that can. Returns the verdict.
#[inline(always)]
pub fn cannot_send(skb: *mut __sk_buff, message: Message, value: u32) -> i32 {
    let counter = if message == Message::TooBig { Counter::TooBig } else { Counter::TtlExpired };
    answer(skb, message, value, counter)
}

#[inline(always)]
fn answer(skb: *mut __sk_buff, message: Message, value: u32, counter: Counter) -> i32 {
    shunt_answer(skb, message as u32, value, counter.index())
}

/// Answers a packet by an ICMP error about it, and counts it. A port's absence is told by the address that was
/// asked; the rest by the node, which is the router that says so.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shunt_answer(skb: *mut __sk_buff, message: u32, value: u32, counter: u32) -> i32 {
    const PORT_UNREACHABLE: u32 = Message::PortUnreachable as u32;
    const TOO_BIG: u32 = Message::TooBig as u32;
    let Some((mut packet, Work { headers, .. })) = take_up(skb) else {
        return DROP;
    };
    // Nor is anything answered to a later fragment (RFC 1122 §3.2.2).
    if headers.part == Part::Later {
        maps::count_index(counter);
        return DROP;
    }
    // How wide a way is must be told, or its user never gets through (as the kernel does, `icmpv4_mask_allow`).
    if message != TOO_BIG && !maps::may_answer() {
        return drop(Counter::AnswerLimited);
    }
    let asked = headers.tuple.dst();
    let node = maps::node().map_or(Addr::UNSPECIFIED, |node| node.masquerade(asked));
    let message = match message {
        PORT_UNREACHABLE => Message::PortUnreachable,
        TOO_BIG => Message::TooBig,
        _ => Message::TimeExceeded,
    };
    let src = if message == Message::PortUnreachable || node == Addr::UNSPECIFIED { asked } else { node };
    let answer = reply::error(&mut packet, headers, message, value, src);
    if answer.is_none() {
        return drop(Counter::Unanswered);
    }
    maps::count_index(counter);
    back(packet)
}

/// Answers an echo request to an address of Services. Returns the verdict.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_echo(skb: *mut __sk_buff) -> i32 {
    let Some((mut packet, Work { headers, .. })) = take_up(skb) else {
        return DROP;
    };
    let answer = reply::echo(&mut packet, headers);
    finish(packet, answer, Counter::EchoAnswered)
}

#[inline(always)]
fn finish(packet: Skb, answer: Option<()>, counter: Counter) -> i32 {
    if answer.is_none() {
        return drop(Counter::Unanswered);
    }
    maps::count(counter);
    back(packet)
}

#[inline(always)]
fn back(packet: Skb) -> i32 {
    packet.take_tag_off();
    // SAFETY: a helper call without pointers.
    unsafe { bpf_redirect(packet.ifindex(), 0) as i32 }
}
