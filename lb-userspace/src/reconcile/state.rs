//! The reconciler: what is in the maps, why, and what failed to get there.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{Backend, BackendId, Frontend, FrontendFlags, FrontendKey, Service, ServiceId, ServiceLabel};

use super::claims::Claims;
use super::contest::{Contest, Contests};
use super::filter::Filter;
use super::ids::{Ids, Run, Runs};
use super::packets::NodePath;
use super::ranges::Ranges;
use super::stalled::Stalled;
use super::{Barrier, GoneBackend, Op, Range, Store, StoreError};
use crate::model::{Family, ObjectName};
use crate::tables::{BackendKey, ServiceKey, ServiceTable};

/// One Service port as it is in the maps.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: ServiceId,
    pub(super) service: Service,
    pub(super) label: ServiceLabel,
    pub(super) backends: BTreeMap<BackendKey, (BackendId, Backend)>,
    /// What stands in the slots of the cluster list and of the local list. After a crash that may be other
    /// than what the flags of the backends say.
    pub(super) lists: [Vec<BackendId>; 2],
    /// What it wants, in order; whether it has them is in `State::installed`.
    pub(super) frontends: Box<[(FrontendKey, FrontendFlags)]>,
    /// Its source ranges.
    pub(super) ranges: BTreeSet<Range>,
}

impl Group {
    /// The flags of a frontend that it wants.
    pub(super) fn frontend(&self, key: &FrontendKey) -> Option<FrontendFlags> {
        let place = self.frontends.binary_search_by_key(key, |(key, _)| *key).ok()?;
        self.frontends.get(place).map(|(_, flags)| *flags)
    }
}

/// Something that could not be put in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Whose it is; `None` where a leftover could not be removed.
    pub service: Option<ServiceKey>,
    /// What and why, for people.
    pub message: String,
}

/// What an update did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Writes made.
    pub writes: usize,
    /// What could not be put in force; it is tried again with every update.
    pub refusals: Vec<Refusal>,
    /// Backends that are gone by it.
    pub gone: Vec<GoneBackend>,
    /// What several Services claim, where that is new or has another outcome now.
    pub contests: Vec<Contest>,
}

/// Bookkeeping of the maps.
#[derive(Debug)]
pub(super) struct State {
    pub(super) groups: BTreeMap<ServiceKey, Box<Group>>,
    /// Who wants each frontend.
    pub(super) claims: BTreeMap<FrontendKey, Claims>,
    pub(super) contests: Contests,
    /// Who has it.
    pub(super) installed: BTreeMap<FrontendKey, Frontend>,
    pub(super) service_ids: Ids,
    pub(super) backend_ids: Ids,
    /// Backends that were retired and not told yet.
    pub(super) gone: Vec<GoneBackend>,
    /// The generation of each backend id that was in use before.
    pub(super) generations: BTreeMap<u32, u32>,
    pub(super) runs: Runs,
    pub(super) next_epoch: u32,
    /// Frontends whose last write failed, and those nobody has looked at since a start.
    pub(super) unsettled: BTreeSet<FrontendKey>,
    /// Services whose label could not be written yet: they get no frontend before they have one.
    pub(super) unlabelled: BTreeSet<ServiceId>,
    /// Labels that nobody has any more and that could not be removed yet.
    pub(super) unsettled_labels: BTreeSet<ServiceId>,
    pub(super) filter: Filter,
    pub(super) ranges: Ranges,
    /// What the packet path was told of the node.
    pub(super) node: Option<NodePath>,
    /// Nothing was planned yet since the maps were taken over.
    pub(super) is_adopted: bool,
    /// Backends that rest since then and are not marked yet.
    pub(super) unmarked: Vec<(BackendId, Backend)>,
}

/// Keeps the maps as the tables say.
#[derive(Debug)]
pub struct Reconciler<S> {
    pub(super) store: S,
    pub(super) state: State,
    /// [`Reconciler::replace_all`] was called.
    is_told: bool,
    /// Tables that found no room, or came while a write had to be made again.
    pub(super) waiting: BTreeMap<ServiceKey, ServiceTable>,
    /// A write that the kernel refused, and what came after it in its plan. Nothing is planned before it is made:
    /// what is in the maps stays a prefix of what was planned, and so valid.
    pub(super) stalled: Stalled,
}

