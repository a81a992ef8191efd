//! The maps in memory, for tests: checks after every write what must hold after any prefix of any plan.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use lb_common::{
    Addr, Backend, BackendFlags, BackendId, FilterBit, Frontend, FrontendKey, List, NodeConfig, NodeFlags,
    RangeSet, Service, ServiceId, ServiceLabel,
};

use super::{Barrier, Capacity, Observed, Op, Range, Store, StoreError};

/// What a reader that holds a list's word finds by it.
type Found = Vec<(BackendId, lb_common::Addr, lb_common::Port)>;

#[derive(Debug)]
pub(crate) struct Memory {
    pub(super) capacity: Capacity,
    /// How many frontends there is room for.
    pub(super) frontends_room: usize,
    /// How many labels there is room for.
    pub(super) labels_room: usize,
    /// How many ranges there is room for.
    pub(super) ranges_room: usize,
    /// Writes after which the process is as if killed: all further ones are lost.
    pub(super) writes_left: Option<usize>,
    /// For each of the writes to come, whether the kernel refuses it; afterwards none.
    pub(super) failing: VecDeque<bool>,
    /// Whether the kernel refuses every write now.
    pub(crate) refuses_all: Arc<AtomicBool>,
    pub(super) frontends: BTreeMap<FrontendKey, Frontend>,
    pub(super) labels: BTreeMap<ServiceId, ServiceLabel>,
    services: BTreeMap<ServiceId, Service>,
    backends: BTreeMap<BackendId, Backend>,
    slots: BTreeMap<u32, BackendId>,
    pub(crate) filter: BTreeSet<FilterBit>,
    pub(super) ranges: BTreeSet<Range>,
    pub(super) node: Option<NodeConfig>,
    /// Which backends, by id and generation, a list ever had.
    listed: BTreeSet<(BackendId, u32)>,
    /// Services of which all frontends have gone, and whether another was put before its backends were marked.
    left: BTreeMap<ServiceId, bool>,
    /// Words that programs may still hold, and what they must find by them.
    held: Arc<Mutex<Vec<(List, Found)>>>,
}

impl Memory {
    pub(crate) fn new(services: u32, backends: u32, slots: u32) -> Self {
        Self {
            capacity: Capacity { services, backends, slots },
            frontends_room: usize::MAX,
            labels_room: usize::MAX,
            ranges_room: usize::MAX,
            writes_left: None,
            failing: VecDeque::new(),
            refuses_all: Arc::default(),
            frontends: BTreeMap::new(),
            labels: BTreeMap::new(),
            services: BTreeMap::new(),
            backends: BTreeMap::new(),
            slots: BTreeMap::new(),
            filter: BTreeSet::new(),
            ranges: BTreeSet::new(),
            node: None,
            listed: BTreeSet::new(),
            left: BTreeMap::new(),
            held: Arc::default(),
        }
    }

    /// What a dial to each frontend may reach: the cluster list's and the local list's addresses.
    pub(crate) fn view(&self) -> BTreeMap<FrontendKey, [Vec<String>; 2]> {
        let view = |frontend: &Frontend| {
            let service = self.services[&frontend.service()];
            [service.cluster(), service.local()].map(|list| {
                self.find(list).into_iter().map(|(_, addr, port)| format!("{addr}:{port}")).collect()
            })
        };
        self.frontends.iter().map(|(key, frontend)| (*key, view(frontend))).collect()
    }

    fn find(&self, list: List) -> Found {
        (list.first()..list.first() + list.len())
            .map(|slot| {
                let id = self.slots[&slot];
                let backend = self.backends[&id];
                assert!(!backend.is_free(), "slot {slot} has the free backend {id}");
                (id, backend.addr(), backend.port())
            })
            .collect()
    }

    /// What must hold at any moment.
    fn check(&self) {
        for (key, frontend) in &self.frontends {
            let id = frontend.service();
            assert!(self.labels.contains_key(&id), "frontend {key} leads to service {id} without a label");
            assert!(self.services.contains_key(&id), "frontend {key} leads to no service");
            let is_set = self.filter.contains(&FilterBit::frontend(key));
            assert!(is_set || key.addr() == Addr::UNSPECIFIED, "the filter hides frontend {key}");
        }
        for (id, service) in self.services.iter().filter(|(id, _)| self.labels.contains_key(id)) {
            for list in [service.cluster(), service.local()] {
                for (backend, addr, port) in self.find(list) {
                    assert_eq!(self.backends[&backend].service(), *id, "{backend} is another Service's");
                    let bit = FilterBit::backend(addr, port, self.labels[id].proto());
                    assert!(self.filter.contains(&bit), "the filter hides what {backend} answers");
                }
            }
        }
        if let Some(node) = self.node {
            let likes = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1])];
            let addresses = likes.map(|like| node.masquerade(like.into()));
            for addr in addresses.into_iter().filter(|addr| *addr != Addr::UNSPECIFIED) {
                let is_set = self.filter.contains(&FilterBit::node_address(addr));
                assert!(is_set, "the filter hides what comes back to {addr}");
            }
            for bit in node.port_bits() {
                assert!(self.filter.contains(&bit), "the filter hides what comes back to a port");
            }
            let has_pods = self.ranges.iter().any(|range| range.key.set() == RangeSet::PODS);
            assert!(has_pods || !node.flags().has(NodeFlags::POD_RANGES), "no range says what a pod is");
        }
        for (list, found) in self.held.lock().expect("no test panicked with it").iter() {
            assert_eq!(self.find(*list), *found, "a program that holds {list:?} finds other backends");
        }
    }
}

