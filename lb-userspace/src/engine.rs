//! The one loop: what wakes it is a closed list ([`Event`]), what it does is [`Engine::handle`].
//!
//! Nothing is taken out of the kernel before the first complete picture of the world (SYN-01).

mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use lb_common::{FilterBit, RangeSet};

use crate::compile::{compile, size};
use crate::control::Snapshot;
use crate::model::{Affected, Change, DetectLocal, Family, NodeFacts, ObjectName, World};
use crate::reconcile::{Barrier, Contest, GoneBackend, NodePath, Outcome, Reconciler, Refusal, Store};
use crate::source::SourceEvent;
use crate::tables::{ServiceKey, ServiceTable, Unserved};
use room::Room;

/// Everything that wakes the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A source saw something.
    Source(SourceEvent),
    /// The node has these addresses now.
    Addresses(Vec<IpAddr>),
    /// The barrier of [`Engine::begin_settling`] has returned.
    Settled,
    /// What could not be put in force is to be tried again: see [`Engine::is_behind`].
    Retry,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Counts the events that were put in force.
    pub generation: u64,
    /// Services compiled.
    pub services: usize,
    /// Map writes.
    pub writes: usize,
    /// What could not be put in force.
    pub refusals: Vec<Refusal>,
    /// Backends that are gone by it.
    pub gone: Vec<GoneBackend>,
    /// What several Services claim, where that is new or has another outcome now.
    pub contests: Vec<Contest>,
    /// From the event to the last write.
    pub took: Duration,
}

/// World in, maps out.
#[derive(Debug)]
pub struct Engine<S> {
    world: World,
    node: NodeFacts,
    /// The addresses that the interfaces have; `None` where the node's addresses were given.
    interfaces: Option<Vec<IpAddr>>,
    /// Where ClusterIPs are from, as the packet path was told.
    service_cidrs: Vec<IpNet>,
    reconciler: Reconciler<S>,
    /// Services that are too large to be compiled, and stay as they were.
    too_large: BTreeMap<ObjectName, Refusal>,
    /// Services with a port that a policy leaves without endpoints here.
    unserved: BTreeMap<ObjectName, Unserved>,
    /// What all others come to.
    room: Room,
    synced: bool,
    /// A barrier is being waited for.
    settling: bool,
    generation: u64,
}

impl<S: Store> Engine<S> {
    /// An engine for this node. Where pods are what its Node says, they are where they were until it says so.
    pub fn new(mut node: NodeFacts, reconciler: Reconciler<S>) -> Self {
        if node.detect_local == DetectLocal::NodeCidr {
            node.cluster_cidrs = reconciler.networks(RangeSet::PODS);
        }
        Self {
            world: World::default(),
            node,
            interfaces: None,
            service_cidrs: vec![],
            room: Room::new(reconciler.store().capacity()),
            reconciler,
            too_large: BTreeMap::new(),
            unserved: BTreeMap::new(),
            synced: false,
            settling: false,
            generation: 0,
        }
    }

    /// Whether the first complete picture is in force.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// What the sources have said.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What is known of this node.
    pub fn node(&self) -> &NodeFacts {
        &self.node
    }

    /// How many Service ports a policy leaves without endpoints here, as they were compiled last.
    pub fn unserved(&self) -> Unserved {
        self.unserved.values().copied().fold(Unserved::default(), Unserved::and)
    }

    /// Whether there is something to tidy up when nothing else is to be done.
    pub fn wants_settling(&self) -> bool {
        !self.settling && self.reconciler.has_resting()
    }

    /// Whether something that is known could not be put in force: send [`Event::Retry`] in a while.
    pub fn is_behind(&self) -> bool {
        self.reconciler.is_behind() || !self.too_large.is_empty()
    }

    /// Whether a write has failed, so that no change can be put in force before it succeeds.
    pub fn is_stalled(&self) -> bool {
        self.reconciler.is_stalled()
    }

    /// Begins to free what was given up. Call the barrier on a thread that may wait, then send
    /// [`Event::Settled`].
    pub fn begin_settling(&mut self) -> Barrier {
        self.settling = true;
        self.reconciler.begin_settling()
    }

    /// The networks of a set as they are in the maps, maybe from an earlier run.
    pub fn networks(&self, set: RangeSet) -> Vec<IpNet> {
        self.reconciler.networks(set)
    }

    /// Tells the packet path what the node is; what could not be told is told by the next call.
    pub fn put_node(&mut self, node: NodePath) -> Vec<Refusal> {
        self.service_cidrs.clone_from(&node.service_cidrs);
        self.reconciler.put_node(node).refusals
    }

