//! Operations on the maps, and who carries them out.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use lb_common::{
    Addr, Backend, BackendId, FilterBit, Frontend, FrontendKey, NodeConfig, Proto, RangeKey, RangeSet,
    Service, ServiceId, ServiceLabel,
};

/// One write to one map. Carried out twice, it is as if once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// `BACKENDS`
    PutBackend(BackendId, Backend),
    /// `SLOTS`, from the first on
    PutSlots(u32, Vec<BackendId>),
    /// `LABELS`
    PutLabel(ServiceId, Box<ServiceLabel>),
    /// `LABELS`
    RemoveLabel(ServiceId),
    /// `SERVICES`: the lists switch here, each at once
    PutService(ServiceId, Service),
    /// `FRONTENDS`
    PutFrontend(FrontendKey, Frontend),
    /// `FRONTENDS`
    RemoveFrontend(FrontendKey),
    /// `FILTER`
    SetFilter(FilterBit),
    /// `FILTER`
    ClearFilter(FilterBit),
    /// `RANGES`
    PutRange(Range),
    /// `RANGES`
    RemoveRange(Range),
    /// `NODE`
    PutNode(NodeConfig),
}

/// A backend that nothing chooses any more: no flow goes on to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoneBackend {
    /// Its id, which rests now.
    pub id: BackendId,
    /// As it was; its generation tells it from the next owner of the id.
    pub backend: Backend,
    /// Of the Service port it was for.
    pub proto: Proto,
}

/// A network in a set of networks, or a device in one of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// The set and the network's address.
    pub key: RangeKey,
    /// How many bits of the key are meant, the set's included.
    pub prefix_len: u32,
}

impl Range {
    /// `net` in `set`.
    pub fn new(set: RangeSet, net: &IpNet) -> Self {
        let addr = Addr::from(net.network());
        Self { key: RangeKey::new(set, addr), prefix_len: RangeKey::prefix_len(addr, net.prefix_len()) }
    }

    /// A device in `set`.
    pub fn device(set: RangeSet, ifindex: u32) -> Self {
        Self { key: RangeKey::device(set, ifindex), prefix_len: RangeKey::FULL }
    }

    /// The network; `None` where the prefix is none of its family's.
    pub fn network(&self) -> Option<IpNet> {
        let addr = self.key.addr();
        let bits = self.prefix_len.checked_sub(RangeKey::prefix_len(addr, 0))?;
        IpNet::new(addr.into(), u8::try_from(bits).ok()?).ok()
    }
}

/// How many elements the arrays have; element 0 is never used but in `SLOTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// `SERVICES`
    pub services: u32,
    /// `BACKENDS`
    pub backends: u32,
    /// `SLOTS`
    pub slots: u32,
}

/// Everything that is in the maps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// `FRONTENDS`
    pub frontends: BTreeMap<FrontendKey, Frontend>,
    /// `SERVICES`, without those never used
    pub services: BTreeMap<ServiceId, Service>,
    /// `LABELS`
    pub labels: BTreeMap<ServiceId, ServiceLabel>,
    /// `BACKENDS`, without those never used
    pub backends: BTreeMap<BackendId, Backend>,
    /// `SLOTS`, those that a list has
    pub slots: BTreeMap<u32, BackendId>,
    /// `FILTER`, the bits that are set
    pub filter: BTreeSet<FilterBit>,
    /// `RANGES`
    pub ranges: BTreeSet<Range>,
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room.
    #[error("map {map} is full")]
    Full {
        /// Which map.
        map: &'static str,
    },
    /// The kernel refused.
    #[error("cannot write map {map}")]
    Failed {
        /// Which map.
        map: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Waits for programs: see [`Store::barrier`].
pub type Barrier = Box<dyn FnOnce() + Send>;

/// The maps: of the kernel, or in memory.
pub trait Store {
    /// Carries one operation out.
    ///
    /// # Errors
    ///
    /// Nothing was written then.
    fn apply(&mut self, op: &Op) -> Result<(), StoreError>;

    /// What returns, on whatever thread it is called, when no program that began before that call runs any
    /// more. It takes some 10 ms.
    fn barrier(&self) -> Barrier;

    /// How much there is room for.
    fn capacity(&self) -> Capacity;

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// Where a map can't be read.
    fn observe(&self) -> Result<Observed, StoreError>;
}