/// Who is dialled never finds a world of which some endpoints are gone and keep their flows of UDP.
impl Memory {
    /// What must hold when a frontend is put: no backend that some list had, and says so still, is in none.
    fn check_listed(&self) {
        let unmarked = self.listed.iter().filter_map(|(id, generation)| {
            let backend = self.backends.get(id)?;
            let says = [BackendFlags::IN_CLUSTER, BackendFlags::IN_LOCAL];
            let says_so = says.iter().any(|flag| backend.flags().has(*flag));
            (backend.generation() == *generation && says_so).then_some((id, backend))
        });
        for (id, backend) in unmarked {
            let service = self.services.get(&backend.service()).copied().unwrap_or_default();
            let lists = [service.cluster(), service.local()];
            let is_listed =
                lists.into_iter().any(|list| self.find(list).iter().any(|(listed, ..)| listed == id));
            assert!(is_listed, "a frontend is put while {backend:?} is in no list and not marked");
        }
    }

    /// Remembers which services have lost their last frontend by this write, and which others were dialled since
    /// while backends of theirs were not marked: these must not turn out to be gone.
    fn look_for_left(&mut self, before: Option<Frontend>, put: Option<Frontend>) {
        if let Some(put) = put {
            let is_marked =
                |id| self.backends.values().filter(|of| of.service() == id).all(|of| is_left(*of));
            let unmarked: Vec<ServiceId> = self.left.keys().copied().filter(|id| !is_marked(*id)).collect();
            for id in unmarked {
                self.left.insert(id, true);
            }
            self.left.remove(&put.service());
        }
        let owner = before.map(|before| before.service());
        let lost = owner.filter(|id| self.frontends.values().all(|frontend| frontend.service() != *id));
        if let Some(id) = lost {
            self.left.insert(id, false);
        }
    }
}

/// Whether no flow goes on to it.
fn is_left(backend: Backend) -> bool {
    backend.is_free() || backend.flags().has(BackendFlags::GONE)
}

impl Store for Memory {
    fn apply(&mut self, op: &Op) -> Result<(), StoreError> {
        match &mut self.writes_left {
            Some(0) => return Err(StoreError::Failed { map: "all", source: "killed".into() }),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.failing.pop_front() == Some(true) || self.refuses_all.load(Ordering::Relaxed) {
            return Err(StoreError::Failed { map: "all", source: "busy".into() });
        }
        match op {
            Op::PutBackend(id, backend) => drop(self.backends.insert(*id, *backend)),
            Op::PutSlots(first, ids) => self.slots.extend((*first..).zip(ids.iter().copied())),
            Op::PutLabel(id, label) => {
                if self.labels.len() >= self.labels_room && !self.labels.contains_key(id) {
                    return Err(StoreError::Full { map: "LABELS" });
                }
                self.labels.insert(*id, **label);
            }
            Op::RemoveLabel(id) => {
                self.labels.remove(id);
                let is_late = self.left.remove(id) == Some(true);
                assert!(
                    !is_late,
                    "a frontend was put before the backends of {id}, which is gone, were marked"
                );
            }
            Op::PutService(id, service) => {
                let old = self.services.insert(*id, *service).unwrap_or_default();
                // A service that has no label had its frontends removed before readers were waited for.
                let readable = self.labels.contains_key(id);
                for list in [old.cluster(), old.local()] {
                    if readable && !list.is_empty() {
                        let found = self.find(list);
                        self.held.lock().expect("no test panicked with it").push((list, found));
                    }
                }
                for list in [service.cluster(), service.local()] {
                    let ids = self.find(list).into_iter().map(|(id, ..)| id);
                    self.listed.extend(ids.map(|id| (id, self.backends[&id].generation())));
                }
            }
            Op::PutFrontend(key, frontend) => {
                if self.frontends.len() >= self.frontends_room && !self.frontends.contains_key(key) {
                    return Err(StoreError::Full { map: "FRONTENDS" });
                }
                self.check_listed();
                let before = self.frontends.insert(*key, *frontend);
                self.look_for_left(before, Some(*frontend));
            }
            Op::RemoveFrontend(key) => {
                let before = self.frontends.remove(key);
                self.look_for_left(before, None);
            }
            Op::SetFilter(bit) => drop(self.filter.insert(*bit)),
            Op::ClearFilter(bit) => drop(self.filter.remove(bit)),
            Op::PutRange(range) => {
                if self.ranges.len() >= self.ranges_room && !self.ranges.contains(range) {
                    return Err(StoreError::Full { map: "RANGES" });
                }
                self.ranges.insert(*range);
            }
            Op::RemoveRange(range) => drop(self.ranges.remove(range)),
            Op::PutNode(config) => self.node = Some(*config),
        }
        self.check();
        Ok(())
    }

    fn barrier(&self) -> Barrier {
        let held = Arc::clone(&self.held);
        Box::new(move || held.lock().expect("no test panicked with it").clear())
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn observe(&self) -> Result<Observed, StoreError> {
        Ok(Observed {
            frontends: self.frontends.clone(),
            services: self.services.clone(),
            labels: self.labels.clone(),
            backends: self.backends.clone(),
            slots: self.slots.clone(),
            filter: self.filter.clone(),
            ranges: self.ranges.clone(),
        })
    }
}
