//! Packets that are answered instead of sent on: back out of the device that they came in by.

use aya_ebpf::helpers::generated::bpf_redirect;
use lb_common::{
    Addr, Counter, Proto,
    packet::{
        Headers,
        reply::{self, Message},
    },
};

use crate::{
    maps,
    skb::Skb,
    verdict::{DROP, drop},
};

/// Counts why a packet to a frontend is not served (`reason` is a counter's index), and refuses it in the way that its client understands
/// (NOE-01, CIP-03), or drops it where policy says so (NOE-02, LSR-01).
#[inline(never)]
pub fn refuse(packet: &mut Skb, headers: &Headers, reason: u32) -> i32 {
    const NO_FLOW: u32 = Counter::NoFlow.index();
    const NO_ENDPOINT: u32 = Counter::NoEndpoint.index();
    const UNKNOWN_PORT: u32 = Counter::UnknownPort.index();
    const INCONSISTENT: u32 = Counter::Inconsistent.index();
    maps::count_index(reason);
    let tcp = headers.tuple.proto() == Proto::TCP;
    match reason {
        NO_FLOW if !tcp => return DROP,
        NO_FLOW | NO_ENDPOINT | UNKNOWN_PORT | INCONSISTENT => {}
        _ => return DROP,
    }
    let (answer, counter) = if tcp {
        (reply::reset(packet, headers), Counter::RefusedRst)
    } else {
        let src = headers.tuple.dst();
        (reply::error(packet, headers, Message::PortUnreachable, 0, src), Counter::RefusedIcmp)
    };
    finish(packet, answer, counter)
}

/// Answers a packet that can't be sent on; from the node, which is the router that says so.
#[inline(never)]
pub fn answer(packet: &mut Skb, headers: &Headers, message: Message, value: u32) -> i32 {
    let node = maps::node().map_or(Addr::UNSPECIFIED, |node| node.masquerade(headers.tuple.src()));
    let src = if node == Addr::UNSPECIFIED { headers.tuple.dst() } else { node };
    let counter = if message == Message::TooBig { Counter::TooBig } else { Counter::TtlExpired };
    let answer = reply::error(packet, headers, message, value, src);
    finish(packet, answer, counter)
}

/// Answers an echo request to an address of Services.
#[inline(never)]
pub fn echo(packet: &mut Skb, headers: &Headers) -> i32 {
    let answer = reply::echo(packet, headers);
    finish(packet, answer, Counter::EchoAnswered)
}

#[inline(always)]
fn finish(packet: &Skb, answer: Option<()>, counter: Counter) -> i32 {
    if answer.is_none() {
        return drop(Counter::Unanswered);
    }
    maps::count(counter);
    // SAFETY: a helper call without pointers.
    unsafe { bpf_redirect(packet.ifindex(), 0) as i32 }
}
