use lb_common::Proto;

use super::*;
use crate::compile::tests::objects::*;
use crate::model::{Change, Endpoint, EndpointSlice};

/// `default/web` with policy Local and health check 30999.
fn checked() -> Service {
    Service {
        external_policy: TrafficPolicy::Local,
        health_check_node_port: Some(30999),
        ..load_balancer_service()
    }
}

fn world(service: Service, slices: Vec<EndpointSlice>) -> World {
    let mut world = World::default();
    world.apply(Change::Service(Box::new(service)));
    for slice in slices {
        world.apply(Change::Slice(Box::new(slice)));
    }
    world
}

fn key(family: Family) -> CheckKey {
    (ObjectName::new("default", "web"), family)
}

fn local_endpoints(service: Service, slices: Vec<EndpointSlice>) -> usize {
    health_checks(&world(service, slices), &node())[&key(Family::V4)].local_endpoints
}

#[test]
fn only_a_load_balancer_of_policy_local_with_a_port_has_one_hcn_01() {
    let has_one = |service: Service| !health_checks(&world(service, vec![]), &node()).is_empty();
    assert!(has_one(checked()));
    assert!(!has_one(Service { kind: ServiceType::NodePort, ..checked() }));
    assert!(!has_one(Service { external_policy: TrafficPolicy::Cluster, ..checked() }));
    assert!(!has_one(Service { health_check_node_port: None, ..checked() }));
    assert!(!has_one(Service { health_check_node_port: Some(0), ..checked() }));
}

#[test]
fn each_family_with_a_cluster_ip_has_its_own_hcn_01() {
    let both = Service { cluster_ips: vec![ip(CLUSTER_IP), ip(CLUSTER_IP6)], ..checked() };
    let v6 = EndpointSlice {
        name: ObjectName::new("default", "web-6"),
        ..slice(vec![local("fd00:10:244:1::11"), local("fd00:10:244:1::12")])
    };
    let checks = health_checks(&world(both, vec![slice(vec![local("10.244.1.11")]), v6]), &node());
    let counts: Vec<_> = checks.iter().map(|((_, family), check)| (*family, check.local_endpoints)).collect();
    assert_eq!(counts, [(Family::V4, 1), (Family::V6, 2)]);
}

#[test]
fn a_family_that_the_node_lacks_has_none_nod_05() {
    let both = Service { cluster_ips: vec![ip(CLUSTER_IP), ip(CLUSTER_IP6)], ..checked() };
    let node = NodeFacts {
        addresses: vec![ip("192.168.0.2")],
        node_port_addresses: NodePortAddresses::All,
        ..node()
    };
    let checks = health_checks(&world(both, vec![]), &node);
    assert_eq!(checks.keys().map(|(_, family)| *family).collect::<Vec<_>>(), [Family::V4]);
}

#[test]
fn it_listens_on_every_address_or_on_those_that_node_ports_are_for_hcn_02() {
    let addresses = |which: NodePortAddresses| {
        let node = NodeFacts { node_port_addresses: which, ..node() };
        let checks = health_checks(&world(checked(), vec![]), &node);
        checks.values().flat_map(|check| &check.addresses).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(addresses(NodePortAddresses::All), ["0.0.0.0:30999"]);
    assert_eq!(addresses(NodePortAddresses::Primary), ["192.168.0.2:30999"]);
    assert_eq!(addresses(NodePortAddresses::Within(vec![net("192.168.0.3/32")])), ["192.168.0.3:30999"]);
    assert_eq!(addresses(NodePortAddresses::Within(vec![net("10.0.0.0/8")])), Vec::<String>::new());
}

#[test]
fn an_address_counts_once_however_many_ports_and_slices_have_it_hcn_04() {
    let mut service = checked();
    service.ports = vec![port("a", Proto::TCP, 80), port("b", Proto::TCP, 81)];
    let of_port = |name: &str, endpoints: Vec<Endpoint>| {
        let mut slice = slice(endpoints);
        slice.name = crate::model::ObjectName::new("default", format!("web-{name}"));
        slice.ports[0].name = name.to_owned();
        slice
    };
    let slices = vec![
        of_port("a", vec![local("10.244.1.11"), local("10.244.1.12")]),
        of_port("b", vec![local("10.244.1.11")]),
        of_port("of no port", vec![local("10.244.1.13")]),
    ];
    assert_eq!(local_endpoints(service, slices), 2);
}

#[test]
fn those_elsewhere_not_ready_or_terminating_do_not_count_hcn_04() {
    let endpoints = vec![
        remote("10.244.2.11"),
        down(local("10.244.1.11")),
        terminating(local("10.244.1.12")),
        Endpoint { node: None, ..local("10.244.1.13") },
    ];
    assert_eq!(local_endpoints(checked(), vec![slice(endpoints)]), 0);
}
