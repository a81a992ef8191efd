//! Which health-check node ports this node should have, and what each of them counts: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::{
    Family, NodeFacts, NodePortAddresses, ObjectName, Service, ServiceType, TrafficPolicy, Uid, World,
};

/// Whose health check: a Service has one for each family in which it has a ClusterIP (HCN-01, SVC-07).
pub type CheckKey = (ObjectName, Family);

/// A health-check node port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The Service's.
    pub uid: Option<Uid>,
    /// Where it listens; all on one port.
    pub addresses: Vec<SocketAddr>,
    /// Addresses of endpoints that are ready and on this node, each counted once, over all ports of the
    /// Service (HCN-04).
    pub local_endpoints: usize,
}

/// The health checks of this node.
///
/// Addresses are those that the node has now; kube-proxy keeps those that it found when it started.
pub fn health_checks(world: &World, node: &NodeFacts) -> BTreeMap<CheckKey, HealthCheck> {
    let mut checks = BTreeMap::new();
    for (service, port) in world.services().filter_map(|service| Some((service, check_port(service)?))) {
        for family in Family::ALL.into_iter().filter(|family| service.cluster_ip(*family).is_some()) {
            let addresses = addresses(node, family, port);
            if addresses.is_empty() {
                continue;
            }
            let local_endpoints = local_endpoints(world, service, family, node);
            checks.insert(
                (service.name.clone(), family),
                HealthCheck { uid: service.uid, addresses, local_endpoints },
            );
        }
    }
    checks
}

/// HCN-01
fn check_port(service: &Service) -> Option<u16> {
    let needs_one =
        service.kind == ServiceType::LoadBalancer && service.external_policy == TrafficPolicy::Local;
    service.health_check_node_port.filter(|port| needs_one && *port != 0)
}

/// HCN-02
fn addresses(node: &NodeFacts, family: Family, port: u16) -> Vec<SocketAddr> {
    let every: IpAddr = match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let ips: Vec<IpAddr> = match node.node_port_addresses {
        // Where the node has no address of a family nobody dials one, and there may be no such socket (NOD-05).
        NodePortAddresses::All => node.primary(family).map(|_| every).into_iter().collect(),
        _ => node.node_port_addresses(family).collect(),
    };
    ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
}

fn local_endpoints(world: &World, service: &Service, family: Family, node: &NodeFacts) -> usize {
    let slices = world.slices_of(&service.name).into_iter().filter(|slice| slice.family == family);
    let of_a_port = slices.filter(|slice| {
        slice
            .ports
            .iter()
            .any(|port| service.ports.iter().any(|of| of.name == port.name && of.protocol == port.protocol))
    });
    let ready = of_a_port
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| endpoint.ready && endpoint.node.as_deref() == Some(node.name.as_str()));
    ready.map(|endpoint| endpoint.address).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests;
