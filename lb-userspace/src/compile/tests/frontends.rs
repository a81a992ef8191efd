//! The ways in to a Service port.

use std::collections::BTreeSet;

use lb_common::{Addr, FrontendKey, FrontendKind, Port, Proto};

use super::objects::*;
use crate::model::{Ingress, IngressMode, NodeFacts, NodePortAddresses, Service};

/// The places of one kind, as text.
fn places(service: &Service, node: &NodeFacts, kind: FrontendKind) -> BTreeSet<String> {
    only(service, &[], node)
        .frontends
        .iter()
        .filter(|(_, flags)| flags.kind() == Some(kind))
        .map(|(key, _)| key.to_string())
        .collect()
}

#[track_caller]
fn check(service: &Service, node: &NodeFacts, kind: FrontendKind, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(places(service, node, kind), expected);
}

#[test]
fn a_cluster_ip_is_dialled_at_the_service_port_cip_01() {
    check(&service(), &node(), FrontendKind::ClusterIp, &["172.20.0.10:8080/TCP"]);
}

#[test]
fn a_cluster_ip_is_guarded_at_every_other_port_cip_03() {
    let table = only(&service(), &[], &node());
    let guard = FrontendKey::address_guard(Addr::from(ip(CLUSTER_IP)));
    assert_eq!(flags(&table, guard), "address-guard");
}

#[test]
fn other_addresses_are_guarded_for_pings_alone_because_they_may_be_hosts_cip_03() {
    let mut service = load_balancer_service();
    service.external_ips = vec![ip("203.0.113.80")];
    let expected = ["172.20.0.10:0/any", "198.51.100.7:0/any", "203.0.113.80:0/any"];
    check(&service, &node(), FrontendKind::AddressGuard, &expected);
    let table = only(&service, &[], &node());
    for address in ["198.51.100.7", "203.0.113.80"] {
        let guard = FrontendKey::address_guard(Addr::from(ip(address)));
        assert_eq!(flags(&table, guard), "address-guard ping-only");
    }
}

#[test]
fn an_address_of_the_node_or_of_a_proxy_is_not_guarded_ext_01_lb_02() {
    let mut service = load_balancer_service();
    service.external_ips = vec![ip("192.168.0.2")];
    service.ingress[0].mode = IngressMode::Proxy;
    check(&service, &node(), FrontendKind::AddressGuard, &["172.20.0.10:0/any"]);
}

#[test]
fn a_cluster_ip_that_is_an_external_address_too_is_guarded_as_a_cluster_ip_cip_03() {
    let service = Service { external_ips: vec![ip(CLUSTER_IP)], ..service() };
    let table = only(&service, &[], &node());
    let guard = FrontendKey::address_guard(Addr::from(ip(CLUSTER_IP)));
    assert_eq!(flags(&table, guard), "address-guard");
}

#[test]
fn a_node_port_is_dialled_on_every_address_of_the_node_and_on_loopback_np_01() {
    check(
        &node_port_service(),
        &node(),
        FrontendKind::NodePort,
        &["127.0.0.1:31111/TCP", "192.168.0.2:31111/TCP", "192.168.0.3:31111/TCP"],
    );
}

#[test]
fn a_node_port_of_an_ipv6_service_is_dialled_on_ipv6_addresses_np_01() {
    let service = Service { cluster_ips: vec![ip(CLUSTER_IP6)], ..node_port_service() };
    let expected = ["[::1]:31111/TCP", "[fd00:192:168::2]:31111/TCP"];
    check(&service, &node(), FrontendKind::NodePort, &expected);
}

#[test]
fn a_node_port_is_guarded_in_its_own_protocol_np_01() {
    let table = only(&node_port_service(), &[], &node());
    assert_eq!(flags(&table, FrontendKey::port_guard(Port::new(31111), Proto::TCP)), "port-guard");
    assert_eq!(flags(&table, FrontendKey::port_guard(Port::new(31111), Proto::UDP)), "");
}

#[test]
fn a_service_without_a_node_port_has_no_place_on_the_node_lb_04() {
    let mut service = load_balancer_service();
    service.ports[0].node_port = None;
    check(&service, &node(), FrontendKind::NodePort, &[]);
    check(&service, &node(), FrontendKind::PortGuard, &[]);
    service.ports[0].node_port = Some(0);
    check(&service, &node(), FrontendKind::NodePort, &[]);
    check(&service, &node(), FrontendKind::LoadBalancer, &["198.51.100.7:8080/TCP"]);
}

