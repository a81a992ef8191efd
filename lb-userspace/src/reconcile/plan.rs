//! One change of the tables → operations in an order of which every prefix is valid:
//!
//! 1. *build*: bits of the filter, backends, slots, labels, then the word that points at them, marks on backends
//!    that the word has left behind, and ranges;
//! 2. *leave*, for each Service port that is gone: its frontends to those who have them now, the others of its
//!    frontends removed, marks on its backends, its label removed;
//! 3. *switch*: all other frontends put, then removed;
//! 4. labels and ranges that nobody has any more.
//!
//! A mark stands right behind what leaves its backend behind, the word or the last frontend, so that a frontend
//! never leads into a world of which some endpoints are gone and still keep their flows of UDP.
//!
//! What is given up is freed only later, when no program can read it: [`super::Reconciler::settle`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use lb_common::{Backend, BackendFlags, BackendId, Frontend, FrontendKey, List, Proto, Service, ServiceId};

use super::build::{flags, label, members, ranges, write_build};
use super::phases::Phases;
use super::state::{Group, State, run};
use super::{GoneBackend, Op};
use crate::compile::claims::{Claim, winner};
use crate::tables::{BackendKey, ServiceKey, ServiceTable};

/// Operations, and tables for which there is no room, each with the map that is full.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) ops: Vec<Op>,
    pub(super) refused: Vec<(ServiceTable, &'static str)>,
}

impl State {
    /// What makes the maps hold `tables`, and no more the Service ports that are `gone`. The bookkeeping of
    /// ids, slots and backends is that of afterwards; who has which frontend follows as writes succeed.
    pub(super) fn plan(&mut self, tables: Vec<ServiceTable>, gone: Vec<ServiceKey>) -> Planned {
        let mut phases = Phases::default();
        let mut touched = std::mem::take(&mut self.unsettled);
        let mut refused = Vec::new();
        for key in gone {
            self.remove(&key, &mut phases, &mut touched);
        }
        for table in tables {
            match self.put(&table, &mut phases, &mut touched) {
                Ok(()) => {}
                Err(map) => refused.push((table, map)),
            }
        }
        let unlabelled = self.groups.values().filter(|group| self.unlabelled.contains(&group.id));
        phases.build.extend(unlabelled.map(|group| Op::PutLabel(group.id, Box::new(group.label))));
        if std::mem::take(&mut self.is_adopted) {
            self.mark_left(&mut phases.build);
        }
        let (put_ranges, remove_ranges) = self.ranges.plan();
        phases.build.extend(put_ranges);
        self.switch(&touched, &mut phases);
        let mut ops = self.filter.wanted();
        ops.extend(phases.into_ops());
        ops.extend(self.unsettled_labels.iter().map(|id| Op::RemoveLabel(*id)));
        ops.extend(remove_ranges);
        Planned { ops, refused }
    }

