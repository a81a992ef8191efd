//! The truth table of §0.1 and what overrides it: which endpoints, and who is masqueraded.

use super::*;
use crate::model::{DetectLocal, TrafficPolicy};

const ALWAYS_LOCAL: &str = "DNAT 10.244.1.11:80 EPS-08";

/// Node n1 as kube-proxy masquerades.
fn always() -> NodeFacts {
    NodeFacts { masquerade_always: true, ..node() }
}

/// Both endpoints, those that `masqueraded` names with a star.
fn all(masqueraded: [bool; 2]) -> String {
    let star = |yes: bool| if yes { "*" } else { "" };
    format!("DNAT 10.244.1.11:80{} 10.244.2.11:80{} EPS-07", star(masqueraded[0]), star(masqueraded[1]))
}

const ALL: [bool; 2] = [true, true];
const NONE: [bool; 2] = [false, false];
const REMOTE: [bool; 2] = [false, true];

fn with(internal: TrafficPolicy, external: TrafficPolicy) -> World {
    let mut service =
        Service { internal_policy: internal, external_policy: external, ..load_balancer_service() };
    service.external_ips = vec![ip("198.51.100.80")];
    served(service, both())
}

const OUTSIDE: [&str; 3] = ["192.168.0.2:31111", "198.51.100.7:8080", "198.51.100.80:8080"];
const CLUSTER: &str = "172.20.0.10:8080";

#[test]
fn cluster_policies_send_everybody_to_all_and_masquerade_as_kube_proxy_does_cip_02_nat_05() {
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Cluster);
    check(&world, &always(), POD, CLUSTER, &all(NONE));
    check(&world, &always(), NODE, CLUSTER, &all(ALL));
    check(&world, &always(), CLIENT, CLUSTER, &all(ALL));
    for place in OUTSIDE {
        for source in [POD, NODE, CLIENT] {
            check(&world, &always(), source, place, &all(ALL));
        }
    }
}

#[test]
fn the_external_policy_local_keeps_clients_outside_and_their_addresses_eps_08_nat_05() {
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Local);
    check(&world, &always(), CLIENT, CLUSTER, &all(ALL));
    for place in OUTSIDE {
        check(&world, &always(), CLIENT, place, ALWAYS_LOCAL);
        check(&world, &always(), POD, place, &all(NONE));
        check(&world, &always(), NODE, place, &all(ALL));
    }
}

#[test]
fn the_internal_policy_local_keeps_everybody_who_dials_the_cluster_ip_eps_08() {
    let world = with(TrafficPolicy::Local, TrafficPolicy::Cluster);
    check(&world, &always(), POD, CLUSTER, ALWAYS_LOCAL);
    check(&world, &always(), NODE, CLUSTER, "DNAT 10.244.1.11:80* EPS-08");
    check(&world, &always(), CLIENT, CLUSTER, "DNAT 10.244.1.11:80* EPS-08");
    for place in OUTSIDE {
        check(&world, &always(), POD, place, &all(ALL));
    }
}

#[test]
fn by_default_a_backend_on_this_node_sees_who_dials_nat_05() {
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Cluster);
    check(&world, &node(), CLIENT, "192.168.0.2:31111", &all(REMOTE));
    check(&world, &node(), CLIENT, CLUSTER, &all(REMOTE));
    check(&world, &node(), POD, CLUSTER, &all(NONE));
}

#[test]
fn a_pod_that_reaches_itself_is_masqueraded_nat_04() {
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Local);
    for node in [node(), always()] {
        check(&world, &node, "10.244.1.11", CLUSTER, &all([true, false]));
    }
}

#[test]
fn a_pod_elsewhere_of_an_endpoints_address_is_no_hairpin_here_nat_04() {
    check(&with(TrafficPolicy::Cluster, TrafficPolicy::Local), &always(), "10.244.2.11", CLUSTER, &all(NONE));
}

#[test]
fn by_the_node_s_own_networks_its_pods_alone_are_told_cfg_dl() {
    let own = NodeFacts {
        detect_local: DetectLocal::NodeCidr,
        cluster_cidrs: vec!["10.244.1.0/24".parse().unwrap()],
        ..always()
    };
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Cluster);
    for (source, place) in
        [("10.244.1.77", "is inside 10.244.1.0/24: a pod"), ("10.244.2.77", "a client outside")]
    {
        let step = ask(&world, &own, source, CLUSTER).steps.remove(0);
        assert_eq!(
            (step.object.as_str(), step.field.as_str(), step.row),
            ("Node n1", "spec.podCIDRs", "CFG-DL")
        );
        assert!(step.finding.contains(place), "{}", step.finding);
    }
    check(&world, &own, "10.244.1.77", CLUSTER, &all(NONE));
    check(&world, &own, "10.244.2.77", CLUSTER, &all(ALL));
}

#[test]
fn where_pods_cannot_be_told_they_are_clients_outside_cfg_dl() {
    let blind = NodeFacts { cluster_cidrs: vec![], ..always() };
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Local);
    check(&world, &blind, POD, "192.168.0.2:31111", ALWAYS_LOCAL);
    for source in [POD, NODE, CLIENT] {
        check(&world, &blind, source, CLUSTER, &all(NONE));
    }
    check(&world, &blind, NODE, "192.168.0.2:31111", &all(ALL));
}