#[test]
fn primary_accepts_node_ports_on_the_first_address_of_each_family_only_np_02() {
    let node = NodeFacts { node_port_addresses: NodePortAddresses::Primary, ..node() };
    check(&node_port_service(), &node, FrontendKind::NodePort, &["192.168.0.2:31111/TCP"]);
    let v6 = Service { cluster_ips: vec![ip(CLUSTER_IP6)], ..node_port_service() };
    check(&v6, &node, FrontendKind::NodePort, &["[fd00:192:168::2]:31111/TCP"]);
}

#[test]
fn ranges_accept_node_ports_on_the_addresses_inside_them_np_02() {
    let within = NodePortAddresses::Within(vec![net("192.168.0.3/32"), net("10.0.0.0/8")]);
    let node = NodeFacts { node_port_addresses: within, ..node() };
    check(&node_port_service(), &node, FrontendKind::NodePort, &["192.168.0.3:31111/TCP"]);
}

#[test]
fn a_range_of_everything_accepts_node_ports_on_loopback_too_np_02() {
    let within = NodePortAddresses::Within(vec![net("0.0.0.0/0")]);
    let node = NodeFacts { node_port_addresses: within, ..node() };
    assert_eq!(places(&node_port_service(), &node, FrontendKind::NodePort).len(), 3);
}

#[test]
fn ranges_of_one_family_do_not_open_the_other_np_02() {
    let within = NodePortAddresses::Within(vec![net("192.168.0.0/24")]);
    let node = NodeFacts { node_port_addresses: within, ..node() };
    let v6 = Service { cluster_ips: vec![ip(CLUSTER_IP6)], ..node_port_service() };
    check(&v6, &node, FrontendKind::NodePort, &[]);
}

#[test]
fn a_load_balancers_address_is_dialled_at_the_service_port_lb_01() {
    let service = load_balancer_service();
    check(&service, &node(), FrontendKind::LoadBalancer, &["198.51.100.7:8080/TCP"]);
}

#[test]
fn the_address_of_a_balancer_that_is_a_proxy_is_no_frontend_and_its_node_port_is_lb_02() {
    let mut service = load_balancer_service();
    service.ingress[0].mode = IngressMode::Proxy;
    check(&service, &node(), FrontendKind::LoadBalancer, &[]);
    assert_eq!(places(&service, &node(), FrontendKind::NodePort).len(), 3);
}

#[test]
fn a_load_balancers_address_counts_whatever_the_type_says_lb_03() {
    let service =
        Service { ingress: vec![Ingress { ip: ip("198.51.100.7"), mode: IngressMode::Vip }], ..service() };
    check(&service, &node(), FrontendKind::LoadBalancer, &["198.51.100.7:8080/TCP"]);
}

#[test]
fn an_external_ip_is_dialled_at_the_service_port_wherever_it_is_assigned_ext_01() {
    let service = Service { external_ips: vec![ip("203.0.113.80"), ip("192.168.0.2")], ..service() };
    let expected = ["192.168.0.2:8080/TCP", "203.0.113.80:8080/TCP"];
    check(&service, &node(), FrontendKind::ExternalIp, &expected);
}

#[test]
fn of_two_ways_in_at_one_place_of_a_service_the_address_of_its_own_counts_ext_02() {
    let mut service = node_port_service();
    service.ports[0].port = 31111;
    service.external_ips = vec![ip("192.168.0.2")];
    check(&service, &node(), FrontendKind::ExternalIp, &["192.168.0.2:31111/TCP"]);
}

#[test]
fn no_service_catches_what_a_host_sends_to_itself_or_to_many_ext_01() {
    let mapped = "::ffff:203.0.113.80";
    let of_hosts = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "ff02::1", mapped];
    let of_links = ["169.254.169.254", "fe80::1"];
    let external_ips: Vec<_> = of_hosts.into_iter().chain(of_links).map(ip).collect();
    let ingress = external_ips.iter().map(|ip| Ingress { ip: *ip, mode: IngressMode::Vip }).collect();
    let cluster_ips = vec![ip(CLUSTER_IP), ip(CLUSTER_IP6)];
    let service = Service { external_ips, ingress, cluster_ips, ..service() };
    for table in crate::compile::compile(&service, &[], &node()) {
        assert_eq!(table.frontends.len(), 2, "{:?}", table.frontends);
    }
}
