//! The tables of flows, which the programs write: read for people, and kept free of what is over.
//!
//! [`FlowTables`] opens them; [`collect::Collector`] walks through them now and then. A walk reads by batches,
//! for a system call an entry would take a second a million.

mod collect;
mod exhausted;
mod pairs;

use std::io;
use std::os::fd::AsFd;

use aya::maps::{HashMap, MapData};
use lb_common::{Backend, BackendFlags, BackendId, Flow, FlowKey, Moment, ServiceId, ServiceLabel};
use rustix::time::{ClockId, clock_gettime};

use super::array::MappedArray;
use super::store::{LABELS, open, open_array, open_data};
use super::{DatapathError, Pins, sys};

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
    /// Where they can't be opened.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
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

    fn table(&self, table: Table) -> &HashMap<MapData, FlowKey, Flow> {
        match table {
            Table::Assured => &self.assured,
            Table::New => &self.new,
        }
    }
}

impl Flows for FlowTables {
    fn walk(&self, table: Table, see: &mut dyn FnMut(&FlowKey, &Flow)) -> io::Result<()> {
        /// A bucket of a table twice as large as its fill has a handful of entries; this is 400 kB.
        const ROOM: usize = 4096;
        let [assured, new] = &self.raw;
        let map = if table == Table::Assured { assured } else { new };
        let mut keys = vec![NO_KEY; ROOM];
        let mut values = vec![NO_FLOW; ROOM];
        let mut cursor = None;
        loop {
            let (count, next) = match sys::lookup_batch(map.fd().as_fd(), cursor, &mut keys, &mut values) {
                Ok(read) => read,
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    keys.resize(keys.len() * 2, NO_KEY);
                    values.resize(values.len() * 2, NO_FLOW);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (key, flow) in keys.iter().zip(&values).take(count) {
                see(key, flow);
            }
            match next {
                Some(_) => cursor = next,
                None => return Ok(()),
            }
        }
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
