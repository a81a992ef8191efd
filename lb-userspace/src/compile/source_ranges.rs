//! `loadBalancerSourceRanges` of one family (LSR-01 to LSR-03).

use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::FrontendFlags;

use super::frontends;
use crate::model::{Family, NodeFacts, Service};

/// A restriction of who may dial the load-balancer addresses of a Service in one family.
pub(super) struct SourceRanges {
    /// For clients outside: who is allowed.
    pub(super) nets: Vec<IpNet>,
    /// What a load-balancer frontend has because of it.
    pub(super) flags: FrontendFlags,
}

/// The restriction of a family; `None` where anybody may dial: there is no list, no address that a list
/// applies to, or the list has every address of the family.
///
/// A list that names ranges of the other family only closes this one. kube-proxy leaves it open to all, which
/// nobody means who writes such a list (LSR-02).
pub(super) fn of(service: &Service, family: Family, node: &NodeFacts) -> Option<SourceRanges> {
    let listed = service.source_ranges.as_ref()?;
    let addresses: Vec<IpAddr> = frontends::load_balancer_ips(service, family).collect();
    if addresses.is_empty() {
        return None;
    }
    let of_family: Vec<IpNet> =
        listed.iter().copied().filter(|net| Family::of(net.addr()) == family).collect();
    // Halves written side by side count as the whole that they are.
    let mut nets = IpNet::aggregate(&of_family);
    if nets.iter().any(|net| net.prefix_len() == 0) {
        return None;
    }

    let node_allowed = node.primary(family).is_some_and(|ip| nets.iter().any(|net| net.contains(&ip)));
    // A socket in a pod has no address yet when it dials, so that pods are allowed together or not at all.
    let pods_allowed = node.can_tell_pods(family)
        && node
            .cluster_cidrs
            .iter()
            .filter(|cidr| Family::of(cidr.addr()) == family)
            .all(|cidr| nets.iter().any(|net| net.contains(cidr)));
    if node_allowed {
        // A process of the node may dial from the address that it dials to, where the node has it (LSR-03).
        nets.extend(addresses.into_iter().map(IpNet::from));
    }
    let flags = FrontendFlags::SOURCE_RANGES
        .with_if(!node_allowed, FrontendFlags::NODE_REFUSED)
        .with_if(!pods_allowed, FrontendFlags::PODS_REFUSED);
    Some(SourceRanges { nets, flags })
}
