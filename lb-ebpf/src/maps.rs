//! Every map, and every access to one. Who writes, what full means and what survives stands above each.
//!
//! Userspace writes `FRONTENDS`, `SERVICES`, `SLOTS`, `BACKENDS` (one writer, in an order that leaves every
//! reference valid), `FILTER`, `RANGES` and `NODE`; the programs write the others. Those of flows are in
//! [`flows`].

mod counts;
pub mod flows;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST},
    btf_maps::SkStorage,
    macros::{btf_map, map},
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, lpm_trie::Key},
    programs::SockAddrContext,
};
pub use counts::{count, count_index, may_answer};
use lb_common::{
    Addr, Affinity, AffinityKey, Backend, BackendId, Dialled, FILTER_WORDS, FilterBit, Frontend, FrontendKey,
    List, NodeConfig, NodeFlags, RangeKey, RangeSet, Service, ServiceId, SocketFlow, SocketFlowKey,
};

use crate::work::Work;

/// Whose is this address and port? Not preallocated: it grows as it fills. Full: the newest frontend is
/// refused in userspace, the others go on.
#[map]
static FRONTENDS: HashMap<FrontendKey, Frontend> = HashMap::with_max_entries(1 << 18, BPF_F_NO_PREALLOC);

/// By service id: the two lists, each one word. Mapped into userspace, where changing a list is one store.
#[map]
static SERVICES: Array<Service> = Array::with_max_entries(1 << 16, BPF_F_MMAPABLE);

/// Backend ids; a list is a run of them. Mapped into userspace. A run is written before its list's word is
/// stored, and rests before it is written again.
#[map]
static SLOTS: Array<u32> = Array::with_max_entries(1 << 20, BPF_F_MMAPABLE);

/// By backend id: where to send. Mapped into userspace.
#[map]
static BACKENDS: Array<Backend> = Array::with_max_entries(1 << 18, BPF_F_MMAPABLE);

/// Which backend had this client last? A cache: full, the least recently used client is forgotten.
#[map]
static AFFINITY: LruHashMap<AffinityKey, Affinity> = LruHashMap::with_max_entries(1 << 16, 0);

/// What did this socket dial? Lives and dies with the socket: it can't fill or leak.
#[btf_map]
static SOCKET_DIALLED: SkStorage<Dialled> = SkStorage::new();

/// The further Services of an unconnected UDP socket that speaks to several, both directions. A cache: full,
/// the least recently used is chosen anew with the next datagram.
#[map]
static SOCKET_FLOWS: LruHashMap<SocketFlowKey, SocketFlow> = LruHashMap::with_max_entries(1 << 16, 0);

/// May a packet be ours? Mapped into userspace, which counts who set each bit. Empty: no packet is.
#[map]
static FILTER: Array<u64> = Array::with_max_entries(FILTER_WORDS, BPF_F_MMAPABLE);

/// Is this address in that set of networks, this device in that of devices? Full: the newest Service's ranges are refused in userspace.
#[map]
static RANGES: LpmTrie<RangeKey, u32> = LpmTrie::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// What the node is. Mapped into userspace; all zero until it was written: nothing is masqueraded then.
#[map]
static NODE: Array<NodeConfig> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The packet in hand, for each processor.
#[map]
static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(1, 0);

/// Whether a bit of the filter is set: «perhaps».
#[inline(always)]
pub fn is_in_filter(bit: FilterBit) -> bool {
    FILTER.get(bit.word()).is_some_and(|word| word & bit.mask() != 0)
}

/// Whether an address is in a set of networks.
#[inline(always)]
pub fn is_in_range(set: RangeSet, addr: Addr) -> bool {
    RANGES.get(Key::new(RangeKey::FULL, RangeKey::new(set, addr))).is_some()
}

/// Whether an address is from the networks of ClusterIPs; that no Service has it is the caller's to know.
#[inline(always)]
pub fn is_unallocated(addr: Addr) -> bool {
    node().is_some_and(|node| node.flags().has(NodeFlags::CLUSTER_IP_RANGES))
        && is_in_range(RangeSet::CLUSTER_IPS, addr)
}

/// Whether what comes in by a device is seen by no program of ours.
#[inline(always)]
pub fn is_unseen(ifindex: u32) -> bool {
    RANGES.get(Key::new(RangeKey::FULL, RangeKey::device(RangeSet::UNSEEN_DEVICES, ifindex))).is_some()
}

/// What the node is.
#[inline(always)]
pub fn node() -> Option<&'static NodeConfig> {
    NODE.get(0)
}

