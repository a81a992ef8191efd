//! Dials that are refused, at once and the way a client understands.

use lb_tests::check::{self, failed};
use lb_tests::wire::Step;
use lb_tests::{Dial, tcp, udp, udp_unconnected};

use crate::scene::{Scene, web};

fn by_every_way(target: &str) -> [Dial; 4] {
    [tcp(target), tcp(target).mapped(), udp(target), udp_unconnected(target)]
}

#[test]
fn a_service_without_an_endpoint_refuses_at_once() {
    let both = |name: &str| web(name).port(80).named("http").port(80).udp().named("echo").target(5000);
    let scene = Scene::serving(&[&both("web").cluster_ip("10.96.0.10")]);
    scene.apply(&[&both("web").cluster_ip("10.96.0.10").selecting("app", "nobody")]);
    for dial in by_every_way("10.96.0.10:80") {
        check::refused(&scene.client, &dial, "ECONNREFUSED");
        check::refused(&scene.node, &dial, "ECONNREFUSED");
    }
    scene.apply(&[&both("web").cluster_ip("10.96.0.10")]);
    for dial in by_every_way("10.96.0.10:80") {
        check::dial(&scene.client, &dial);
    }
    scene.remove_pods(&["pod-a", "pod-b", "pod-c"]);
    for dial in by_every_way("10.96.0.10:80") {
        check::refused(&scene.client, &dial, "ECONNREFUSED");
    }
}

#[test]
fn a_node_port_without_an_endpoint_refuses_at_once() {
    let scene = Scene::serving(&[&web("web").selecting("app", "nobody").port(80).node_port(31000)]);
    for target in ["192.168.49.11:31000", "127.0.0.1:31000"] {
        check::refused(&scene.node, &tcp(target), "ECONNREFUSED");
    }
    check::refused(&scene.client, &tcp("192.168.49.11:31000"), "ECONNREFUSED");
}

#[test]
fn each_number_belongs_to_its_own_address() {
    let backends = web("fb-backends").port(5001).target(80).node_port(30904);
    let scene = Scene::serving(&[&backends.cluster_ip("10.96.0.30")]);
    check::dial(&scene.client, &tcp("10.96.0.30:5001"));
    check::dial(&scene.client, &tcp("192.168.49.11:30904"));
    // The target port and the node port on the ClusterIP, then the other two on the node.
    for target in ["10.96.0.30:80", "10.96.0.30:30904", "192.168.49.11:80", "192.168.49.11:5001"] {
        check::refused(&scene.client, &tcp(target), "ECONNREFUSED");
        check::refused(&scene.node, &tcp(target), "ECONNREFUSED");
    }
}

#[test]
fn another_protocol_than_the_ports_is_refused_on_a_cluster_ip() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    for dial in [udp("10.96.0.10:80"), udp_unconnected("10.96.0.10:80")] {
        check::refused(&scene.client, &dial, "ECONNREFUSED");
    }
}

#[test]
fn the_call_that_names_the_address_is_the_one_that_fails() {
    let scene = Scene::serving(&[&web("web").selecting("app", "nobody").port(80).cluster_ip("10.96.0.10")]);
    let cases = [
        (tcp("10.96.0.10:80"), Step::Connect),
        (udp("10.96.0.10:80"), Step::Connect),
        (udp_unconnected("10.96.0.10:80"), Step::Send),
    ];
    for (dial, step) in cases {
        for attempt in dial.from(&scene.client).expect("an attempt") {
            assert_eq!(failed(attempt).step, step);
        }
    }
}

#[test]
fn the_address_of_a_service_that_is_gone_leads_nowhere_cip_04() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10").node_port(31000)]);
    check::dial(&scene.node, &tcp("10.96.0.10:80"));
    scene.shunt.remove("Service", &["web"]).expect("the Service gone");
    check::refused(&scene.node, &tcp("10.96.0.10:80"), "EHOSTUNREACH");
    check::refused(&scene.node, &tcp("127.0.0.1:31000"), "ECONNREFUSED");
}
