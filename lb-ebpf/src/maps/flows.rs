//! The maps of flows, which the programs write; userspace collects what is idle, pair by pair.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_F_NO_PREALLOC, BPF_NOEXIST},
    helpers::generated::bpf_ktime_get_coarse_ns,
    macros::map,
    maps::{HashMap, LruHashMap},
};
use lb_common::{BackendId, Flow, FlowKey, Fragment, FragmentKey, Moment};

/// What does a packet of this tuple become? Flows that both sides were heard of, both directions. Not
/// preallocated: it grows as it fills. Full: a flow stays in `NEW_FLOWS`, and is counted.
#[map]
static FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(1 << 19, BPF_F_NO_PREALLOC);

/// The same for flows that one side only was heard of. A cache: full, the least recently used is forgotten,
/// so that a flood of them pushes out its own kind alone.
#[map]
static NEW_FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(1 << 17, 0);

/// Which ports does a datagram have whose first fragment has passed? A cache.
#[map]
static FRAGMENTS: LruHashMap<FragmentKey, Fragment> = LruHashMap::with_max_entries(1 << 13, 0);

/// By backend id: how often no masquerade port was free toward it. A cache.
#[map]
static EXHAUSTED: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1 << 10, 0);

/// Now.
#[inline(always)]
pub fn now() -> Moment {
    // SAFETY: a helper call without arguments (Linux 5.11).
    Moment::from_ns(unsafe { bpf_ktime_get_coarse_ns() })
}

/// A direction of an assured flow.
#[inline(always)]
pub fn lookup_assured(key: &FlowKey) -> Option<&'static mut Flow> {
    let flow = FLOWS.get_ptr_mut(key)?;
    // SAFETY: the memory of an element is an element's until this program has ended. Others may write its state at the
    // same time: words of their own, and the last of them counts. Since Linux 6.1 it may be another flow's at once when
    // this one is removed, as in `lookup_new`.
    unsafe { flow.as_mut() }
}

/// A direction of a flow that is not assured.
#[inline(always)]
pub fn lookup_new(key: &FlowKey) -> Option<&'static mut Flow> {
    let flow = NEW_FLOWS.get_ptr_mut(key)?;
    // SAFETY: the memory of an element is an element's until this program has ended. It may become another flow's while
    // it is used: the packet in hand then goes where that one's do, with a right checksum, and is out of window there
    // or, of UDP, a stranger's datagram (docs/packet-paths.md, «Limits»).
    unsafe { flow.as_mut() }
}

/// Copies a direction of a flow that is not assured; false where it is not there. The copy may be of another flow
/// that has become its element's meanwhile.
#[inline(always)]
pub fn copy_new(key: &FlowKey, to: &mut Flow) -> bool {
    match lookup_new(key) {
        Some(flow) => {
            *to = *flow;
            true
        }
        None => false,
    }
}

/// Why a direction was not added.
pub enum Refused {
    /// It is there.
    IsThere,
    /// The table is full.
    NoRoom,
}

/// Adds a direction to the assured ones.
#[inline(always)]
pub fn insert_assured(key: &FlowKey, flow: &Flow) -> Result<(), Refused> {
    const EEXIST: i32 = -17;
    match FLOWS.insert(key, flow, BPF_NOEXIST.into()) {
        Ok(()) => Ok(()),
        Err(EEXIST) => Err(Refused::IsThere),
        Err(_) => Err(Refused::NoRoom),
    }
}

/// Adds a direction of a new flow; false where the tuple has one.
#[inline(always)]
pub fn insert_new(key: &FlowKey, flow: &Flow) -> bool {
    NEW_FLOWS.insert(key, flow, BPF_NOEXIST.into()).is_ok()
}

/// Forgets a direction of an assured flow; false where it was not there.
#[inline(always)]
pub fn remove_assured(key: &FlowKey) -> bool {
    FLOWS.remove(key).is_ok()
}

/// Forgets a direction of a new flow; false where it was not there.
#[inline(always)]
pub fn remove_new(key: &FlowKey) -> bool {
    NEW_FLOWS.remove(key).is_ok()
}

/// The ports of a datagram.
#[inline(always)]
pub fn lookup_fragment(key: &FragmentKey) -> Option<Fragment> {
    // SAFETY: an element of the cache may become another datagram's while it is read: ports of another flow
    // make a fragment that its receiver can't put together.
    unsafe { FRAGMENTS.get(key) }.copied()
}

/// Remembers the ports of a datagram.
#[inline(always)]
pub fn record_fragment(key: &FragmentKey, fragment: &Fragment) {
    let _recorded = FRAGMENTS.insert(key, fragment, BPF_ANY.into());
}

/// Counts that no masquerade port was free toward a backend.
#[inline(always)]
pub fn count_exhausted(backend: BackendId) {
    let key = backend.number();
    if let Some(count) = EXHAUSTED.get_ptr_mut(key) {
        // SAFETY: an element of the cache, as in `lookup_new`; a lost count is nothing more.
        unsafe { *count += 1 };
    } else {
        let _recorded = EXHAUSTED.insert(key, 1_u64, BPF_ANY.into());
    }
}