/// This processor's own.
#[inline(always)]
pub fn work() -> Option<*mut Work> {
    WORK.get_ptr_mut(0)
}

/// The frontend of an address, or a guard.
#[inline(always)]
pub fn lookup_frontend(key: &FrontendKey) -> Option<Frontend> {
    // SAFETY: the memory of an element is an element's until this program has ended. Since Linux 6.1 it may be another
    // frontend's at once when this one is removed, while it is read: for that packet the removal is late by its own
    // length, and the service may be another's.
    unsafe { FRONTENDS.get(key) }.copied()
}

/// A list of a Service: the local one or the cluster one, read at once.
#[inline(always)]
pub fn lookup_list(id: ServiceId, local: bool) -> Option<List> {
    let service = SERVICES.get_ptr(id.number())?;
    let word = if local { Service::LOCAL_WORD } else { Service::CLUSTER_WORD };
    // SAFETY: both words are inside a `Service` (asserted in lb-common), and aligned.
    let word = unsafe { service.cast::<u64>().add(word) };
    // SAFETY: element of an array map: it lives as long as the program. Volatile: one load, never repeated,
    // for userspace may store a new word at any moment.
    Some(List::from_word(unsafe { word.read_volatile() }))
}

/// The affinity timeout in seconds and the epoch of a Service.
#[inline(always)]
pub fn lookup_affinity_policy(id: ServiceId) -> (u32, u32) {
    SERVICES.get(id.number()).map_or((0, 0), |service| (service.affinity_seconds(), service.epoch()))
}

/// The backend in a slot.
#[inline(always)]
pub fn lookup_slot(slot: u32) -> Option<BackendId> {
    SLOTS.get(slot).copied().map(BackendId::from_number)
}

/// A backend; `None` where nobody has the id.
#[inline(always)]
pub fn lookup_backend(id: BackendId) -> Option<&'static Backend> {
    BACKENDS.get(id.number()).filter(|backend| !backend.is_free())
}

/// What a client is remembered by.
#[inline(always)]
pub fn lookup_affinity(key: &AffinityKey) -> Option<Affinity> {
    // SAFETY: a preallocated element may become another client's while it is read: the worst outcome is one
    // connection to a backend that the caller then finds to be in the list all the same.
    unsafe { AFFINITY.get(key) }.copied()
}

/// Remembers a client. With `fresh`, only if it is not remembered yet: false where it was.
#[inline(always)]
pub fn record_affinity(key: &AffinityKey, affinity: &Affinity, fresh: bool) -> bool {
    let flags = if fresh { BPF_NOEXIST } else { BPF_ANY };
    AFFINITY.insert(key, affinity, flags.into()).is_ok()
}

/// What the socket dialled, where it ever dialled a Service.
#[inline(always)]
#[expect(
    clippy::mut_from_ref,
    reason = "the storage is the socket's, not the context's: each call finds the same"
)]
pub fn lookup_dialled(ctx: &SockAddrContext) -> Option<&mut Dialled> {
    // SAFETY: the socket of the context is valid for as long as the program runs.
    let dialled = unsafe { SOCKET_DIALLED.get_ptr_mut(ctx) };
    // SAFETY: null or the socket's storage, which is freed by RCU after the program has ended. Two threads
    // that use one socket at once may tear it: a wrong peer name is then what they raced for.
    unsafe { dialled.as_mut() }
}

/// Remembers in the socket what it dialled; false where there is no memory for it.
#[inline(always)]
pub fn record_dialled(ctx: &SockAddrContext, value: Dialled) -> bool {
    // SAFETY: as in `lookup_dialled`.
    let dialled = unsafe { SOCKET_DIALLED.get_or_insert_ptr_mut(ctx, None) };
    // SAFETY: as in `lookup_dialled`.
    match unsafe { dialled.as_mut() } {
        Some(dialled) => {
            *dialled = value;
            true
        }
        None => false,
    }
}

/// One half of a further translation of a socket.
#[inline(always)]
pub fn lookup_socket_flow(key: &SocketFlowKey) -> Option<SocketFlow> {
    // SAFETY: a preallocated element may become another flow's while it is read; the caller checks that the
    // backend is one of the Service it means.
    unsafe { SOCKET_FLOWS.get(key) }.copied()
}

/// Writes one half of a further translation of a socket; false where there is no room.
#[inline(always)]
pub fn record_socket_flow(key: &SocketFlowKey, flow: &SocketFlow) -> bool {
    SOCKET_FLOWS.insert(key, flow, BPF_ANY.into()).is_ok()
}
