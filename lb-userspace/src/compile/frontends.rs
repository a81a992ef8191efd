//! The ways in to one Service port (CIP-*, EXT-01, LB-*, NP-*).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{Addr, FrontendFlags, FrontendKey, FrontendKind, Port};

use super::source_ranges::SourceRanges;
use super::{can_be_dialled, policy};
use crate::model::{Family, IngressMode, NodeFacts, NodePortAddresses, Service, ServicePort};

/// Every frontend of `port` in the family of `cluster_ip`, with the guards: of the ClusterIP, against ports
/// that it does not have (CIP-03), of other addresses that no host has, for who pings them, and of the
/// NodePort, against processes that would take it (NP-01).
pub(super) fn of(
    service: &Service,
    port: &ServicePort,
    cluster_ip: IpAddr,
    ranges: Option<&SourceRanges>,
    node: &NodeFacts,
) -> BTreeMap<FrontendKey, FrontendFlags> {
    let family = Family::of(cluster_ip);
    let mut frontends = BTreeMap::new();
    let mut add = |kind: FrontendKind, ip: IpAddr, number: u16| {
        let key = FrontendKey::new(Addr::from(ip), Port::new(number), port.protocol);
        frontends.insert(key, policy::flags(kind, service, family, node));
    };

    // Of two kinds at one place the later stays.
    if let Some(number) = port.node_port.filter(|number| *number != 0) {
        for ip in node_port_ips(family, node) {
            add(FrontendKind::NodePort, ip, number);
        }
    }
    for ip in external_ips(service, family) {
        add(FrontendKind::ExternalIp, ip, port.port);
    }
    for ip in load_balancer_ips(service, family) {
        add(FrontendKind::LoadBalancer, ip, port.port);
    }
    add(FrontendKind::ClusterIp, cluster_ip, port.port);

    // Ranges belong to the address: whatever else it is, a client outside of them is dropped first (LSR-01).
    if let Some(ranges) = ranges {
        for ip in load_balancer_ips(service, family) {
            let key = FrontendKey::new(Addr::from(ip), Port::new(port.port), port.protocol);
            frontends.entry(key).and_modify(|flags| *flags = flags.with(ranges.flags));
        }
    }
    let guard = FrontendFlags::of(FrontendKind::AddressGuard);
    // The node answers for its own addresses by itself.
    let published = external_ips(service, family).chain(load_balancer_ips(service, family));
    for ip in published.filter(|ip| !node.addresses.contains(ip)) {
        let guard = guard.with(FrontendFlags::PING_ONLY);
        frontends.insert(FrontendKey::address_guard(Addr::from(ip)), guard);
    }
    frontends.insert(FrontendKey::address_guard(Addr::from(cluster_ip)), guard);
    if let Some(number) = port.node_port.filter(|number| *number != 0) {
        let guard = FrontendFlags::of(FrontendKind::PortGuard);
        frontends.insert(FrontendKey::port_guard(Port::new(number), port.protocol), guard);
    }
    frontends
}

/// The load balancer's addresses whose packets arrive with them as destination: `ipMode: Proxy` is not one
/// (LB-01, LB-02). `spec.type` has no say (LB-03).
pub(super) fn load_balancer_ips(service: &Service, family: Family) -> impl Iterator<Item = IpAddr> {
    service
        .ingress
        .iter()
        .filter(|ingress| ingress.mode == IngressMode::Vip)
        .map(|ingress| ingress.ip)
        .filter(move |ip| Family::of(*ip) == family && can_be_dialled(*ip))
}

/// `spec.externalIPs`, wherever they may be assigned (EXT-01).
fn external_ips(service: &Service, family: Family) -> impl Iterator<Item = IpAddr> {
    service.external_ips.iter().copied().filter(move |ip| Family::of(*ip) == family && can_be_dialled(*ip))
}

/// Where this node answers NodePorts (NP-02): on loopback too where every address is accepted, because the
/// socket hooks serve it without opening the node's martian filter (NP-04).
fn node_port_ips(family: Family, node: &NodeFacts) -> impl Iterator<Item = IpAddr> {
    let loopback = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let everywhere = match &node.node_port_addresses {
        NodePortAddresses::All => true,
        NodePortAddresses::Primary => false,
        NodePortAddresses::Within(nets) => {
            nets.iter().any(|net| net.prefix_len() == 0 && Family::of(net.addr()) == family)
        }
    };
    node.node_port_addresses(family).filter(|ip| can_be_dialled(*ip)).chain(everywhere.then_some(loopback))
}
