//! The maps that the controller writes, by their pins.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use aya::Pod;
use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError, MapType, PerCpuArray, lpm_trie};
use lb_common::{
    Backend, BackendId, Counter, FilterBit, Frontend, FrontendKey, NodeConfig, RangeKey, Service, ServiceId,
    ServiceLabel,
};

use super::array::MappedArray;
use super::layout::Shape;
use super::{DatapathError, Pins, sys};
use crate::reconcile::{Barrier, Capacity, Observed, Op, Range, Store, StoreError};

/// The map of labels, which no program reads, and what it is where nobody chose a size: as many as there are
/// Services.
pub(super) const LABELS: &str = "LABELS";
pub(super) const LABELS_SHAPE: Shape = Shape {
    kind: MapType::Hash as u32,
    key_size: size_of::<u32>() as u32,
    value_size: size_of::<ServiceLabel>() as u32,
    entries: 1 << 16,
    // BPF_F_NO_PREALLOC
    flags: 1,
};

/// The maps of a datapath, whether this process loaded it or another.
pub struct KernelStore {
    frontends: HashMap<MapData, FrontendKey, Frontend>,
    labels: HashMap<MapData, u32, ServiceLabel>,
    pub(super) services: MappedArray<Service>,
    pub(super) slots: MappedArray<u32>,
    pub(super) backends: MappedArray<Backend>,
    pub(super) filter: MappedArray<u64>,
    node: MappedArray<NodeConfig>,
    pub(super) ranges: LpmTrie<MapData, RangeKey, u32>,
    counters: PerCpuArray<MapData, u64>,
}

impl std::fmt::Debug for KernelStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelStore").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl KernelStore {
    /// Opens the pinned maps.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NotRunning`] where nothing is pinned.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        if File::open(pins.maps()).is_err() {
            return Err(DatapathError::NotRunning { path: pins.directory().to_owned() });
        }
        Ok(Self {
            frontends: open(pins, "FRONTENDS")?,
            labels: open(pins, LABELS)?,
            services: open_array(pins, "SERVICES")?,
            slots: open_array(pins, "SLOTS")?,
            backends: open_array(pins, "BACKENDS")?,
            filter: open_array(pins, "FILTER")?,
            node: open_array(pins, "NODE")?,
            ranges: open(pins, "RANGES")?,
            counters: open(pins, "COUNTERS")?,
        })
    }

    /// What the packet path was told of the node; `None` where it was told nothing yet.
    pub fn node(&self) -> Option<NodeConfig> {
        self.node.get(0).filter(NodeConfig::is_told)
    }

    /// How often each thing counted has happened, over all processors.
    ///
    /// # Errors
    ///
    /// Where the map can't be read.
    pub fn counters(&self) -> Result<Vec<(Counter, u64)>, DatapathError> {
        Counter::ALL
            .into_iter()
            .map(|counter| {
                let values = self.counters.get(&counter.index(), 0).map_err(map_error("COUNTERS", "read"))?;
                Ok((counter, values.iter().sum()))
            })
            .collect()
    }
}

impl KernelStore {
    /// Nobody else writes the filter.
    fn change_filter(&self, bit: FilterBit, change: impl FnOnce(u64) -> u64) -> bool {
        self.filter.get(bit.word()).is_some_and(|word| self.filter.set(bit.word(), &change(word)))
    }

    fn filter_bits(&self) -> impl Iterator<Item = FilterBit> {
        (0..self.filter.len()).filter_map(|index| Some((index, self.filter.get(index)?))).flat_map(
            |(index, word)| {
                let bits = (0..u64::BITS).filter(move |bit| word & (1 << bit) != 0);
                bits.filter_map(move |bit| FilterBit::from_number(index * u64::BITS + bit))
            },
        )
    }
}

impl Store for KernelStore {
    fn apply(&mut self, op: &Op) -> Result<(), StoreError> {
        match op {
            Op::PutBackend(id, backend) => in_array("BACKENDS", self.backends.set(id.number(), backend)),
            Op::PutSlots(first, ids) => ids
                .iter()
                .zip(*first..)
                .try_for_each(|(id, slot)| in_array("SLOTS", self.slots.set(slot, &id.number()))),
            Op::PutService(id, service) => in_array("SERVICES", self.services.set(id.number(), service)),
            Op::PutLabel(id, label) => {
                self.labels.insert(id.number(), **label, 0).map_err(|error| store_error(LABELS, error))
            }
            Op::RemoveLabel(id) => removed(LABELS, self.labels.remove(&id.number())),
            Op::PutFrontend(key, frontend) => {
                self.frontends.insert(key, frontend, 0).map_err(|error| store_error("FRONTENDS", error))
            }
            Op::RemoveFrontend(key) => removed("FRONTENDS", self.frontends.remove(key)),
            Op::SetFilter(bit) => in_array("FILTER", self.change_filter(*bit, |word| word | bit.mask())),
            Op::ClearFilter(bit) => in_array("FILTER", self.change_filter(*bit, |word| word & !bit.mask())),
            Op::PutRange(range) => {
                self.ranges.insert(&trie_key(range), 1, 0).map_err(|error| store_error("RANGES", error))
            }
            Op::RemoveRange(range) => removed("RANGES", self.ranges.remove(&trie_key(range))),
            Op::PutNode(config) => in_array("NODE", self.node.set(0, config)),
        }
    }

