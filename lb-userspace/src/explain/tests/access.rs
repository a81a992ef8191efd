//! Who may dial, and whose an address is.

use super::*;
use crate::model::{Ingress, IngressMode};

const BALANCER: &str = "198.51.100.7:8080";

fn restricted(ranges: &[&str]) -> World {
    let source_ranges = Some(ranges.iter().map(|range| net(range)).collect());
    served(Service { source_ranges, ..load_balancer_service() }, both())
}

#[test]
fn source_ranges_drop_whoever_is_not_in_them_at_the_load_balancers_address_only_lsr_01() {
    let world = restricted(&["203.0.113.0/25"]);
    check(&world, &node(), "203.0.113.7", BALANCER, "DNAT 10.244.1.11:80 10.244.2.11:80* EPS-07");
    for source in ["203.0.113.130", POD, NODE, "127.0.0.1"] {
        check(&world, &node(), source, BALANCER, "DROP LSR-01");
        check(
            &world,
            &node(),
            source,
            "172.20.0.10:8080",
            &line(&ask(&served(load_balancer_service(), both()), &node(), source, "172.20.0.10:8080")),
        );
    }
}

#[test]
fn who_is_dropped_by_source_ranges_is_dropped_even_without_endpoints_lsr_04() {
    let source_ranges = Some(vec![net("203.0.113.0/25")]);
    let world = served(Service { source_ranges, ..load_balancer_service() }, vec![]);
    check(&world, &node(), "203.0.113.130", BALANCER, "DROP LSR-01");
    check(&world, &node(), "203.0.113.7", BALANCER, "REJECT NOE-01");
}

#[test]
fn a_node_in_the_ranges_may_dial_from_the_balancers_address_too_lsr_03() {
    let world = restricted(&["192.168.0.0/24"]);
    let expected = "DNAT 10.244.1.11:80 10.244.2.11:80* EPS-07";
    for source in [NODE, "127.0.0.1", "198.51.100.7"] {
        check(&world, &node(), source, BALANCER, expected);
    }
    check(&restricted(&["203.0.113.0/24"]), &node(), "198.51.100.7", BALANCER, "DROP LSR-01");
}

#[test]
fn ranges_of_the_other_family_only_let_nobody_in_lsr_02() {
    check(&restricted(&["2001:db8::/32"]), &node(), CLIENT, BALANCER, "DROP LSR-02");
}

#[test]
fn a_pod_that_is_in_a_range_alone_is_warned_that_its_sockets_are_refused_lsr_01() {
    let answer = ask(&restricted(&["10.244.1.0/24"]), &node(), POD, BALANCER);
    assert_eq!(answer.verdict, Verdict::Dnat);
    assert!(answer.caution.unwrap().contains("all pods"));
    assert_eq!(ask(&restricted(&["10.244.0.0/16"]), &node(), POD, BALANCER).caution, None);
}

#[test]
fn a_balancer_that_is_a_proxy_gets_its_packets_lb_02() {
    let mut service = load_balancer_service();
    service.ingress[0].mode = IngressMode::Proxy;
    check(&served(service, both()), &node(), POD, BALANCER, "PASS LB-02");
}

/// A second Service with the same external address, older or younger than the first.
fn rivals(created: [Option<i64>; 2]) -> World {
    let mut first = Service { created: created[0], external_ips: vec![ip("198.51.100.80")], ..service() };
    first.cluster_ips = vec![ip("172.20.0.11")];
    first.name = crate::model::ObjectName::new("default", "api");
    let second = Service { created: created[1], external_ips: vec![ip("198.51.100.80")], ..service() };
    world(vec![first, second], vec![slice(both())])
}

#[test]
fn of_two_services_at_one_address_the_older_answers_svc_14() {
    let owner = |world: &World| ask(world, &node(), CLIENT, "198.51.100.80:8080").service;
    assert_eq!(owner(&rivals([Some(1), Some(2)])), "default/api:8080");
    assert_eq!(owner(&rivals([Some(2), Some(1)])), "default/web:8080");
    assert_eq!(owner(&rivals([None, Some(1)])), "default/web:8080");
    let answer = ask(&rivals([Some(2), Some(1)]), &node(), CLIENT, "198.51.100.80:8080");
    let step = answer.steps.iter().find(|step| step.row == "SVC-14").unwrap();
    assert_eq!(
        (step.object.as_str(), step.field.as_str()),
        ("Service default/api", "metadata.creationTimestamp")
    );
}

#[test]
fn an_external_address_of_the_node_beats_a_node_port_while_it_has_endpoints_ext_02() {
    let mut external = Service { external_ips: vec![ip(NODE)], ..service() };
    external.name = crate::model::ObjectName::new("default", "api");
    external.cluster_ips = vec![ip("172.20.0.11")];
    external.ports[0].port = 31111;
    let mut of_api = slice(vec![local("10.244.1.12")]);
    of_api.service = "api".into();
    of_api.name = crate::model::ObjectName::new("default", "api-abc");
    let mut world = world(vec![external, node_port_service()], vec![of_api.clone(), slice(both())]);
    check(&world, &node(), CLIENT, "192.168.0.2:31111", "DNAT 10.244.1.12:80 EPS-07");
    of_api.endpoints.clear();
    world.apply(Change::Slice(Box::new(of_api)));
    let answer = ask(&world, &node(), CLIENT, "192.168.0.2:31111");
    assert_eq!(answer.service, "default/web:8080");
    assert!(answer.steps.iter().any(|step| step.row == "EXT-02"));
}

#[test]
fn a_balancers_address_is_caught_for_pods_and_the_node_too_lb_01() {
    let mut service = load_balancer_service();
    service.ingress.push(Ingress { ip: ip("198.51.100.8"), mode: IngressMode::Vip });
    let world = served(service, both());
    for source in [POD, NODE, CLIENT] {
        assert_eq!(ask(&world, &node(), source, "198.51.100.8:8080").verdict, Verdict::Dnat);
    }
}
