//! How full the maps are.

use aya::maps::MapError;
use lb_common::{
    Affinity, AffinityKey, FILTER_BITS, Flow, FlowKey, Fragment, FragmentKey, Frontend, FrontendKey, Service,
    ServiceLabel, SocketFlow, SocketFlowKey,
};
use serde::Serialize;

use super::store::{LABELS, map_error, open_data};
use super::{DatapathError, KernelStore, Pins, batch};

/// A map's entries, and how many it can hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// Its name.
    pub map: &'static str,
    /// Of a list of slots, of an array and of the filter: elements that mean something.
    pub entries: u64,
    /// Entries at most.
    pub capacity: u64,
}

/// Every map whose fill can be told, those that the controller fills first.
///
/// # Errors
///
/// Where a map can't be read.
pub fn fills(pins: &Pins, store: &KernelStore) -> Result<Vec<Fill>, DatapathError> {
    const U32: usize = size_of::<u32>();
    let mut fills = vec![hash::<{ size_of::<FrontendKey>() }, { size_of::<Frontend>() }>(pins, "FRONTENDS")?];
    fills.extend(store.array_fills());
    fills.extend([
        hash::<U32, { size_of::<ServiceLabel>() }>(pins, LABELS)?,
        store.ranges_fill(capacity(pins, "RANGES")?)?,
        hash::<{ size_of::<FlowKey>() }, { size_of::<Flow>() }>(pins, "FLOWS")?,
        hash::<{ size_of::<FlowKey>() }, { size_of::<Flow>() }>(pins, "NEW_FLOWS")?,
        hash::<{ size_of::<FragmentKey>() }, { size_of::<Fragment>() }>(pins, "FRAGMENTS")?,
        hash::<{ size_of::<AffinityKey>() }, { size_of::<Affinity>() }>(pins, "AFFINITY")?,
        hash::<{ size_of::<SocketFlowKey>() }, { size_of::<SocketFlow>() }>(pins, "SOCKET_FLOWS")?,
    ]);
    Ok(fills)
}

/// The entries of a hash map whose keys and values are so long.
fn hash<const KEY: usize, const VALUE: usize>(pins: &Pins, map: &'static str) -> Result<Fill, DatapathError> {
    let data = open_data(&pins.map(map), map)?;
    let mut entries = 0;
    batch::walk(&data, ([0_u8; KEY], [0_u8; VALUE]), |_, _| entries += 1)
        .map_err(|source| DatapathError::Syscall { call: "BPF_MAP_LOOKUP_BATCH", source })?;
    Ok(Fill { map, entries, capacity: capacity(pins, map)? })
}

fn capacity(pins: &Pins, map: &str) -> Result<u64, DatapathError> {
    let info = open_data(&pins.map(map), map)?.info().map_err(map_error(map, "inspect"))?;
    Ok(info.max_entries().into())
}

impl KernelStore {
    fn array_fills(&self) -> [Fill; 4] {
        let services = (1..self.services.len()).filter_map(|id| self.services.get(id));
        let services: Vec<Service> = services.filter(|service| *service != Service::default()).collect();
        let slots = services.iter().map(|service| service.cluster().len() + service.local().len());
        let slots = slots.map(u64::from).sum();
        let backends = (1..self.backends.len()).filter_map(|id| self.backends.get(id));
        let backends = backends.filter(|backend| !backend.is_free()).count() as u64;
        let bits = (0..self.filter.len()).filter_map(|index| self.filter.get(index));
        let bits = bits.map(|word| u64::from(word.count_ones())).sum();
        [
            Fill { map: "SERVICES", entries: services.len() as u64, capacity: self.services.len().into() },
            Fill { map: "SLOTS", entries: slots, capacity: self.slots.len().into() },
            Fill { map: "BACKENDS", entries: backends, capacity: self.backends.len().into() },
            Fill { map: "FILTER", entries: bits, capacity: FILTER_BITS.into() },
        ]
    }

    fn ranges_fill(&self, capacity: u64) -> Result<Fill, DatapathError> {
        let keys: Result<Vec<_>, MapError> = self.ranges.keys().collect();
        let entries = keys.map_err(map_error("RANGES", "read"))?.len() as u64;
        Ok(Fill { map: "RANGES", entries, capacity })
    }
}
