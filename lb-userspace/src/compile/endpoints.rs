//! Which endpoints a Service port has, and which of them are usable from where (EPS-03 to EPS-10).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use lb_common::{Addr, Port};

use super::can_be_dialled;
use super::topology::Reach;
use crate::model::{Endpoint, EndpointSlice, Family, NodeFacts, ServicePort};
use crate::tables::{BackendKey, BackendState};

/// An endpoint that serves, and what became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selected<'a> {
    /// As its slice has it.
    pub(crate) endpoint: &'a Endpoint,
    /// The slice that counts, of those that have it.
    pub(crate) slice: &'a EndpointSlice,
    /// The lists that it is in.
    pub(crate) state: BackendState,
}

/// The endpoints of a Service port on this node.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// Every one that serves.
    pub(crate) endpoints: BTreeMap<BackendKey, Selected<'a>>,
    /// How far the cluster list goes.
    pub(crate) reach: Reach<'a>,
}

/// Every endpoint of `port` that serves, each with the lists that have it.
///
/// *Cluster*: ready and within reach; where there is none, serving and terminating anywhere (EPS-07).
/// *Local*: ready and on this node, however far; where there is none, serving, terminating and on this node,
/// whether others are ready elsewhere or not (EPS-08). One that serves but is neither ready nor terminating
/// is in no list (EPS-03): it is here because flows that it has live on (EPS-13).
pub(crate) fn select<'a>(
    port: &ServicePort,
    family: Family,
    slices: &[&'a EndpointSlice],
    node: &'a NodeFacts,
) -> Selection<'a> {
    let found = find(port, family, slices);
    let endpoints = || found.values().map(|candidate| candidate.endpoint);
    let is_local = |endpoint: &Endpoint| endpoint.node.as_deref() == Some(node.name.as_str());

    let reach = Reach::of(endpoints().filter(|endpoint| endpoint.ready), node);
    let any_ready = endpoints().any(|endpoint| endpoint.ready);
    let local_ready = endpoints().any(|endpoint| endpoint.ready && is_local(endpoint));

    let mut selected = BTreeMap::new();
    for (key, Candidate { endpoint, slice }) in found {
        if !endpoint.ready && !endpoint.serving {
            continue;
        }
        let on_node = is_local(endpoint);
        let fallback = endpoint.serving && endpoint.terminating;
        let in_cluster = if any_ready { endpoint.ready && reach.includes(endpoint) } else { fallback };
        let in_local = on_node && if local_ready { endpoint.ready } else { fallback };
        let state = BackendState { in_cluster, in_local, on_node };
        selected.insert(key, Selected { endpoint, slice, state });
    }
    Selection { endpoints: selected, reach }
}

/// An endpoint, and what it is preferred by over another of the same address and port.
struct Candidate<'a> {
    endpoint: &'a Endpoint,
    slice: &'a EndpointSlice,
}

impl<'a> Candidate<'a> {
    /// One that is not terminating is never hidden by one that is; kube-proxy leaves the rest to the order
    /// in which slices happen to arrive, which a sync must not depend on (EPS-05).
    fn rank(&self) -> impl Ord + use<'a> {
        let Endpoint { ready, serving, terminating, node, pod, .. } = self.endpoint;
        let hints = (self.endpoint.zone_hints(), self.endpoint.node_hints());
        (*terminating, !ready, !serving, &self.slice.name, node, hints, pod)
    }
}

/// The endpoints of a Service port, matched by its name and protocol, never by a number (SVC-05).
fn find<'a>(
    port: &ServicePort,
    family: Family,
    slices: &[&'a EndpointSlice],
) -> BTreeMap<BackendKey, Candidate<'a>> {
    let mut found = BTreeMap::new();
    for slice in slices.iter().copied().filter(|slice| slice.family == family) {
        let ports = slice
            .ports
            .iter()
            .filter(|of_slice| of_slice.name == port.name && of_slice.protocol == port.protocol);
        for number in ports.map(|of_slice| of_slice.port).filter(|number| *number != 0) {
            for endpoint in &slice.endpoints {
                if Family::of(endpoint.address) != family || !can_be_dialled(endpoint.address) {
                    continue;
                }
                let key = BackendKey { addr: Addr::from(endpoint.address), port: Port::new(number) };
                let candidate = Candidate { endpoint, slice };
                match found.entry(key) {
                    Entry::Vacant(entry) => {
                        entry.insert(candidate);
                    }
                    Entry::Occupied(mut entry) => {
                        if candidate.rank() < entry.get().rank() {
                            entry.insert(candidate);
                        }
                    }
                }
            }
        }
    }
    found
}
