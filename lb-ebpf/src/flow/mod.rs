//! Packets of flows that are known: each is rewritten as its entry says. One hash lookup where the flow is
//! assured.

pub mod error;
pub mod fragment;
pub mod open;
pub mod reserve;
mod source;
mod taken;

use lb_common::{
    BackendFlags, Counter, FilterBit, Flow, FlowFlags, FlowKey, FlowState, Moment, Proto, Seen,
    flow_state::is_assured,
};

use crate::{
    maps::{
        self,
        flows::{self, Refused},
    },
    work::{Work, known},
};

/// Whether a packet of this tuple may be an answer to a masqueraded one: bits stay for as long as flows have the
/// address or the port, whatever is given to new ones by now (KRN-04).
#[inline(always)]
pub fn may_be_masqueraded(key: &FlowKey) -> bool {
    maps::is_in_filter(FilterBit::masquerade_port(key.dport()))
        && maps::is_in_filter(FilterBit::node_address(key.dst()))
}

/// No flow, in place of one's flags.
pub const NONE: u32 = 1 << 16;

/// Finds the flow of a packet and notes the packet in it. Returns its flags, and in `work.to` what the packet
/// becomes; [`NONE`] where it has none, or one to be begun anew.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_follow() -> u32 {
    known().and_then(follow).map_or(NONE, |flags| flags.bits().into())
}

#[inline(always)]
fn follow(work: &mut Work) -> Option<FlowFlags> {
    let Work { headers, to, forward, reverse, .. } = work;
    let (key, seen, now) = (&headers.tuple, headers.seen(), flows::now());
    if let Some(flow) = flows::lookup_assured(key) {
        // Who opens again knows nothing of the connection, and would never be answered by an endpoint that is gone.
        if is_stale(key, flow) || (seen.has(Seen::OPEN) && (is_over(key, flow) || !is_served(flow))) {
            flows::remove_assured(&key.counterpart(flow));
            flows::remove_assured(key);
            return None;
        }
        flow.touch(seen, now);
        *to = flow.rewritten(key.proto());
        return Some(flow.flags());
    }
    // One that opens a flow is not looked for here: it is found where it would be made.
    if seen.has(Seen::OPEN) {
        return None;
    }
    let Some(flow) = flows::lookup_new(key) else {
        return follow_moved(key, seen, now, to, |_| true);
    };
    if is_stale(key, flow) {
        flows::remove_new(key);
        return None;
    }
    *to = flow.rewritten(key.proto());
    let flags = flow.flags();
    if note_new(key, flow, seen, now) {
        settle(key, flow, now, Pair { forward, reverse });
    }
    Some(flags)
}

/// A flow that another processor has moved to the assured ones between the two looks for it is there.
#[inline(always)]
fn follow_moved(
    key: &FlowKey,
    seen: Seen,
    now: Moment,
    to: &mut FlowKey,
    is_ours: impl Fn(&Flow) -> bool,
) -> Option<FlowFlags> {
    let flow = flows::lookup_assured(key).filter(|flow| is_ours(flow))?;
    flow.touch(seen, now);
    *to = flow.rewritten(key.proto());
    Some(flow.flags())
}

/// The same for a packet that goes out: the answer of a flow that is not masqueraded.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_follow_back() -> u32 {
    known().and_then(follow_back).map_or(NONE, |flags| flags.bits().into())
}

#[inline(always)]
fn follow_back(work: &mut Work) -> Option<FlowFlags> {
    let Work { headers, to, .. } = work;
    let (key, seen, now) = (&headers.tuple, headers.seen(), flows::now());
    let is_ours = |flow: &Flow| flow.is_reverse() && !flow.is_masqueraded();
    if let Some(flow) = flows::lookup_assured(key) {
        if !is_ours(flow) {
            return None;
        }
        flow.touch(seen, now);
        *to = flow.rewritten(key.proto());
        return Some(flow.flags());
    }
    let Some(flow) = flows::lookup_new(key) else {
        return follow_moved(key, seen, now, to, is_ours);
    };
    if !is_ours(flow) {
        return None;
    }
    *to = flow.rewritten(key.proto());
    let flags = flow.flags();
    note_new(key, flow, seen, now);
    Some(flags)
}