    fn put(
        &mut self,
        table: &ServiceTable,
        phases: &mut Phases,
        touched: &mut BTreeSet<FrontendKey>,
    ) -> Result<(), &'static str> {
        let old = self.groups.remove(&table.key);
        let built = self.build(table, old.as_deref(), phases);
        let Ok(group) = built else {
            if let Some(old) = old {
                self.groups.insert(table.key.clone(), old);
            }
            return built.map(|_| ());
        };
        for (_, backend) in group.backends.values() {
            self.filter.own_backend(backend, table.key.protocol);
        }
        if let Some(old) = &old {
            self.give_up(old, &group, phases);
        }
        let before = old.as_ref().map(|old| &old.ranges);
        self.ranges.change(before.unwrap_or(&BTreeSet::new()), &group.ranges);
        self.claim(table, old.as_deref(), touched);
        self.groups.insert(table.key.clone(), Box::new(group));
        Ok(())
    }

    /// The group as it will be, and the writes that make it so. Nothing is taken where there is no room for
    /// all of it.
    fn build(
        &mut self,
        table: &ServiceTable,
        old: Option<&Group>,
        phases: &mut Phases,
    ) -> Result<Group, &'static str> {
        let new_id = old.is_none();
        let id = match old {
            Some(old) => old.id,
            None => ServiceId::from_number(self.service_ids.take().ok_or("SERVICES")?),
        };
        let backends = match self.build_backends(table, id, old) {
            Ok(backends) => backends,
            Err(map) => {
                if new_id {
                    self.service_ids.put_back(id.number());
                }
                return Err(map);
            }
        };
        let lists = [BackendFlags::IN_CLUSTER, BackendFlags::IN_LOCAL].map(|flag| members(&backends, flag));
        let Some([cluster, local]) = self.take_runs(&lists, old) else {
            let fresh =
                backends.iter().filter(|(key, _)| !old.is_some_and(|old| old.backends.contains_key(key)));
            for (_, (id, _)) in fresh {
                self.backend_ids.put_back(id.number());
            }
            if new_id {
                self.service_ids.put_back(id.number());
            }
            return Err("SLOTS");
        };
        let epoch = match old {
            // Affinity turned on again remembers nobody (AFF-05).
            Some(old) if old.service.affinity_seconds() != 0 || table.affinity_seconds == 0 => {
                old.service.epoch()
            }
            _ => self.take_epoch(),
        };
        let group = Group {
            id,
            service: Service::new(cluster, local, table.affinity_seconds, epoch),
            label: label(table),
            backends,
            lists,
            frontends: table.frontends.iter().map(|(key, flags)| (*key, *flags)).collect(),
            ranges: ranges(table, id),
        };
        write_build(&group, old, &mut phases.build);
        Ok(group)
    }

    fn take_epoch(&mut self) -> u32 {
        let epoch = self.next_epoch;
        self.next_epoch = epoch.wrapping_add(1).max(1);
        epoch
    }

    fn build_backends(
        &mut self,
        table: &ServiceTable,
        service: ServiceId,
        old: Option<&Group>,
    ) -> Result<BTreeMap<BackendKey, (BackendId, Backend)>, &'static str> {
        let mut backends = BTreeMap::new();
        let mut taken = Vec::new();
        for (key, state) in &table.backends {
            let known = old.and_then(|old| old.backends.get(key));
            let entry = match known {
                Some((id, backend)) => (*id, backend.with_flags(flags(*state))),
                None => {
                    let Some(number) = self.backend_ids.take() else {
                        taken.into_iter().for_each(|number| self.backend_ids.put_back(number));
                        return Err("BACKENDS");
                    };
                    taken.push(number);
                    let generation = self.generations.get(&number).copied().unwrap_or_default();
                    let backend = Backend::new(key.addr, key.port, flags(*state), generation, service);
                    (BackendId::from_number(number), backend)
                }
            };
            backends.insert(*key, entry);
        }
        Ok(backends)
    }

    /// Both lists' words: a fresh run for each list that changes. `None`, and nothing taken, where there is no
    /// room.
    fn take_runs(&mut self, lists: &[Vec<BackendId>; 2], old: Option<&Group>) -> Option<[List; 2]> {
        let before = old.map_or([List::EMPTY; 2], |old| [old.service.cluster(), old.service.local()]);
        let mut words = before;
        for index in 0..lists.len() {
            if old.is_some_and(|old| old.lists[index] == lists[index]) {
                continue;
            }
            let len = u32::try_from(lists[index].len()).unwrap_or(u32::MAX);
            let Some(fresh) = self.runs.take(len).filter(|_| len <= List::MAX_LEN) else {
                let taken = words.into_iter().zip(before).filter(|(word, before)| word != before);
                for (word, _) in taken {
                    self.runs.put_back(run(word));
                }
                return None;
            };
            let generation = before[index].generation().wrapping_add(1);
            words[index] = if len == 0 { List::EMPTY } else { List::new(fresh.first, len, generation) };
        }
        Some(words)
    }

    /// What the new group no longer has rests; backends are marked so that no flow goes on to them.
    fn give_up(&mut self, old: &Group, new: &Group, phases: &mut Phases) {
        for (before, after) in
            [(old.service.cluster(), new.service.cluster()), (old.service.local(), new.service.local())]
        {
            if before != after {
                self.runs.rest(run(before));
            }
        }
        for (key, (id, backend)) in &old.backends {
            self.filter.disown_backend(backend, old.label.proto());
            match new.backends.get(key) {
                Some((_, after)) if !after.flags().has(backend.flags()) => {
                    phases.build.push(Op::PutBackend(*id, *after));
                }
                Some(_) => {}
                None => self.retire(*id, backend, old.label.proto(), &mut phases.build),
            }
        }
    }

    /// Marks a backend that no list has any more, by the end of these writes.
    pub(super) fn retire(&mut self, id: BackendId, backend: &Backend, proto: Proto, writes: &mut Vec<Op>) {
        let gone = backend.with_flags(BackendFlags::GONE);
        writes.push(Op::PutBackend(id, gone));
        self.backend_ids.rest(id.number());
        self.gone.push(GoneBackend { id, backend: *backend, proto });
    }

    fn remove(&mut self, key: &ServiceKey, phases: &mut Phases, touched: &mut BTreeSet<FrontendKey>) {
        let Some(group) = self.groups.remove(key) else {
            return;
        };
        for (frontend, _) in &group.frontends {
            self.unclaim(key, frontend);
            touched.insert(*frontend);
        }
        let listed: HashSet<BackendId> = group.lists.iter().flatten().copied().collect();
        let leave = phases.leave.entry(group.id).or_default();
        for (id, backend) in group.backends.values() {
            self.filter.disown_backend(backend, group.label.proto());
            let writes = if listed.contains(id) { &mut leave.marks } else { &mut phases.build };
            self.retire(*id, backend, group.label.proto(), writes);
        }
        self.ranges.change(&group.ranges, &BTreeSet::new());
        self.runs.rest(run(group.service.cluster()));
        self.runs.rest(run(group.service.local()));
        self.service_ids.rest(group.id.number());
        self.unlabelled.remove(&group.id);
    }

    fn claim(&mut self, table: &ServiceTable, old: Option<&Group>, touched: &mut BTreeSet<FrontendKey>) {
        for (frontend, _) in old.into_iter().flat_map(|old| &old.frontends) {
            if !table.frontends.contains_key(frontend) {
                self.unclaim(&table.key, frontend);
                touched.insert(*frontend);
            }
        }
        for (frontend, flags) in &table.frontends {
            let claim = Claim::new(table, *flags);
            let claims = self.claims.entry(*frontend).or_default();
            if claims.is_empty() {
                self.filter.own_frontend(frontend);
            }
            let known = claims.put(claim.clone());
            let same_flags = old.and_then(|old| old.frontend(frontend)) == Some(*flags);
            if known != Some(claim) || !same_flags {
                touched.insert(*frontend);
            }
        }
    }

    fn unclaim(&mut self, key: &ServiceKey, frontend: &FrontendKey) {
        if let Some(claims) = self.claims.get_mut(frontend) {
            claims.remove(key);
            if claims.is_empty() {
                self.claims.remove(frontend);
                self.filter.disown_frontend(frontend);
            }
        }
    }

    /// Puts and removes frontends where who should have one and who has it differ.
    fn switch(&mut self, touched: &BTreeSet<FrontendKey>, phases: &mut Phases) {
        for key in touched {
            let claims = self.claims.get(key);
            self.contests.look(*key, claims);
            let wanted = claims.and_then(|claims| winner(claims.iter())).and_then(|claim| {
                let group = self.groups.get(&claim.key)?;
                Some(Frontend::new(group.id, group.frontend(key)?))
            });
            let installed = self.installed.get(key);
            let leave = installed.and_then(|frontend| phases.leave.get_mut(&frontend.service()));
            let switch = leave.map_or(&mut phases.switch, |leave| &mut leave.switch);
            match (wanted, installed) {
                (Some(wanted), Some(installed)) if wanted == *installed => {}
                (Some(wanted), _) => switch.put.push(Op::PutFrontend(*key, wanted)),
                (None, Some(_)) => switch.remove.push(Op::RemoveFrontend(*key)),
                (None, None) => {}
            }
        }
    }
}
