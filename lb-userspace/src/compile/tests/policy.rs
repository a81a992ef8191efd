//! Which list clients are sent to, who may dial, and who is masqueraded.

use super::objects::*;
use crate::model::{IngressMode, NodeFacts, Service, ServiceType, TrafficPolicy};

const NODE: (&str, u16) = ("192.168.0.2", 31111);
const BALANCER: (&str, u16) = ("198.51.100.7", 8080);
const CLUSTER: (&str, u16) = (CLUSTER_IP, 8080);

#[track_caller]
fn check(service: &Service, node: &NodeFacts, (address, port): (&str, u16), expected: &str) {
    let table = only(service, &[], node);
    assert_eq!(flags(&table, key(address, port)), expected, "{address}:{port}");
}

#[test]
fn the_internal_policy_counts_on_the_cluster_ip_alone_noe_02() {
    let service = Service { internal_policy: TrafficPolicy::Local, ..load_balancer_service() };
    check(&service, &node(), CLUSTER, "cluster inside-local outside-local");
    check(&service, &node(), NODE, "node-port");
    check(&service, &node(), BALANCER, "load-balancer");
}

#[test]
fn the_external_policy_counts_for_clients_outside_and_not_on_the_cluster_ip_noe_02() {
    let mut service = Service { external_policy: TrafficPolicy::Local, ..load_balancer_service() };
    service.external_ips = vec![ip("203.0.113.80")];
    check(&service, &node(), CLUSTER, "cluster");
    check(&service, &node(), NODE, "node-port outside-local");
    check(&service, &node(), ("127.0.0.1", 31111), "node-port outside-local");
    check(&service, &node(), BALANCER, "load-balancer outside-local");
    check(&service, &node(), ("203.0.113.80", 8080), "external outside-local");
}

#[test]
fn the_external_policy_of_a_cluster_ip_service_counts_with_external_ips_only_eps_12() {
    let mut service = Service {
        kind: ServiceType::ClusterIP,
        external_policy: TrafficPolicy::Local,
        ..load_balancer_service()
    };
    check(&service, &node(), BALANCER, "load-balancer");
    service.external_ips = vec![ip("203.0.113.80")];
    check(&service, &node(), BALANCER, "load-balancer outside-local");
}

#[test]
fn both_lists_are_there_whatever_the_policies_so_that_a_change_of_policy_moves_no_backend_eps_11() {
    let endpoints = slice(vec![local("10.244.1.11"), remote("10.244.2.11")]);
    let local_only = Service { internal_policy: TrafficPolicy::Local, ..service() };
    for service in [service(), local_only, load_balancer_service()] {
        let table = only(&service, &[&endpoints], &node());
        assert_eq!(cluster(&table), ["10.244.1.11:80", "10.244.2.11:80"]);
        assert_eq!(local_list(&table), ["10.244.1.11:80"]);
    }
}

fn restricted(ranges: &[&str]) -> Service {
    let source_ranges = Some(ranges.iter().map(|range| net(range)).collect());
    Service { source_ranges, ..load_balancer_service() }
}

#[test]
fn source_ranges_count_on_load_balancer_addresses_alone_lsr_01() {
    let mut service = restricted(&["203.0.113.0/24"]);
    service.external_ips = vec![ip("203.0.113.80")];
    check(&service, &node(), BALANCER, "load-balancer node-refused pods-refused source-ranges");
    check(&service, &node(), CLUSTER, "cluster");
    check(&service, &node(), NODE, "node-port");
    check(&service, &node(), ("203.0.113.80", 8080), "external");
    assert_eq!(only(&service, &[], &node()).source_ranges, Some(vec![net("203.0.113.0/24")]));
}

#[test]
fn an_external_ip_that_is_the_load_balancers_address_too_is_restricted_lsr_01() {
    let mut service = restricted(&["203.0.113.0/24"]);
    service.external_ips = vec![ip("198.51.100.7")];
    check(&service, &node(), BALANCER, "load-balancer node-refused pods-refused source-ranges");
}

