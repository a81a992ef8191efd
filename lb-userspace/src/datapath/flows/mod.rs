//! The tables of flows, which the programs write: read for people, and kept free of what is over.
//!
//! [`FlowTables`] opens them; [`collect::Collector`] walks through them now and then.

mod collect;
mod exhausted;
mod pairs;

use std::io;

use aya::maps::{HashMap, MapData};
use lb_common::{Backend, BackendFlags, BackendId, Flow, FlowKey, Moment, ServiceId, ServiceLabel};
use rustix::time::{ClockId, clock_gettime};

use super::array::MappedArray;
use super::store::{LABELS, open, open_array, open_data};
use super::{DatapathError, Pins, batch};

pub use collect::{Collected, Collector};
pub use exhausted::{Alarm, Exhausted};
pub use pairs::{FlowPair, flow_pairs};

/// Which table a flow is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// `FLOWS`
    Assured,
    /// `NEW_FLOWS`
    New,
}

/// What the collector and the printer need of the tables: those of the kernel, or in memory.
pub(crate) trait Flows {
    /// Shows every entry of a table, in no order; one that comes or goes meanwhile may be missed.
    fn walk(&self, table: Table, see: &mut dyn FnMut(&FlowKey, &Flow)) -> io::Result<()>;

    /// An entry of a table.
    fn get(&self, table: Table, key: &FlowKey) -> Option<Flow>;

    /// Removes an entry of a table; false where there was none.
    fn remove(&mut self, table: Table, key: &FlowKey) -> bool;

    /// Whether the backend of a flow no longer serves, or its number is another's.
    fn is_gone(&self, backend: BackendId, generation: u32) -> bool;
}

/// The tables of the kernel.
pub struct FlowTables {
    assured: HashMap<MapData, FlowKey, Flow>,
    new: HashMap<MapData, FlowKey, Flow>,
    /// The same two, for the calls that aya has not.
    raw: [MapData; 2],
    backends: MappedArray<Backend>,
    exhausted: HashMap<MapData, u32, u64>,
    labels: HashMap<MapData, u32, ServiceLabel>,
}

impl std::fmt::Debug for FlowTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowTables").finish_non_exhaustive()
    }
}

impl FlowTables {
    /// Opens the pinned tables.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NotRunning`] where nothing is pinned.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        if !pins.map("FLOWS").exists() {
            return Err(DatapathError::NotRunning { path: pins.directory().to_owned() });
        }
        Ok(Self {
            assured: open(pins, "FLOWS")?,
            new: open(pins, "NEW_FLOWS")?,
            raw: [open_data(&pins.map("FLOWS"), "FLOWS")?, open_data(&pins.map("NEW_FLOWS"), "NEW_FLOWS")?],
            backends: open_array(pins, "BACKENDS")?,
            exhausted: open(pins, "EXHAUSTED")?,
            labels: open(pins, LABELS)?,
        })
    }

    /// `namespace/name` of the Service that a Service port is of; `None` where it is gone.
    pub fn service_name(&self, id: ServiceId) -> Option<String> {
        let label = self.labels.get(&id.number(), 0).ok()?;
        Some(format!("{}/{}", label.namespace(), label.name()))
    }

    /// How many entries the table of assured flows can have.
    pub fn capacity(&self) -> usize {
        let [assured, _] = &self.raw;
        assured.info().map_or(usize::MAX, |info| info.max_entries() as usize)
    }

    fn table(&self, table: Table) -> &HashMap<MapData, FlowKey, Flow> {
        match table {
            Table::Assured => &self.assured,
            Table::New => &self.new,
        }
    }
}

impl Flows for FlowTables {
    fn walk(&self, table: Table, see: &mut dyn FnMut(&FlowKey, &Flow)) -> io::Result<()> {
        let [assured, new] = &self.raw;
        let map = if table == Table::Assured { assured } else { new };
        batch::walk(map, (NO_KEY, NO_FLOW), see)
    }

    fn get(&self, table: Table, key: &FlowKey) -> Option<Flow> {
        self.table(table).get(key, 0).ok()
    }

    fn remove(&mut self, table: Table, key: &FlowKey) -> bool {
        let map = match table {
            Table::Assured => &mut self.assured,
            Table::New => &mut self.new,
        };
        map.remove(key).is_ok()
    }

    fn is_gone(&self, backend: BackendId, generation: u32) -> bool {
        self.backends.get(backend.number()).is_none_or(|found| {
            found.is_free() || found.generation() != generation || found.flags().has(BackendFlags::GONE)
        })
    }
}

/// The moment that the programs would write now.
pub(crate) fn now() -> Moment {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    Moment::from_ns(seconds * 1_000_000_000 + nanoseconds)
}

const NO_KEY: FlowKey = FlowKey::new(
    lb_common::Addr::UNSPECIFIED,
    lb_common::Port::new(0),
    lb_common::Addr::UNSPECIFIED,
    lb_common::Port::new(0),
    lb_common::Proto::ANY,
);

const NO_FLOW: Flow = Flow::new(
    &NO_KEY,
    lb_common::FlowFlags::empty(),
    lb_common::Owner { backend: BackendId::NONE, generation: 0, service: lb_common::ServiceId::NONE },
    Moment::from_ns(0),
);