    fn barrier(&self) -> Barrier {
        Box::new(|| {
            if let Err(error) = sys::wait_for_programs() {
                tracing::debug!(%error, "membarrier is not to be had here, waiting instead");
                // No program runs for a second: the verifier bounds each to far less.
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
        })
    }

    fn capacity(&self) -> Capacity {
        Capacity { services: self.services.len(), backends: self.backends.len(), slots: self.slots.len() }
    }

    fn observe(&self) -> Result<Observed, StoreError> {
        let mut observed = Observed::default();
        for entry in self.labels.iter() {
            let (id, label) = entry.map_err(|error| store_error(LABELS, error))?;
            observed.labels.insert(ServiceId::from_number(id), label);
        }
        for entry in self.frontends.iter() {
            let (key, frontend) = entry.map_err(|error| store_error("FRONTENDS", error))?;
            observed.frontends.insert(key, frontend);
        }
        let ids = 1..self.services.len();
        observed.services = ids
            .filter_map(|id| Some((ServiceId::from_number(id), self.services.get(id)?)))
            .filter(|(_, service)| *service != Service::default())
            .collect();
        observed.backends = (1..self.backends.len())
            .filter_map(|id| Some((BackendId::from_number(id), self.backends.get(id)?)))
            .filter(|(_, backend)| !backend.is_free() || backend.generation() != 0)
            .collect();
        for service in observed.services.values() {
            for list in [service.cluster(), service.local()] {
                for slot in list.first()..list.first().saturating_add(list.len()) {
                    let id = self.slots.get(slot).unwrap_or_default();
                    observed.slots.insert(slot, BackendId::from_number(id));
                }
            }
        }
        observed.filter = self.filter_bits().collect();
        for entry in self.ranges.iter() {
            let (key, _) = entry.map_err(|error| store_error("RANGES", error))?;
            observed.ranges.insert(Range { key: key.data(), prefix_len: key.prefix_len() });
        }
        Ok(observed)
    }
}

fn trie_key(range: &Range) -> lpm_trie::Key<RangeKey> {
    lpm_trie::Key::new(range.prefix_len, range.key)
}

pub(super) fn open<M>(pins: &Pins, name: &str) -> Result<M, DatapathError>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = Map::from_map_data(open_data(&pins.map(name), name)?).map_err(map_error(name, "open"))?;
    M::try_from(map).map_err(map_error(name, "open"))
}

pub(super) fn open_array<T: Pod>(pins: &Pins, name: &str) -> Result<MappedArray<T>, DatapathError> {
    let data = open_data(&pins.map(name), name)?;
    let info = data.info().map_err(map_error(name, "inspect"))?;
    let expected = u32::try_from(size_of::<T>()).unwrap_or(u32::MAX);
    if info.value_size() != expected {
        return Err(DatapathError::OtherLayout {
            map: name.to_owned(),
            found: info.value_size(),
            expected,
            path: pins.version_directory(),
        });
    }
    MappedArray::new(data.fd().as_fd(), info.max_entries())
        .map_err(|source| DatapathError::Syscall { call: "mmap of an array map", source })
}

pub(super) fn open_data(path: &Path, name: &str) -> Result<MapData, DatapathError> {
    MapData::from_pin(path).map_err(map_error(name, "open pinned"))
}

pub(super) fn map_error(map: &str, what: &'static str) -> impl FnOnce(MapError) -> DatapathError {
    let map = map.to_owned();
    move |source| DatapathError::Map { what, map, source }
}

/// An index is always below the capacity that [`Store::capacity`] told: else it is as if the map were full.
fn in_array(map: &'static str, done: bool) -> Result<(), StoreError> {
    if done { Ok(()) } else { Err(StoreError::Full { map }) }
}

/// What is not there has been removed.
fn removed(map: &'static str, result: Result<(), MapError>) -> Result<(), StoreError> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(error) => Err(store_error(map, error)),
    }
}

fn store_error(map: &'static str, error: MapError) -> StoreError {
    match error {
        MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::E2BIG) => {
            StoreError::Full { map }
        }
        other => StoreError::Failed { map, source: Box::new(other) },
    }
}