impl<S: Store> Reconciler<S> {
    /// Takes over what is in the maps: ids keep their meaning. The first call after this is
    /// [`Reconciler::replace_all`].
    ///
    /// # Errors
    ///
    /// Where the maps can't be read.
    pub fn adopt(store: S) -> Result<Self, StoreError> {
        store.barrier()();
        let state = State::adopt(store.observe()?, store.capacity());
        Ok(Self { store, state, is_told: false, waiting: BTreeMap::new(), stalled: Stalled::default() })
    }

    /// The maps.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The maps back; what is in them stays.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Makes the maps hold these tables and nothing else.
    pub fn replace_all(&mut self, tables: Vec<ServiceTable>) -> Outcome {
        self.replace_all_but(tables, |_| false)
    }

    /// The same, but that these Services stay as they are.
    pub fn replace_all_but(
        &mut self,
        tables: Vec<ServiceTable>,
        stays: impl Fn(&ObjectName) -> bool,
    ) -> Outcome {
        let wanted: BTreeSet<ServiceKey> = tables.iter().map(|table| table.key.clone()).collect();
        let is_gone = |key: &&ServiceKey| !wanted.contains(*key) && !stays(&key.service);
        let gone = self.state.groups.keys().filter(is_gone).cloned().collect();
        self.waiting.clear();
        self.stalled.forget();
        self.is_told = true;
        self.update(tables, gone)
    }

    /// Makes the maps hold these tables for one Service and leaves the others as they are.
    pub fn replace(&mut self, service: &ObjectName, tables: Vec<ServiceTable>) -> Outcome {
        self.replace_several(&BTreeSet::from([service.clone()]), tables)
    }

    /// The same for several Services, with the tables of all of them.
    pub fn replace_several(&mut self, services: &BTreeSet<ObjectName>, tables: Vec<ServiceTable>) -> Outcome {
        let wanted: BTreeSet<ServiceKey> = tables.iter().map(|table| table.key.clone()).collect();
        let gone = services.iter().flat_map(|service| self.give_up(service, &wanted)).collect();
        self.update(tables, gone)
    }

    /// Tries again what could not be put in force.
    pub fn retry(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if self.is_told {
            return self.update(Vec::new(), Vec::new());
        }
        // Nobody has said yet what is wanted: all that is there would be taken out.
        self.resume(&mut outcome);
        outcome
    }

    /// Whether something could not be put in force, so that [`Reconciler::retry`] may do something.
    pub fn is_behind(&self) -> bool {
        self.stalled.is_any() || self.is_told && (!self.waiting.is_empty() || self.state.is_behind())
    }

    /// What is in the maps of a Service and not wanted; what waited of it does no more.
    fn give_up(&mut self, service: &ObjectName, wanted: &BTreeSet<ServiceKey>) -> Vec<ServiceKey> {
        let of_service = |key: &ServiceKey| key.service == *service;
        let from = ServiceKey {
            service: service.clone(),
            port_name: String::new(),
            protocol: lb_common::Proto::ANY,
            family: Family::V4,
        };
        let waiting: Vec<ServiceKey> = self
            .waiting
            .range(&from..)
            .map(|(key, _)| key)
            .take_while(|key| of_service(key))
            .cloned()
            .collect();
        for key in waiting {
            self.waiting.remove(&key);
        }
        let known = self.state.groups.range(from..).map(|(key, _)| key);
        known.take_while(|key| of_service(key)).filter(|key| !wanted.contains(*key)).cloned().collect()
    }

    /// Whether numbers rest that nobody has begun to wait for.
    pub fn has_resting(&self) -> bool {
        // What rests may be read still while the writes that give it up are not made, and after a crash before
        // the first plan was.
        self.is_told && !self.is_stalled() && self.state.has_resting()
    }