    /// All that it decides by, for those who ask why.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.world, &self.node, &self.service_cidrs)
    }

    /// Bits of the filter that only flows may still need, and that have been so since the call before; none
    /// before the first picture is in force, for they may stand for what it has.
    pub fn idle_bits(&mut self) -> BTreeSet<FilterBit> {
        if self.synced { self.reconciler.idle_bits() } else { BTreeSet::new() }
    }

    /// Clears bits that no flow needs.
    pub fn clear_bits(&mut self, bits: BTreeSet<FilterBit>) {
        self.reconciler.clear_bits(bits);
    }

    /// Puts an event in force; `None` where there was nothing to do, or nothing may be done yet.
    pub fn handle(&mut self, event: Event) -> Option<Report> {
        let began = Instant::now();
        let affected = match event {
            Event::Source(event) => {
                let affected = self.take_in(event.changes);
                self.synced |= event.first;
                if event.first { Scope::Everything } else { affected }
            }
            Event::Addresses(addresses) if self.interfaces.as_ref() == Some(&addresses) => Scope::default(),
            Event::Addresses(addresses) => {
                self.interfaces = Some(addresses);
                self.hear_node();
                Scope::Everything
            }
            Event::Settled => {
                self.settling = false;
                self.reconciler.end_settling();
                // There may be room now.
                if self.is_behind() { Scope::Refused } else { Scope::default() }
            }
            Event::Retry => Scope::Refused,
        };
        if !self.synced && !matches!(affected, Scope::Refused) {
            return None;
        }
        let (services, outcome) = match affected {
            Scope::Refused => (0, self.reconciler.retry()),
            Scope::Services(names) if names.is_empty() => return None,
            Scope::Services(names) => self.put_services(names),
            Scope::Everything => self.put_everything(),
        };
        let mut refusals = outcome.refusals;
        refusals.extend(self.too_large.values().cloned());
        self.generation += 1;
        Some(Report {
            generation: self.generation,
            services,
            writes: outcome.writes,
            refusals,
            gone: outcome.gone,
            contests: outcome.contests,
            took: began.elapsed(),
        })
    }

    fn take_in(&mut self, changes: Vec<Change>) -> Scope {
        let mut scope = Scope::default();
        for change in changes {
            scope.add(self.world.apply(change));
        }
        self.hear_node();
        scope
    }

    /// Takes from the Node object what nobody said otherwise; until it is seen, pods are where an earlier run
    /// knew them.
    fn hear_node(&mut self) {
        let object = self.world.node();
        self.node.zone = object.and_then(|object| object.zone.clone());
        if let Some(object) = object
            && self.node.detect_local == DetectLocal::NodeCidr
        {
            self.node.cluster_cidrs.clone_from(&object.pod_cidrs);
        }
        if let Some(interfaces) = &self.interfaces {
            self.node.set_addresses(interfaces, object.map_or(&[], |object| &object.addresses));
        }
    }

    fn put_services(&mut self, mut names: BTreeSet<ObjectName>) -> (usize, Outcome) {
        let count = names.len();
        let mut tables: Vec<ServiceTable> = names.iter().flat_map(|name| self.compile(name)).collect();
        while let Some(name) = self.room.next() {
            tables.extend(self.compile(&name));
            names.insert(name);
        }
        names.retain(|name| !self.too_large.contains_key(name));
        (count, self.reconciler.replace_several(&names, tables))
    }

    fn put_everything(&mut self) -> (usize, Outcome) {
        let names = self.world.services().map(|service| service.name.clone());
        // Those that are compiled already have their room before others.
        let (known, new): (Vec<ObjectName>, Vec<ObjectName>) = names.partition(|name| self.room.has(name));
        let names = [known, new].concat();
        self.too_large.clear();
        self.unserved.clear();
        self.room = Room::new(self.reconciler.store().capacity());
        let tables = names.iter().flat_map(|name| self.compile(name)).collect();
        let stays = |name: &ObjectName| self.too_large.contains_key(name);
        (names.len(), self.reconciler.replace_all_but(tables, stays))
    }

    /// The tables of a Service; none of one that is gone, or too large.
    fn compile(&mut self, name: &ObjectName) -> Vec<ServiceTable> {
        self.too_large.remove(name);
        self.room.leave(name);
        self.unserved.remove(name);
        let Some(service) = self.world.service(name) else { return Vec::new() };
        let slices = self.world.slices_of(name);
        let room = match size::excess(service, &slices) {
            Some(why) => Err(why),
            None => self.room.enter(name, size::weight(service, &slices)),
        };
        let Err(why) = room else {
            let tables = compile(service, &slices, &self.node);
            let unserved = tables.iter().map(ServiceTable::unserved).fold(Unserved::default(), Unserved::and);
            if unserved != Unserved::default() {
                self.unserved.insert(name.clone(), unserved);
            }
            return tables;
        };
        if let Some(port) = service.ports.first() {
            let key = ServiceKey {
                service: name.clone(),
                port_name: port.name.clone(),
                protocol: port.protocol,
                family: service.cluster_ips.first().map_or(Family::V4, |ip| Family::of(*ip)),
            };
            let message = format!("Service {name} stays as it was: {why}");
            self.too_large.insert(name.clone(), Refusal { service: Some(key), message });
        }
        Vec::new()
    }
}

/// What is to be compiled anew.
enum Scope {
    Services(BTreeSet<ObjectName>),
    Everything,
    /// Nothing, but what could not be put in force is tried again.
    Refused,
}

impl Default for Scope {
    fn default() -> Self {
        Self::Services(BTreeSet::new())
    }
}

impl Scope {
    fn add(&mut self, affected: Affected) {
        match (self, affected) {
            (_, Affected::Nothing) | (Self::Everything | Self::Refused, _) => {}
            (Self::Services(names), Affected::Services(more)) => names.extend(more),
            (scope, Affected::Everything) => *scope = Self::Everything,
        }
    }
}

#[cfg(test)]
mod tests;
