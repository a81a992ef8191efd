//! The packet in hand, as the functions of a program pass it on.
//!
//! It lies in a map, one for each processor, because the stack has 512 bytes for all functions of a program
//! together. A program has its processor's to itself: programs on devices run with interrupts of their kind
//! held off, and what one sends on is looked at by the next only after it has ended.
//!
//! The functions that share it are the object's own (`extern "C"`): the verifier walks each once for itself,
//! and not again on every way that leads to it.

use aya_ebpf::bindings::__sk_buff;
use lb_common::{
    Flow, FlowKey, Frontend, Moment,
    packet::{Headers, icmp::Quoted, options},
};

use crate::{maps, skb::Skb};

/// What is known of the packet in hand. Whoever reads a field has written it, or was called by who has.
#[repr(C)]
pub struct Work {
    /// What the packet is.
    pub headers: Headers,
    /// The search among its options, where it has any.
    pub options: options::Walk,
    /// The packet in it, where it is an ICMP error.
    pub quoted: Quoted,
    /// What it is to become.
    pub to: FlowKey,
    /// Whose address it is for.
    pub frontend: Frontend,
    /// The entry of its flow, while that is begun or moved.
    pub forward: Flow,
    /// The entry of its answers, while a flow is begun or moved.
    pub reverse: Flow,
    /// The search for a source that no other flow has.
    pub search: Search,
}

/// See [`crate::flow::reserve`].
#[repr(C)]
pub struct Search {
    /// The tuple of answers to the source that is being tried.
    pub answer: FlowKey,
    /// The oldest one found that belongs to a flow that is not assured.
    pub oldest: FlowKey,
    /// When that flow was begun.
    pub oldest_created: Moment,
    /// The one found whose connection was closed first, of those in the table of assured flows.
    pub closed: FlowKey,
    /// When the last packet of that connection passed.
    pub closed_last: Moment,
    /// When the search was begun.
    pub now: Moment,
    /// What the next port to try is made of.
    pub random: u32,
    /// How many ports there are.
    pub count: u32,
    /// 1 when a source was found.
    pub found: u32,
}

/// The packet that a function of the object's own was called for, and what is known of it. `None` never happens: the
/// verifier wants it asked.
#[inline(always)]
pub fn take_up<'a>(skb: *mut __sk_buff) -> Option<(Skb, &'a mut Work)> {
    Some((Skb::new(skb), known()?))
}

/// What is known of the packet in hand. Whoever calls another function of the object's own takes it up again afterwards.
///
/// Each function asks the map for itself, and is not handed a pointer: before Linux 6.2 the verifier takes memory that
/// a function was given for no key and no value of a map (`check_helper_mem_access`, `PTR_TO_MEM`).
#[inline(always)]
pub fn known<'a>() -> Option<&'a mut Work> {
    let work = maps::work()?;
    // SAFETY: this processor's own element, which nobody has in hand while one of its functions is called.
    unsafe { work.as_mut() }
}
