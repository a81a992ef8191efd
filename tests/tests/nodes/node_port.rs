//! NodePorts, dialled from inside.

use lb_tests::check::{self, address};
use lb_tests::{Options, serve, tcp, udp, udp_unconnected};

use crate::scene::{Scene, web};

#[test]
fn a_node_port_is_reached_on_every_address_of_the_node_and_on_its_loopback() {
    let service = web("web").port(8080).target(80).node_port(31111);
    let scene = Scene::serving(&[&service.cluster_ips("10.96.0.10", "fd00:10:96::10")]);
    let of_the_node = ["192.168.49.11", "10.244.1.1", "[fd00:192:168:49::11]", "[fd00:10:244:1::1]"];
    let loopback = ["127.0.0.1", "127.0.0.53", "[::1]"];
    for ip in of_the_node.iter().chain(&loopback) {
        let target = format!("{ip}:31111");
        let answer = check::dial(&scene.node, &tcp(&target));
        assert_eq!(answer.peer_name, Some(address(&target)));
        assert_eq!(answer.greeting.local.port(), 80);
    }
    for ip in of_the_node {
        let target = format!("{ip}:31111");
        let answer = check::dial(&scene.client, &tcp(&target));
        assert_eq!(answer.peer_name, Some(address(&target)));
        assert_eq!(answer.greeting.peer, answer.own);
    }
}

#[test]
fn a_udp_node_port_is_reached_on_an_address_of_the_node_and_on_its_loopback() {
    let scene = Scene::serving(&[&web("echo").port(5000).udp().node_port(31500)]);
    for target in ["192.168.49.11:31500", "127.0.0.1:31500"] {
        for dial in [udp(target), udp_unconnected(target)] {
            assert_eq!(check::dial(&scene.node, &dial).source, Some(address(target)));
        }
    }
    for dial in [udp("192.168.49.11:31500"), udp_unconnected("192.168.49.11:31500")] {
        assert_eq!(check::dial(&scene.client, &dial).source, Some(address("192.168.49.11:31500")));
    }
}

#[test]
fn the_loopback_of_a_pod_is_its_own() {
    let service = web("web").port(80).named("http").node_port(31000);
    let service = service.port(5000).named("echo").udp().node_port(31000);
    let scene = Scene::serving(&[&service.cluster_ips("10.96.0.10", "fd00:10:96::10")]);
    for target in ["127.0.0.1:31000", "[::1]:31000"] {
        for dial in [tcp(target), udp(target)] {
            check::refused(&scene.client, &dial, "ECONNREFUSED");
        }
    }
    let _own = serve().http(31000).udp(31000).at(&scene.client).expect("a server");
    for target in ["127.0.0.1:31000", "[::1]:31000"] {
        for dial in [tcp(target), udp(target), udp_unconnected(target)] {
            assert_eq!(check::dial(&scene.client, &dial).greeting.pod, "client");
        }
    }
    assert_ne!(check::dial(&scene.node, &tcp("127.0.0.1:31000")).greeting.pod, "client");
}

#[test]
fn the_addresses_of_the_node_are_found_and_followed() {
    let options = Options { find_addresses: true, ..Options::default() };
    let scene = Scene::with_options(&options, &[&web("web").port(80).node_port(31000)]);
    for target in ["192.168.49.11:31000", "10.244.1.1:31000", "127.0.0.1:31000"] {
        assert_eq!(check::dial(&scene.node, &tcp(target)).peer_name, Some(address(target)));
    }

    scene.node.ip(&["addr add 192.168.49.200/24 dev eth0"]).expect("an address");
    scene.shunt.wait_until_listed("192.168.49.200", true).expect("its effect");
    assert_eq!(
        check::dial(&scene.client, &tcp("192.168.49.200:31000")).peer_name,
        Some(address("192.168.49.200:31000"))
    );

    scene.node.ip(&["addr del 192.168.49.200/24 dev eth0"]).expect("no address");
    scene.shunt.wait_until_listed("192.168.49.200", false).expect("its effect");
    let attempt = &tcp("192.168.49.200:31000").within(std::time::Duration::from_millis(100));
    for attempt in attempt.from(&scene.client).expect("an attempt") {
        check::failed(attempt);
    }
}
