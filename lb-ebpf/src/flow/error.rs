//! ICMP errors about packets of flows (KRN-02).

use aya_ebpf::bindings::__sk_buff;
use lb_common::{FilterBit, FrontendKey, packet::icmp};

use super::{lookup, may_be_masqueraded};
use crate::{
    maps,
    send::deliver_error,
    verdict::{DROP, PASS},
    work::take_up,
};

/// Rewrites an error about a packet of a flow, and sends it on. Of those that come in: about an answer that was
/// sent to a client, or about a packet that was masqueraded. Of those that go out (`leaves` is 1): of a backend
/// of this node, or of the node itself, about a packet of a client. Returns the verdict.
///
/// To a client it comes from the frontend, whoever found the fault, for no other address of ours is known to
/// it. To a masqueraded backend it comes from the node.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_error(skb: *mut __sk_buff, leaves: u32) -> i32 {
    if shunt_quote(skb) == 0 {
        return PASS;
    }
    let Some((mut packet, work)) = take_up(skb) else {
        return DROP;
    };
    let answer = work.quoted.tuple.reversed();
    let perhaps = if leaves != 0 {
        maps::is_in_filter(FilterBit::backend(answer.src(), answer.sport(), answer.proto()))
    } else {
        let frontend = FrontendKey::new(answer.dst(), answer.dport(), answer.proto());
        maps::is_in_filter(FilterBit::frontend(&frontend)) || may_be_masqueraded(&answer)
    };
    if !perhaps {
        return PASS;
    }
    let Some(flow) = lookup(&answer) else {
        return PASS;
    };
    let (masqueraded, reverse) = (flow.is_masqueraded(), flow.is_reverse());
    if leaves != 0 && (masqueraded || !reverse) {
        return PASS;
    }
    work.to = flow.rewritten(answer.proto());
    let src = if masqueraded || reverse { work.to.src() } else { work.headers.tuple.src() };
    deliver_error(&mut packet, work, src, masqueraded)
}

/// Decodes the packet that an error quotes into `work.quoted`; 0 where it is not one with ports.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shunt_quote(skb: *mut __sk_buff) -> u32 {
    let Some((packet, work)) = take_up(skb) else {
        return 0;
    };
    let Some(quoted) = icmp::quoted(&packet, &work.headers) else {
        return 0;
    };
    work.quoted = quoted;
    1
}