#[test]
fn the_node_may_dial_where_its_primary_address_is_in_a_range_lsr_03() {
    let service = restricted(&["192.168.0.2/32"]);
    check(&service, &node(), BALANCER, "load-balancer pods-refused source-ranges");
    let secondary = restricted(&["192.168.0.3/32"]);
    check(&secondary, &node(), BALANCER, "load-balancer node-refused pods-refused source-ranges");
}

#[test]
fn where_the_node_may_dial_it_may_from_the_balancers_address_that_it_has_itself_lsr_03() {
    let table = only(&restricted(&["192.168.0.0/24"]), &[], &node());
    assert_eq!(table.source_ranges, Some(vec![net("192.168.0.0/24"), net("198.51.100.7/32")]));
}

#[test]
fn pods_may_dial_where_all_of_them_are_in_the_ranges_lsr_01() {
    for ranges in [&["10.0.0.0/8"][..], &["10.244.0.0/16"], &["10.244.0.0/17", "10.244.128.0/17"]] {
        check(&restricted(ranges), &node(), BALANCER, "load-balancer node-refused source-ranges");
    }
}

#[test]
fn pods_of_which_some_are_outside_the_ranges_or_may_be_are_refused_lsr_01() {
    let refused = "load-balancer node-refused pods-refused source-ranges";
    check(&restricted(&["10.244.0.0/17"]), &node(), BALANCER, refused);
    let unknown = NodeFacts { cluster_cidrs: vec![net("fd00:10:244::/48")], ..node() };
    check(&restricted(&["10.0.0.0/8"]), &unknown, BALANCER, refused);
    let mut more = node();
    more.cluster_cidrs.push(net("10.245.0.0/16"));
    check(&restricted(&["10.244.0.0/16"]), &more, BALANCER, refused);
}

#[test]
fn a_range_of_everything_is_no_restriction_lsr_02() {
    for ranges in [&["0.0.0.0/0"][..], &["203.0.113.0/24", "0.0.0.0/0"], &["0.0.0.0/1", "128.0.0.0/1"]] {
        let service = restricted(ranges);
        check(&service, &node(), BALANCER, "load-balancer");
        assert_eq!(only(&service, &[], &node()).source_ranges, None);
    }
}

#[test]
fn ranges_of_the_other_family_only_close_this_one_lsr_02() {
    for ranges in [&["2001:db8::/32"][..], &["::/0"], &[]] {
        let service = restricted(ranges);
        check(&service, &node(), BALANCER, "load-balancer node-refused pods-refused source-ranges");
        assert_eq!(only(&service, &[], &node()).source_ranges, Some(vec![]));
    }
}

#[test]
fn ranges_without_an_address_that_they_apply_to_are_no_restriction_lsr_01() {
    let mut service = restricted(&["203.0.113.0/24"]);
    service.ingress[0].mode = IngressMode::Proxy;
    assert_eq!(only(&service, &[], &node()).source_ranges, None);
}

#[test]
fn no_client_loses_its_address_to_a_backend_of_this_node_by_default_nat_05() {
    let service = Service { external_policy: TrafficPolicy::Cluster, ..load_balancer_service() };
    for (place, expected) in [(CLUSTER, "cluster"), (NODE, "node-port"), (BALANCER, "load-balancer")] {
        check(&service, &node(), place, expected);
    }
}

#[test]
fn masquerading_always_is_what_kube_proxy_does_nat_05() {
    let always = NodeFacts { masquerade_always: true, ..node() };
    let mut service = load_balancer_service();
    check(&service, &always, CLUSTER, "cluster outside-masquerade");
    check(&service, &always, NODE, "node-port outside-masquerade inside-masquerade");
    check(&service, &always, BALANCER, "load-balancer outside-masquerade inside-masquerade");
    service.external_policy = TrafficPolicy::Local;
    check(&service, &always, NODE, "node-port outside-local");
}

#[test]
fn who_dials_a_cluster_ip_is_not_masqueraded_where_pods_cannot_be_told_cip_02() {
    let blind = NodeFacts { masquerade_always: true, cluster_cidrs: vec![], ..node() };
    check(&load_balancer_service(), &blind, CLUSTER, "cluster");
}
