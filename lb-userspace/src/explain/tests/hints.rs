//! Why a number dialled on the wrong address fails.

use lb_common::Proto;

use super::*;
use crate::explain::question::protocol;
use crate::model::NodePortAddresses;

/// The row and a part of the reason.
#[track_caller]
fn check_hint(world: &World, node: &NodeFacts, src: &str, place: &str, expected: &str, part: &str) {
    let answer = ask(world, node, src, place);
    assert_eq!(line(&answer), expected, "{answer:#?}");
    assert!(answer.reason.contains(part), "{}", answer.reason);
}

#[test]
fn a_node_port_on_the_cluster_ip_is_refused_with_the_address_that_it_belongs_to_cip_03() {
    let world = served(node_port_service(), both());
    let part = "31111 is its node port, which belongs to the addresses of the nodes, as in 192.168.0.2:31111";
    check_hint(&world, &node(), POD, "172.20.0.10:31111", "REJECT CIP-03", part);
}

#[test]
fn a_target_port_on_the_cluster_ip_is_refused_with_the_pod_that_it_belongs_to_cip_03() {
    let world = served(node_port_service(), both());
    let part = "80 is its target port, which the app in the pod listens on";
    check_hint(&world, &node(), POD, "172.20.0.10:80", "REJECT CIP-03", part);
}

#[test]
fn another_port_or_protocol_of_a_cluster_ip_is_refused_to_everybody_cip_03() {
    let world = served(service(), both());
    for source in [POD, NODE, CLIENT] {
        check_hint(&world, &node(), source, "172.20.0.10:9", "REJECT CIP-03", "It answers at 8080/TCP only");
    }
    let node = node();
    let index = Index::new(&world, &node, &[]);
    for (name, part) in [("UDP", "in TCP, and this is UDP"), ("icmp", "answers at 8080/TCP only")] {
        let port = if name == "UDP" { 8080 } else { 0 };
        let question = Question::new(ip(POD), protocol(name).unwrap(), ip(CLUSTER_IP), port).unwrap();
        let answer = index.explain(&question);
        assert_eq!(line(&answer), "REJECT CIP-03");
        assert!(answer.reason.contains(part), "{}", answer.reason);
    }
}

#[test]
fn nobodys_address_among_the_cluster_ips_is_dropped_where_their_network_is_known_cip_04() {
    let world = served(service(), both());
    check(&world, &node(), POD, "172.20.0.99:8080", "DROP CIP-04");
    let node = node();
    let index = Index::new(&world, &node, &[]);
    let answer = index.explain(&question(POD, Proto::TCP, "172.20.0.99:8080"));
    assert_eq!(line(&answer), "PASS NAT-06");
}

#[test]
fn a_service_port_on_the_node_is_not_a_service_packet_and_the_nodes_number_is_told_np_01() {
    let world = served(node_port_service(), both());
    let part = "8080 is the port of Service default/web, which belongs to its ClusterIP 172.20.0.10; on the node the number is 31111";
    check_hint(&world, &node(), CLIENT, "192.168.0.2:8080", "PASS NP-01", part);
}

#[test]
fn a_target_port_on_the_node_is_not_a_service_packet_and_the_pod_is_told_np_01() {
    let world = served(node_port_service(), both());
    let part =
        "80 is the target port of Service default/web, which belongs to the pods, as in 10.244.1.11:80";
    check_hint(&world, &node(), CLIENT, "192.168.0.2:80", "PASS NP-01", part);
}

#[test]
fn a_node_port_in_another_protocol_is_not_a_service_packet_svc_10() {
    let world = served(node_port_service(), both());
    let node = node();
    let answer = Index::new(&world, &node, &[]).explain(&question(CLIENT, Proto::UDP, "192.168.0.2:31111"));
    assert_eq!(line(&answer), "PASS SVC-10");
}

#[test]
fn an_address_of_the_node_that_accepts_no_node_ports_is_left_alone_np_03() {
    let node = NodeFacts { node_port_addresses: NodePortAddresses::Primary, ..node() };
    let world = served(node_port_service(), both());
    check_hint(&world, &node, CLIENT, "192.168.0.3:31111", "PASS NP-03", "--nodeport-addresses primary");
    check_hint(&world, &node, NODE, "127.0.0.1:31111", "PASS NP-03", "--nodeport-addresses primary");
}

#[test]
fn a_node_port_answers_on_loopback_to_the_node_alone_np_04() {
    let world = served(node_port_service(), both());
    for place in ["127.0.0.1:31111", "127.9.8.7:31111", "0.0.0.0:31111"] {
        assert_eq!(ask(&world, &node(), "127.0.0.1", place).verdict, Verdict::Dnat, "{place}");
        check(&world, &node(), POD, place, "PASS NP-04");
    }
}

#[test]
fn a_pods_own_address_is_never_touched_nat_06() {
    let mut endpoints = both();
    endpoints[0].pod = Some("web-1".into());
    let world = served(node_port_service(), endpoints);
    check_hint(&world, &node(), POD, "10.244.1.11:80", "PASS NAT-06", "pod web-1 itself");
    check_hint(&world, &node(), POD, "10.244.1.11:8080", "PASS NAT-06", "the app in the pod listens on 80");
    check_hint(&world, &node(), POD, "10.244.1.11:31111", "PASS NAT-06", "31111 is the node port");
}

#[test]
fn another_port_of_a_balancers_address_is_left_to_whoever_has_it_lb_01() {
    check(&served(load_balancer_service(), both()), &node(), CLIENT, "198.51.100.7:22", "PASS LB-01");
}

#[test]
fn what_has_nothing_to_do_with_services_passes_nat_06() {
    let world = served(node_port_service(), both());
    check(&world, &node(), POD, "203.0.113.99:443", "PASS NAT-06");
    check_hint(&world, &node(), POD, "203.0.113.99:31111", "PASS NAT-06", "is not an address of node n1");
}

#[test]
fn no_packet_has_addresses_of_two_families() {
    let error = Question::new(ip("10.0.0.1"), Proto::TCP, ip("fd00::1"), 80).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the source 10.0.0.1 and the destination fd00::1 are of different address families"
    );
}
