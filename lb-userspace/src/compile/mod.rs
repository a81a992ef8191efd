//! What one Service means on one node: the only place that knows Service semantics.
//!
//! [`compile`] is pure and looks at one Service at a time, so that a change costs what changed and never
//! the size of the cluster. `explain` asks the same values, and they are the oracle of the tests.
//!
//! Not decided here: which of two Services has an address that both claim ([`claims`]), and ids.
//!
//! Row ids (`EPS-07`) are those of `docs/semantics.md`.

pub mod claims;
pub(crate) mod endpoints;
mod frontends;
mod policy;
pub mod size;
mod source_ranges;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod topology;

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::Proto;

use crate::model::{EndpointSlice, Family, NodeFacts, Service, ServicePort, ServiceType, why_not_dialled};
use crate::tables::{ServiceKey, ServiceTable};

/// What the kernel of `node` is to know of `service`: a table for each port in each family (SVC-04, SVC-07).
///
/// `slices` are those of the Service, in any order; those of another Service are left out. A Service without
/// a ClusterIP of a family has no table there, NodePorts and external addresses included (SVC-03, SVC-07).
///
/// The cluster list is always computed, so that one rule gives the verdict of an empty list: where the list
/// that policy names is empty, the packet is refused if the cluster list is empty too (NOE-01) and dropped
/// if not (NOE-02). That is `hasAny` of kube-proxy (EPS-09): a ready endpoint anywhere is in the cluster
/// list, or topology keeps another ready one there; without one, every serving terminating endpoint is.
pub fn compile(service: &Service, slices: &[&EndpointSlice], node: &NodeFacts) -> Vec<ServiceTable> {
    if service.kind == ServiceType::ExternalName {
        return Vec::new();
    }
    let own: Vec<&EndpointSlice> = slices
        .iter()
        .copied()
        .filter(|slice| slice.service == service.name.name && slice.name.namespace == service.name.namespace)
        .collect();
    let mut seen = BTreeSet::new();
    let mut tables = Vec::new();
    for family in Family::ALL {
        let Some(cluster_ip) = service.cluster_ip(family).filter(|ip| can_be_dialled(*ip)) else { continue };
        for port in service.ports.iter().filter(|port| is_proxied(port)) {
            if seen.insert((family, port.name.as_str(), port.protocol)) {
                tables.push(table(service, port, cluster_ip, &own, node));
            }
        }
    }
    tables
}

fn table(
    service: &Service,
    port: &ServicePort,
    cluster_ip: IpAddr,
    slices: &[&EndpointSlice],
    node: &NodeFacts,
) -> ServiceTable {
    let family = Family::of(cluster_ip);
    let ranges = source_ranges::of(service, family, node);
    let selection = endpoints::select(port, family, slices, node);
    let backends = selection.endpoints.iter().map(|(key, selected)| (*key, selected.state)).collect();
    ServiceTable {
        key: ServiceKey {
            service: service.name.clone(),
            port_name: port.name.clone(),
            protocol: port.protocol,
            family,
        },
        kind: service.kind,
        port: port.port,
        target_port: port.target_port.to_string(),
        node_port: port.node_port.unwrap_or(0),
        created: service.created,
        frontends: frontends::of(service, port, cluster_ip, ranges.as_ref(), node),
        backends,
        affinity_seconds: service.affinity_seconds.unwrap_or(0),
        source_ranges: ranges.map(|ranges| ranges.nets),
    }
}

/// Protocols other than these three never pass the API server (SVC-11), and neither does port 0.
fn is_proxied(port: &ServicePort) -> bool {
    port.port != 0 && [Proto::TCP, Proto::UDP, Proto::SCTP].contains(&port.protocol)
}

/// Whether an address of an object can stand in a table: whoever gave the object to us, and whatever it was checked by.
fn can_be_dialled(ip: IpAddr) -> bool {
    why_not_dialled(ip).is_none()
}