/// Notes a packet in the entry of a flow that is not assured. The first answer is told to the client's
/// direction, which becomes assured when it goes on: whether it is to be looked at for that. As long as there is
/// no answer nothing more is looked up but, once a moment, whether the entry for answers is still there.
#[inline(always)]
fn note_new(key: &FlowKey, flow: &mut Flow, seen: Seen, now: Moment) -> bool {
    let before = flow.seen();
    let first = flow.touch(seen, now);
    if !flow.is_reverse() {
        return first || (before.has(Seen::ANSWERED) && !before.has(Seen::NO_ROOM));
    }
    if before == Seen::NOTHING
        && let Some(forward) = flows::lookup_new(&key.counterpart(flow))
    {
        forward.touch(Seen::ANSWERED, now);
    }
    false
}

/// The entry of a tuple, in either table.
#[inline(always)]
pub fn lookup(key: &FlowKey) -> Option<&'static mut Flow> {
    match flows::lookup_assured(key) {
        Some(flow) => Some(flow),
        None => flows::lookup_new(key),
    }
}

/// Whether a datagram's flow leads to a backend that is gone (CT-01). TCP is left to end by itself (CT-04).
#[inline(always)]
fn is_stale(key: &FlowKey, flow: &Flow) -> bool {
    if key.proto() != Proto::UDP || flow.is_reverse() {
        return false;
    }
    let stale = !is_served(flow);
    if stale {
        maps::count(Counter::StaleFlow);
    }
    stale
}

/// Whether a flow's backend still serves.
#[inline(always)]
fn is_served(flow: &Flow) -> bool {
    maps::lookup_backend(flow.backend()).is_some_and(|backend| {
        backend.generation() == flow.generation() && !backend.flags().has(BackendFlags::GONE)
    })
}

/// Whether an assured flow has ended, so that its tuple may begin another. A backend that is gone and was left
/// half closed has no say in who its client's port is for now.
#[inline(always)]
fn is_over(key: &FlowKey, flow: &Flow) -> bool {
    let counterpart = key.counterpart(flow);
    let other = flows::lookup_assured(&counterpart).map_or(Seen::NOTHING, |other| other.seen());
    let (forward, reverse) = if flow.is_reverse() { (other, flow.seen()) } else { (flow.seen(), other) };
    match FlowState::of(key.proto(), forward, reverse) {
        FlowState::New => true,
        FlowState::HalfClosed => !is_served(flow),
        state => state.is_over(),
    }
}

/// Where the two entries of a flow lie while they are moved.
struct Pair<'a> {
    forward: &'a mut Flow,
    reverse: &'a mut Flow,
}

/// Moves a flow to the assured ones when its client goes on after an answer.
///
/// Another processor may be moving it too, and an entry of the cache may become another flow's while it is read:
/// so entries are copied, and looked at only after it is known that the copies are this flow's. Whoever inserts
/// the answers' entry moves the flow, and the client's is the first to leave the cache: where that is still there
/// and the other is not, the cache has lost it.
#[inline(always)]
fn settle(key: &FlowKey, flow: &mut Flow, now: Moment, pair: Pair<'_>) {
    let Pair { forward, reverse } = pair;
    *forward = *flow;
    let counterpart = key.counterpart(forward);
    let has_answers = flows::copy_new(&counterpart, reverse);
    let is_own = |own: &mut Flow| own.rewritten(key.proto()) == forward.rewritten(key.proto());
    if !flows::lookup_new(key).is_some_and(is_own) {
        return;
    }
    if !has_answers {
        *reverse = forward.counterpart(key, now);
        if !flows::insert_new(&counterpart, reverse) {
            flows::remove_new(key);
        }
        return;
    }
    if counterpart.counterpart(reverse) != *key {
        // Another flow has the place of its answers by now.
        flows::remove_new(key);
        return;
    }
    if !is_assured(key.proto(), forward.seen(), reverse.seen()) {
        return;
    }
    match flows::insert_assured(&counterpart, reverse) {
        Ok(()) => {
            if flows::insert_assured(key, forward).is_ok() {
                flows::remove_new(key);
                flows::remove_new(&counterpart);
                maps::count(Counter::AssuredFlow);
                return;
            }
            flows::remove_assured(&counterpart);
        }
        Err(Refused::IsThere) => return,
        Err(Refused::NoRoom) => {}
    }
    flow.touch(Seen::NO_ROOM, now);
    maps::count(Counter::FlowTableFull);
}