#[test]
fn loopback_and_every_address_of_the_node_are_the_node_itself_cfg_dl() {
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Local);
    for source in ["127.0.0.1", "192.168.0.2", "192.168.0.3"] {
        check(&world, &always(), source, "192.168.0.2:31111", &all(ALL));
    }
}

#[test]
fn without_a_local_endpoint_a_client_outside_is_dropped_and_one_inside_is_served_noe_02() {
    let service = Service { external_policy: TrafficPolicy::Local, ..load_balancer_service() };
    let world = served(service, vec![remote("10.244.2.11")]);
    check(&world, &node(), CLIENT, "192.168.0.2:31111", "DROP NOE-02");
    check(&world, &node(), POD, "192.168.0.2:31111", "DNAT 10.244.2.11:80 EPS-07");
}

#[test]
fn an_internal_policy_without_a_local_endpoint_drops_for_everybody_noe_02() {
    let service = Service { internal_policy: TrafficPolicy::Local, ..service() };
    let world = served(service, vec![remote("10.244.2.11")]);
    for source in [POD, NODE, CLIENT] {
        check(&world, &node(), source, CLUSTER, "DROP NOE-02");
    }
}

#[test]
fn an_endpoint_that_ends_elsewhere_drops_and_does_not_refuse_noe_03() {
    let service = Service { external_policy: TrafficPolicy::Local, ..node_port_service() };
    let world = served(service, vec![terminating(remote("10.244.2.11"))]);
    check(&world, &node(), CLIENT, "192.168.0.2:31111", "DROP NOE-03");
}

#[test]
fn without_any_endpoint_every_way_in_is_refused_to_everybody_noe_01() {
    for endpoints in [vec![], vec![down(local("10.244.1.11"))]] {
        let world = served(load_balancer_service(), endpoints);
        for source in [POD, NODE, CLIENT] {
            for place in [CLUSTER, "192.168.0.2:31111", "198.51.100.7:8080"] {
                check(&world, &node(), source, place, "REJECT NOE-01");
            }
        }
    }
}

#[test]
fn the_verdict_follows_the_last_endpoint_out_and_back_in_noe_04() {
    let mut world = served(service(), both());
    check(&world, &node(), POD, CLUSTER, &all(NONE));
    world.apply(Change::Slice(Box::new(slice(vec![]))));
    check(&world, &node(), POD, CLUSTER, "REJECT NOE-01");
    world.apply(Change::Slice(Box::new(slice(both()))));
    check(&world, &node(), POD, CLUSTER, &all(NONE));
}

#[test]
fn a_deleted_service_is_not_found_svc_09() {
    let mut world = served(node_port_service(), both());
    world.apply(Change::ServiceGone(service().name));
    check(&world, &node(), POD, CLUSTER, "DROP CIP-04");
    check(&world, &node(), CLIENT, "192.168.0.2:31111", "PASS NP-01");
}

#[test]
fn the_list_is_named_by_what_narrowed_it_topo_03_topo_05() {
    let near = Endpoint { hints: zones(&["a"]), ..remote("10.244.2.11") };
    let far = Endpoint { hints: zones(&["b"]), ..remote("10.244.3.11") };
    let service = Service { external_policy: TrafficPolicy::Local, ..node_port_service() };
    let world = served(service, vec![near, far]);
    check(&world, &node(), POD, CLUSTER, "DNAT 10.244.2.11:80 TOPO-03");
    check(&world, &node(), POD, "192.168.0.2:31111", "DNAT 10.244.2.11:80 TOPO-03");
}

#[test]
fn endpoints_are_sorted_as_text_eps_06() {
    let world = served(service(), vec![remote("10.244.2.9"), remote("10.244.2.10"), remote("10.244.10.1")]);
    let answer = ask(&world, &node(), POD, CLUSTER);
    assert_eq!(answer.endpoints, ["10.244.10.1:80", "10.244.2.10:80", "10.244.2.9:80"]);
    assert_eq!(answer.service, "default/web:8080");
}

#[test]
fn both_families_are_answered_alike_svc_07() {
    let service = Service { cluster_ips: vec![ip(CLUSTER_IP), ip(CLUSTER_IP6)], ..node_port_service() };
    let mut v6 = slice(vec![local("fd00:10:244:1::11")]);
    v6.name = crate::model::ObjectName::new("default", "web-v6");
    let world = world(vec![service], vec![slice(both()), v6]);
    let expected = "DNAT [fd00:10:244:1::11]:80 EPS-07";
    check(&world, &node(), "fd00:10:244:1::5", "[fd00:172:20::10]:8080", expected);
    check(&world, &node(), "2001:db8::7", "[fd00:192:168::2]:31111", expected);
}

#[test]
fn where_pods_are_told_by_their_devices_an_address_is_a_client_outside_cfg_dl() {
    let own = NodeFacts { detect_local: DetectLocal::InterfaceNamePrefix, cluster_cidrs: vec![], ..always() };
    let world = with(TrafficPolicy::Cluster, TrafficPolicy::Local);
    let step = ask(&world, &own, POD, CLUSTER).steps.remove(0);
    assert_eq!((step.field.as_str(), step.row), ("--detect-local-mode", "CFG-DL"));
    assert!(step.finding.ends_with("taken for a client outside"), "{}", step.finding);
    // Who is not a pod is masqueraded toward a ClusterIP, as with any way of telling pods that works.
    check(&world, &own, CLIENT, CLUSTER, &all(ALL));
    check(&world, &own, CLIENT, "192.168.0.2:31111", "DNAT 10.244.1.11:80 EPS-08");
}
