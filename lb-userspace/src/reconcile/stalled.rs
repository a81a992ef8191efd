//! Carrying plans out: what becomes of a write that fails.
//!
//! A map that has no room refuses one entry: that is told and tried again, and the rest of the plan goes on. A
//! write that fails otherwise stops its plan where it stands. What is in the maps is a prefix of the plan then,
//! and so valid; nothing else is planned until the rest of it was written. What comes meanwhile waits in the form
//! of tables, so that it grows with what there is and not with how often that changes.

use std::collections::{BTreeSet, HashMap, VecDeque};

use lb_common::ServiceId;

use super::plan::Planned;
use super::state::{State, chain};
use super::{NodePath, Op, Outcome, Reconciler, Refusal, Store, StoreError};
use crate::tables::{ServiceKey, ServiceTable};

/// What is to be done before anything is planned.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    /// In order; the first has failed.
    writes: VecDeque<Op>,
    /// Service ports that are to go.
    gone: BTreeSet<ServiceKey>,
    /// What the packet path is to be told.
    pub(super) node: Option<NodePath>,
}

impl Stalled {
    pub(super) fn is_any(&self) -> bool {
        !self.writes.is_empty() || !self.gone.is_empty() || self.node.is_some()
    }

    /// What is wanted is said anew, for every Service.
    pub(super) fn forget(&mut self) {
        self.gone.clear();
    }
}

impl<S: Store> Reconciler<S> {
    /// Whether a write has failed that is to be made again before any other.
    pub fn is_stalled(&self) -> bool {
        !self.stalled.writes.is_empty()
    }

    pub(super) fn update(&mut self, tables: Vec<ServiceTable>, gone: Vec<ServiceKey>) -> Outcome {
        let mut outcome = Outcome::default();
        self.resume(&mut outcome);
        for table in &tables {
            self.stalled.gone.remove(&table.key);
        }
        self.stalled.gone.extend(gone);
        if self.is_stalled() {
            self.waiting.extend(tables.into_iter().map(|table| (table.key.clone(), table)));
            return outcome;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let gone = std::mem::take(&mut self.stalled.gone);
        self.put(tables.into_iter().chain(waiting.into_values()).collect(), gone, &mut outcome);
        // Those that the maps still have are told when they have them no more.
        if !self.is_stalled() {
            outcome.gone = std::mem::take(&mut self.state.gone);
        }
        outcome.contests = self.state.contests.take();
        outcome
    }

    fn put(&mut self, tables: Vec<ServiceTable>, gone: BTreeSet<ServiceKey>, outcome: &mut Outcome) {
        let mut planned = self.state.plan(tables, gone.into_iter().collect());
        if !planned.refused.is_empty() && self.state.has_resting() {
            self.run(std::mem::take(&mut planned.ops), outcome);
            self.settle();
            let refused = planned.refused.into_iter();
            if self.is_stalled() {
                self.waiting.extend(refused.map(|(table, _)| (table.key.clone(), table)));
                return;
            }
            planned = self.state.plan(refused.map(|(table, _)| table).collect(), Vec::new());
        }
        let Planned { ops, refused } = planned;
        self.run(ops, outcome);
        for (table, map) in refused {
            let message = format!("map {map} is full: {} keeps what it had", table.key);
            outcome.refusals.push(Refusal { service: Some(table.key.clone()), message });
            self.waiting.insert(table.key.clone(), table);
        }
    }

    /// Makes the writes that are to be made again, and tells the packet path what it could not be told.
    pub(super) fn resume(&mut self, outcome: &mut Outcome) {
        let ops = std::mem::take(&mut self.stalled.writes);
        self.run(ops.into(), outcome);
        if !self.is_stalled()
            && let Some(node) = self.stalled.node.take()
        {
            self.run_node(node, outcome);
        }
    }

    /// Tells the packet path what the node is, now or as soon as that can be.
    pub(super) fn tell_node(&mut self, node: NodePath, outcome: &mut Outcome) {
        self.stalled.node = Some(node);
        self.resume(outcome);
    }

    pub(super) fn run(&mut self, ops: Vec<Op>, outcome: &mut Outcome) {
        outcome.writes += ops.len();
        outcome.refusals.extend(self.apply(ops));
    }

    /// Carries out operations in order, after those that are to be made again.
    pub(super) fn apply(&mut self, ops: Vec<Op>) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if self.is_stalled() {
            self.stalled.writes.extend(ops);
            return refusals;
        }
        let mut owners = None;
        let mut ops = VecDeque::from(ops);
        while let Some(op) = ops.pop_front() {
            let Some(op) = self.state.in_turn(op) else { continue };
            let Err(error) = self.store.apply(&op) else {
                self.state.done(&op);
                continue;
            };
            refusals.push(refusal(&op, &error, owners.get_or_insert_with(|| self.state.owners())));
            if matches!(error, StoreError::Full { .. }) {
                self.state.failed(&op);
            } else {
                ops.push_front(op);
                self.stalled.writes = ops;
                break;
            }
        }
        refusals
    }
}

impl State {
    /// Whose each service id is.
    fn owners(&self) -> HashMap<ServiceId, ServiceKey> {
        self.groups.iter().map(|(key, group)| (group.id, key.clone())).collect()
    }
}

/// Whose operation failed, and why.
fn refusal(op: &Op, error: &StoreError, owners: &HashMap<ServiceId, ServiceKey>) -> Refusal {
    let owner = |id: ServiceId| owners.get(&id).cloned();
    let (service, what) = match op {
        Op::PutFrontend(key, frontend) => (owner(frontend.service()), format!("frontend {key}")),
        Op::RemoveFrontend(key) => (None, format!("removal of frontend {key}")),
        Op::PutLabel(id, label) => (owner(*id), format!("label of {label:?}")),
        Op::RemoveLabel(id) => (None, format!("removal of the label of service {id}")),
        Op::PutBackend(id, backend) => (owner(backend.service()), format!("backend {id}")),
        Op::PutSlots(first, _) => (None, format!("slots from {first}")),
        Op::PutService(id, _) => (owner(*id), format!("service {id}")),
        Op::SetFilter(_) => (None, "bit of the filter".to_owned()),
        Op::ClearFilter(_) => (None, "removal of a bit of the filter".to_owned()),
        Op::PutRange(range) => (None, format!("range {}", range.key.addr())),
        Op::RemoveRange(range) => (None, format!("removal of range {}", range.key.addr())),
        Op::PutNode(_) => (None, "the node's facts".to_owned()),
    };
    Refusal { service, message: format!("{what}: {}", chain(error)) }
}
