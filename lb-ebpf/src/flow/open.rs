//! A packet to a frontend that is of no flow yet.

use aya_ebpf::bindings::__sk_buff;
use lb_common::{
    BackendFlags, Counter, Flow, FlowFlags, FlowKey, Frontend, FrontendFlags, NodeFlags, Owner, Proto,
    RangeSet, Seen, packet::Headers,
};

use super::{is_served, reserve::shunt_reserve, source::shunt_forged};
use crate::{
    maps::{self, flows},
    route,
    service::{
        affinity::Client,
        choose::{self, Choice},
    },
    skb::Skb,
    work::{Work, known, take_up},
};

/// Added to the number of the counter that says why no flow was begun.
pub const REFUSED: u32 = 1 << 16;

/// Begins a flow to `work.frontend`, and says in `work.to` what its packets become. `pod_side` is 1 where the
/// packet comes from a pod of this node. Returns the flow's flags, or why there is none (see [`REFUSED`]).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_open(skb: *mut __sk_buff, pod_side: u32) -> u32 {
    match open(skb, pod_side != 0) {
        Ok(flags) => u32::from(flags.bits()),
        Err(reason) => REFUSED + reason.index(),
    }
}

#[inline(always)]
fn open(skb: *mut __sk_buff, pod_side: bool) -> Result<FlowFlags, Counter> {
    let (_, Work { headers, .. }) = take_up(skb).ok_or(Counter::Inconsistent)?;
    check_opening(headers)?;
    if shunt_forged(skb) != 0 {
        return Err(Counter::ForgedSource);
    }
    let (packet, taken) = take_up(skb).ok_or(Counter::Inconsistent)?;
    let Work { headers, frontend, .. } = taken;
    let (choice, masquerade) = choose_backend(headers, frontend, pod_side)?;
    let flags = prepare(packet, taken, &choice, masquerade)?;
    if shunt_reserve(skb) == 0 {
        flows::count_exhausted(choice.id);
        return Err(Counter::MasqueradeExhausted);
    }
    let (_, taken) = take_up(skb).ok_or(Counter::Inconsistent)?;
    begin(taken, flags)
}

/// Any datagram begins a flow; a TCP segment or an SCTP packet only where it says so.
#[inline(always)]
fn check_opening(headers: &Headers) -> Result<(), Counter> {
    if headers.tuple.proto() == Proto::UDP || headers.seen().has(Seen::OPEN) {
        return Ok(());
    }
    Err(Counter::NoFlow)
}

/// Which backend, and whether it is to see the node in place of the client (§0 of the reference algorithm).
#[inline(always)]
fn choose_backend(headers: &Headers, frontend: &Frontend, pod_side: bool) -> Result<(Choice, bool), Counter> {
    let (client, flags, service) = (headers.tuple.src(), frontend.flags(), frontend.service());
    if flags.has(FrontendFlags::SOURCE_RANGES) && !maps::is_in_range(RangeSet::sources(service), client) {
        return Err(Counter::SourceRefused);
    }
    let node = maps::node().ok_or(Counter::Inconsistent)?;
    let inside =
        pod_side || (node.flags().has(NodeFlags::POD_RANGES) && maps::is_in_range(RangeSet::PODS, client));
    let local = flags.has(if inside { FrontendFlags::INSIDE_LOCAL } else { FrontendFlags::OUTSIDE_LOCAL });
    let choice = choose::choose(service, local, &Client::Address(client))?;
    let always =
        flags.has(if inside { FrontendFlags::INSIDE_MASQUERADE } else { FrontendFlags::OUTSIDE_MASQUERADE });
    let hairpin = choice.backend.addr() == client;
    let masquerade = if choice.backend.flags().has(BackendFlags::ON_NODE) {
        // A pod's answer to the node's own address is only seen by a program on the pod's device.
        (always || hairpin) && node.flags().has(NodeFlags::POD_DEVICES)
    } else {
        // An answer to a pod of this node comes back here whoever sends it; one to a client outside would not.
        always || hairpin || !pod_side
    };
    Ok((choice, masquerade))
}

/// Writes what the flow's packets become, but for the port, and the entry of its answers.
#[inline(always)]
fn prepare(packet: Skb, work: &mut Work, choice: &Choice, masquerade: bool) -> Result<FlowFlags, Counter> {
    let Work { headers, to, reverse, .. } = work;
    let key = &headers.tuple;
    let backend = choice.backend;
    *to = FlowKey::new(key.src(), key.sport(), backend.addr(), backend.port(), key.proto());
    let masquerade = masquerade && route::set_source(packet, to)?;
    let flags = FlowFlags::empty().with_if(masquerade, FlowFlags::MASQUERADED);
    let owner = Owner { backend: choice.id, generation: backend.generation(), service: backend.service() };
    *reverse = Flow::new(&key.reversed(), flags.with(FlowFlags::REVERSE), owner, flows::now());
    Ok(flags)
}

/// Makes the other entry of the flow, whose answers have theirs.
#[inline(always)]
fn begin(work: &mut Work, flags: FlowFlags) -> Result<FlowFlags, Counter> {
    let Work { headers, to, forward, reverse, .. } = work;
    *forward = reverse.counterpart(&to.reversed(), reverse.created()).with_seen(headers.seen());
    if flows::insert_new(&headers.tuple, forward) {
        maps::count(Counter::NewFlow);
        return Ok(flags);
    }
    match shunt_meet() {
        MET_NONE => Err(Counter::Inconsistent),
        flags => Ok(FlowFlags::from_bits(flags as u16)),
    }
}

/// Neither this flow nor another has the tuple, and nothing is left of this one: its client sends again.
const MET_NONE: u32 = 1 << 16;

/// Meets the flow that the tuple of `work.forward` has already, and returns the flags of the one that counts:
/// that one, where it goes on, for this is a SYN sent again, which goes where the first went; this one, where
/// only that is left of the other which leads nowhere, or from where no answer would find its way.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shunt_meet() -> u32 {
    let Some(work) = known() else {
        return MET_NONE;
    };
    if let Some(flags) = meet(work) {
        return flags.bits().into();
    }
    flows::remove_new(&work.to.reversed());
    MET_NONE
}

#[inline(always)]
fn meet(work: &mut Work) -> Option<FlowFlags> {
    let Work { headers, to, forward, .. } = work;
    let key = &headers.tuple;
    let first = flows::lookup_new(key)?;
    let (first_to, first_flags) = (first.rewritten(key.proto()), first.flags());
    if first_to == *to {
        return Some(first_flags);
    }
    let answer = first_to.reversed();
    let has_answers = flows::lookup_new(&answer).is_some_and(|other| answer.counterpart(other) == *key);
    if has_answers && is_served(first) {
        flows::remove_new(&to.reversed());
        *to = first_to;
        return Some(first_flags);
    }
    if has_answers {
        flows::remove_new(&answer);
    }
    flows::remove_new(key);
    let flags = forward.flags();
    if !flows::insert_new(key, forward) {
        return None;
    }
    maps::count(Counter::NewFlow);
    Some(flags)
}
