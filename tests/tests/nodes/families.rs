//! IPv4, IPv6, and IPv4 by IPv6 sockets.

use lb_tests::check::{self, address};
use lb_tests::wire::Answer;
use lb_tests::{Dial, Inside, tcp, udp, udp_unconnected};

use crate::scene::{Scene, web};

const MAPPED: &str = "[::ffff:10.96.0.10]";

#[track_caller]
fn scene() -> Scene {
    let http = web("http").port(8080).target(80).cluster_ips("10.96.0.10", "fd00:10:96::10");
    Scene::serving(&[
        &http,
        &web("echo").port(500).udp().target(5000).cluster_ips("10.96.0.11", "fd00:10:96::11"),
    ])
}

#[track_caller]
fn from_both(scene: &Scene, dial: &Dial) -> Vec<Answer> {
    let places = [scene.client.place(), scene.node.place()];
    places.into_iter().map(|place| check::dial(place, dial)).collect()
}

#[test]
fn a_service_of_both_families_is_reached_by_each() {
    let scene = scene();
    for target in ["10.96.0.10:8080", "[fd00:10:96::10]:8080"] {
        for answer in from_both(&scene, &tcp(target)) {
            assert_eq!(answer.peer_name, Some(address(target)));
            assert_eq!(answer.greeting.local.is_ipv6(), address(target).is_ipv6());
        }
    }
    for target in ["10.96.0.11:500", "[fd00:10:96::11]:500"] {
        for dial in [udp(target), udp_unconnected(target)] {
            for answer in from_both(&scene, &dial) {
                assert_eq!(answer.source, Some(address(target)));
            }
        }
    }
}

#[test]
fn an_ipv6_socket_that_dials_ipv4_is_shown_the_mapped_form_that_it_dialled() {
    let scene = scene();
    for answer in from_both(&scene, &tcp("10.96.0.10:8080").mapped()) {
        assert_eq!(answer.peer_name, Some(address(&format!("{MAPPED}:8080"))));
        assert!(answer.greeting.local.is_ipv4());
    }
    let shown = address("[::ffff:10.96.0.11]:500");
    for answer in from_both(&scene, &udp("10.96.0.11:500").mapped()) {
        assert_eq!((answer.peer_name, answer.source), (Some(shown), Some(shown)));
    }
    for answer in from_both(&scene, &udp_unconnected("10.96.0.11:500").mapped()) {
        assert_eq!(answer.source, Some(shown));
    }
}

#[test]
fn one_ipv6_socket_speaks_to_services_of_both_families() {
    let scene = scene();
    let mapped = "[::ffff:10.96.0.11]:500";
    let dial = udp_unconnected("[fd00:10:96::11]:500").then(mapped).on_one_socket().times(10);
    for attempt in dial.from(&scene.client).expect("attempts") {
        let target = attempt.target;
        assert_eq!(check::answered(attempt).source, Some(target));
    }
}

#[test]
fn a_service_of_ipv6_alone_is_not_reached_by_ipv4() {
    let six = web("six").port(80).cluster_ip("fd00:10:96::60").node_port(31060);
    let six = six.with("ipFamilies", serde_json::json!(["IPv6"]));
    let scene = Scene::serving(&[&six]);
    for target in ["[fd00:10:96::60]:80", "[fd00:192:168:49::11]:31060", "[::1]:31060"] {
        assert!(check::dial(&scene.node, &tcp(target)).greeting.local.is_ipv6());
    }
    for target in ["192.168.49.11:31060", "127.0.0.1:31060"] {
        check::refused(&scene.node, &tcp(target), "ECONNREFUSED");
    }
}
