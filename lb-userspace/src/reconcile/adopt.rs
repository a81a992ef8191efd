//! The bookkeeping of what an earlier run left in the maps.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use lb_common::{
    Backend, BackendFlags, BackendId, FrontendFlags, FrontendKey, Proto, RangeSet, Service, ServiceId,
    ServiceLabel,
};

use super::contest::Contests;
use super::filter::Filter;
use super::ids::{Ids, Runs};
use super::ranges::Ranges;
use super::state::{Group, State, run};
use super::{Capacity, GoneBackend, Observed, Op};
use crate::compile::claims::Claim;
use crate::model::{Family, ObjectName};
use crate::tables::{BackendKey, ServiceKey};

impl State {
    pub(super) fn adopt(observed: Observed, capacity: Capacity) -> Self {
        let Observed { frontends, services, labels, backends, slots, filter, ranges } = observed;
        let next_epoch = services.values().map(Service::epoch).max().unwrap_or(0).wrapping_add(1);
        let mut state = Self {
            groups: BTreeMap::new(),
            claims: BTreeMap::new(),
            contests: Contests::default(),
            unsettled: frontends.keys().copied().collect(),
            installed: frontends,
            service_ids: Ids::new(
                capacity.services,
                labels.keys().chain(services.keys()).map(|id| id.number()),
            ),
            backend_ids: Ids::new(
                capacity.backends,
                backends.iter().filter(|(_, backend)| !backend.is_free()).map(|(id, _)| id.number()),
            ),
            gone: Vec::new(),
            generations: backends.iter().map(|(id, backend)| (id.number(), backend.generation())).collect(),
            runs: Runs::new(capacity.slots, std::iter::empty()),
            next_epoch,
            unlabelled: BTreeSet::new(),
            unsettled_labels: BTreeSet::new(),
            filter: Filter::new(filter),
            ranges: Ranges::new(ranges),
            node: None,
            is_adopted: true,
            unmarked: Vec::new(),
        };
        let mut of_service: BTreeMap<ServiceId, Vec<(BackendId, Backend)>> = BTreeMap::new();
        for (id, backend) in backends {
            if !backend.is_free() {
                of_service.entry(backend.service()).or_default().push((id, backend));
            }
        }
        let mut frontends: BTreeMap<ServiceId, Vec<(FrontendKey, FrontendFlags)>> = BTreeMap::new();
        for (key, frontend) in &state.installed {
            frontends.entry(frontend.service()).or_default().push((*key, frontend.flags()));
        }
        let mut runs = Vec::new();
        for (id, service) in &services {
            match labels.get(id).and_then(|label| Some((service_key(label)?, label))) {
                Some((key, label)) if !state.groups.contains_key(&key) => {
                    let backends =
                        state.adopt_backends(of_service.remove(id).unwrap_or_default(), label.proto());
                    for (_, backend) in backends.values() {
                        state.filter.own_backend(backend, label.proto());
                    }
                    let words = [service.cluster(), service.local()];
                    runs.extend(words.map(run));
                    let lists = words.map(|list| {
                        let slots = slots.range(list.first()..list.first().saturating_add(list.len()));
                        slots.map(|(_, id)| *id).collect()
                    });
                    let group = Group {
                        id: *id,
                        service: *service,
                        label: *label,
                        backends,
                        lists,
                        frontends: frontends.remove(id).unwrap_or_default().into(),
                        ranges: state.ranges.of(RangeSet::sources(*id)),
                    };
                    state.claim_found(&key, &group);
                    state.groups.insert(key, Box::new(group));
                }
                // Given up by an earlier run that ended before the id was free again.
                _ => state.service_ids.rest(id.number()),
            }
        }
        state.runs = Runs::new(capacity.slots, runs.into_iter());
        for (id, backend) in of_service.into_values().flatten() {
            // Whose it was nobody knows any more; to look for sockets that it has not costs little.
            state.adopt_gone(id, backend, Proto::UDP);
        }
        let known: HashSet<ServiceId> = state.groups.values().map(|group| group.id).collect();
        state.unsettled_labels = labels.into_keys().filter(|id| !known.contains(id)).collect();
        state
    }

    /// What a Service port has it wants, until somebody says otherwise.
    fn claim_found(&mut self, key: &ServiceKey, group: &Group) {
        let usable =
            group.backends.values().any(|(_, backend)| backend.flags().has(BackendFlags::IN_CLUSTER));
        for (frontend, flags) in &group.frontends {
            self.filter.own_frontend(frontend);
            self.claims.entry(*frontend).or_default().put(Claim::found(key, *flags, usable));
        }
        self.ranges.change(&BTreeSet::new(), &group.ranges);
    }

    /// Those that still serve, by address; the others rest.
    fn adopt_backends(
        &mut self,
        found: Vec<(BackendId, Backend)>,
        proto: Proto,
    ) -> BTreeMap<BackendKey, (BackendId, Backend)> {
        let mut backends = BTreeMap::new();
        for (id, backend) in found {
            let key = BackendKey { addr: backend.addr(), port: backend.port() };
            if backend.flags().has(BackendFlags::GONE) || backends.contains_key(&key) {
                self.adopt_gone(id, backend, proto);
            } else {
                backends.insert(key, (id, backend));
            }
        }
        backends
    }

    /// The run before may have ended before it could tell, or mark it.
    fn adopt_gone(&mut self, id: BackendId, backend: Backend, proto: Proto) {
        self.backend_ids.rest(id.number());
        self.gone.push(GoneBackend { id, backend, proto });
        if !backend.flags().has(BackendFlags::GONE) {
            self.unmarked.push((id, backend));
        }
    }

    /// Marks the backends that have left the lists and that a run before was killed over, also those of Services
    /// that stay as they are: for the first plan after the adoption, when what it changes has its lists.
    pub(super) fn mark_left(&mut self, writes: &mut Vec<Op>) {
        let unmarked = std::mem::take(&mut self.unmarked).into_iter();
        writes
            .extend(unmarked.map(|(id, backend)| Op::PutBackend(id, backend.with_flags(BackendFlags::GONE))));
        let mut left = Vec::new();
        for group in self.groups.values_mut() {
            let listed: HashSet<BackendId> = group.lists.iter().flatten().copied().collect();
            // One that drains is in no list, and doesn't say that it is.
            let is_left = |backend: &Backend| {
                [BackendFlags::IN_CLUSTER, BackendFlags::IN_LOCAL]
                    .iter()
                    .any(|flag| backend.flags().has(*flag))
            };
            let proto = group.label.proto();
            group.backends.retain(|_, (id, backend)| {
                let stays = listed.contains(id) || !is_left(backend);
                if !stays {
                    left.push((*id, *backend, proto));
                }
                stays
            });
        }
        for (id, backend, proto) in left {
            self.filter.disown_backend(&backend, proto);
            self.retire(id, &backend, proto, writes);
        }
    }
}

/// Whose label it is; `None` for one that no version of this layout writes.
fn service_key(label: &ServiceLabel) -> Option<ServiceKey> {
    Some(ServiceKey {
        service: ObjectName::new(label.namespace(), label.name()),
        port_name: label.port_name().to_owned(),
        protocol: label.proto(),
        family: Family::from_number(label.family())?,
    })
}