    /// Begins to free the numbers that rest: whoever calls waits by the barrier, on a thread that may wait, and
    /// then calls [`Reconciler::end_settling`]. Once at a time.
    pub fn begin_settling(&mut self) -> Barrier {
        self.state.begin_settling();
        self.store.barrier()
    }

    /// The barrier has returned: what rested when it was made is free.
    pub fn end_settling(&mut self) {
        let ops = self.state.wake();
        // What fails is told with the next update.
        self.apply(ops);
    }

    /// Frees all numbers that rest, waiting here.
    pub fn settle(&mut self) {
        if self.has_resting() {
            self.begin_settling()();
            self.end_settling();
        }
    }
}

impl State {
    pub(super) fn has_resting(&self) -> bool {
        self.service_ids.has_resting() || self.backend_ids.has_resting() || self.runs.has_resting()
    }

    /// Whether there are writes for which there was no room.
    fn is_behind(&self) -> bool {
        !self.unsettled.is_empty()
            || !self.unlabelled.is_empty()
            || !self.unsettled_labels.is_empty()
            || self.ranges.is_behind()
            || self.filter.is_behind()
    }

    fn begin_settling(&mut self) {
        self.service_ids.begin_settling();
        self.backend_ids.begin_settling();
        self.runs.begin_settling();
    }

    /// Everything that was settling is free; the writes that make it so.
    fn wake(&mut self) -> Vec<Op> {
        self.runs.wake();
        // Words first: none is left that points at a backend which is freed next.
        let services = self.service_ids.wake().into_iter().map(ServiceId::from_number);
        let mut ops: Vec<Op> = services.map(|id| Op::PutService(id, Service::default())).collect();
        for id in self.backend_ids.wake() {
            let generation = self.generations.entry(id).or_default();
            *generation = generation.wrapping_add(1);
            ops.push(Op::PutBackend(BackendId::from_number(id), Backend::free(*generation)));
        }
        ops
    }

    /// What is done in place of an operation that must wait: a frontend never leads to a service without a label,
    /// neither the one that is to have it nor one that goes.
    pub(super) fn in_turn(&mut self, op: Op) -> Option<Op> {
        match op {
            Op::PutFrontend(key, frontend) if self.unlabelled.contains(&frontend.service()) => {
                self.unsettled.insert(key);
                let owner = self.installed.get(&key)?.service();
                let is_gone = !self.groups.values().any(|group| group.id == owner);
                is_gone.then_some(Op::RemoveFrontend(key))
            }
            op => Some(op),
        }
    }

    /// An operation succeeded.
    pub(super) fn done(&mut self, op: &Op) {
        match op {
            Op::PutFrontend(key, frontend) => {
                self.installed.insert(*key, *frontend);
                self.unsettled.remove(key);
            }
            Op::RemoveFrontend(key) => {
                self.installed.remove(key);
                // Who claims it still has to wait for it.
                if !self.claims.contains_key(key) {
                    self.unsettled.remove(key);
                }
            }
            Op::PutLabel(id, _) => {
                self.unlabelled.remove(id);
            }
            Op::RemoveLabel(id) => {
                self.unsettled_labels.remove(id);
            }
            Op::SetFilter(_) | Op::ClearFilter(_) => self.filter.done(op),
            Op::PutRange(_) | Op::RemoveRange(_) => self.ranges.done(op),
            Op::PutBackend(..) | Op::PutSlots(..) | Op::PutService(..) | Op::PutNode(_) => {}
        }
    }

    /// There was no room for an operation: it is remembered where it has to be tried again.
    pub(super) fn failed(&mut self, op: &Op) {
        match op {
            Op::PutFrontend(key, _) | Op::RemoveFrontend(key) => {
                self.unsettled.insert(*key);
            }
            Op::PutLabel(id, _) => {
                self.unlabelled.insert(*id);
            }
            Op::RemoveLabel(id) => {
                self.unsettled_labels.insert(*id);
            }
            _ => {}
        }
    }
}

/// The run of a list.
pub(super) fn run(list: lb_common::List) -> Run {
    Run { first: list.first(), len: list.len() }
}

/// An error and what is behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
