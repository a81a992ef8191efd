//! What the programs wrote.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::Pod;
use aya::maps::{HashMap, MapError};
use lb_common::{
    Affinity, AffinityKey, BackendId, Flow, FlowKey, Fragment, FragmentKey, Frontend, FrontendKey, Moment,
};
use nix::time::{ClockId, clock_gettime};

use super::{Lab, ok};

/// One of the two tables of flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Flows that both sides were heard of.
    Assured,
    /// The others.
    New,
}

impl Table {
    const fn map(self) -> &'static str {
        match self {
            Self::Assured => "FLOWS",
            Self::New => "NEW_FLOWS",
        }
    }
}

impl Lab {
    /// How many directions of flows a table has.
    #[track_caller]
    pub fn count_flows(&self, table: Table) -> usize {
        ok(self.flow_table(table)).keys().count()
    }

    /// All directions of flows of a table.
    #[track_caller]
    pub fn flows(&self, table: Table) -> Vec<(FlowKey, Flow)> {
        let map = ok(self.flow_table(table));
        map.iter().collect::<Result<_, MapError>>().expect("a table that nobody writes")
    }

    /// One direction of a flow.
    #[track_caller]
    pub fn flow(&self, table: Table, key: &FlowKey) -> Option<Flow> {
        match ok(self.flow_table(table)).get(key, 0) {
            Ok(flow) => Some(flow),
            Err(MapError::KeyNotFound) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Writes a direction of a flow.
    #[track_caller]
    pub fn put_flow(&mut self, table: Table, key: &FlowKey, flow: &Flow) {
        let map = ok(self.programs.ebpf.map_mut(table.map()).context("no such map"));
        let mut map: HashMap<_, FlowKey, Flow> = ok(map.try_into().context("its type"));
        ok(map.insert(key, flow, 0).context("write a flow"));
    }

    /// Removes a direction of a flow.
    #[track_caller]
    pub fn remove_flow(&mut self, table: Table, key: &FlowKey) {
        let map = ok(self.programs.ebpf.map_mut(table.map()).context("no such map"));
        let mut map: HashMap<_, FlowKey, Flow> = ok(map.try_into().context("its type"));
        ok(map.remove(key).context("remove a flow"));
    }

    /// Waits until flows are noted at another moment than now: a seventh of a second at most.
    pub fn wait_for_another_moment(&self) {
        let then = moment();
        while moment() == then {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// How often no masquerade port was free toward a backend.
    #[track_caller]
    pub fn exhausted(&self, backend: BackendId) -> u64 {
        let map = ok(self.programs.ebpf.map("EXHAUSTED").context("no map EXHAUSTED"));
        let map: HashMap<_, u32, u64> = ok(map.try_into().context("its type"));
        map.get(&backend.number(), 0).unwrap_or(0)
    }

    /// Empties the maps, so that there is nothing to serve and nothing known: as if all were new, only faster.
    #[track_caller]
    pub fn forget(&mut self) {
        ok(self.try_forget());
    }

    fn try_forget(&mut self) -> Result<()> {
        self.empty::<FrontendKey, Frontend>("FRONTENDS")?;
        self.empty::<FlowKey, Flow>("FLOWS")?;
        self.empty::<FlowKey, Flow>("NEW_FLOWS")?;
        self.empty::<FragmentKey, Fragment>("FRAGMENTS")?;
        self.empty::<AffinityKey, Affinity>("AFFINITY")?;
        self.empty::<u32, u64>("EXHAUSTED")?;
        self.forget_ranges()?;
        self.forget_filter()?;
        self.describe_node()
    }

    fn empty<K: Pod, V: Pod>(&mut self, name: &'static str) -> Result<()> {
        let map = self.programs.ebpf.map_mut(name).with_context(|| format!("no map {name}"))?;
        let mut map: HashMap<_, K, V> = map.try_into().with_context(|| format!("the type of {name}"))?;
        let keys: Vec<K> = map.keys().collect::<Result<_, _>>().with_context(|| format!("read {name}"))?;
        keys.iter().try_for_each(|key| map.remove(key)).with_context(|| format!("empty {name}"))
    }

    fn flow_table(&self, table: Table) -> Result<HashMap<&aya::maps::MapData, FlowKey, Flow>> {
        let map = self.programs.ebpf.map(table.map()).with_context(|| format!("no map {}", table.map()))?;
        map.try_into().with_context(|| format!("the type of {}", table.map()))
    }
}

/// Now, by the clock that the programs read.
fn moment() -> Moment {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("a clock that every Linux has");
    Moment::from_ns(Duration::from(now).as_nanos() as u64)
}
