//! Real clients that try to get past what is guarded. Packets that no honest stack sends are in the tier `packets`.

use std::time::Duration;

use lb_tests::wire::Transport;
use lb_tests::{Conversation, Dial, Inside, Options, Outside, ask_shunt, check, tcp, udp, udp_unconnected};

use crate::scene::{Scene, web};

/// Nothing that is dropped is answered within this.
const SILENCE: Duration = Duration::from_millis(700);

/// Every call by which a socket can name whom it dials.
fn by_every_call(target: &str) -> [Dial; 8] {
    [
        tcp(target),
        tcp(target).mapped(),
        tcp(target).fast_open(),
        tcp(target).mapped().fast_open(),
        udp(target),
        udp(target).mapped(),
        udp_unconnected(target),
        udp_unconnected(target).mapped(),
    ]
}

fn with_pod_network() -> Options {
    Options { arguments: vec!["--cluster-cidr=10.244.0.0/16".into()], ..Options::default() }
}

#[test]
fn source_ranges_hold_whatever_call_names_the_address() {
    let both = web("web").port(80).named("http").port(80).udp().named("echo").target(5000);
    let both = both.load_balancer_ip("203.0.113.9");
    let scene = Scene::with_options(&with_pod_network(), &[&both]);
    for dial in by_every_call("203.0.113.9:80") {
        check::dial(&scene.client, &dial);
        check::dial(&scene.node, &dial);
    }
    scene.apply(&[&both.source_ranges(&["198.51.100.0/24"])]);
    for dial in by_every_call("203.0.113.9:80") {
        check::refused(&scene.client, &dial, "EHOSTUNREACH");
        check::refused(&scene.node, &dial, "EHOSTUNREACH");
    }
}

#[test]
fn a_socket_that_was_let_in_is_shut_out_when_ranges_come() {
    let echo = web("echo").port(5000).udp().load_balancer_ip("203.0.113.9");
    let scene = Scene::with_options(&with_pod_network(), &[&echo]);
    let mut client = Conversation::start(&scene.client, Transport::UdpUnconnected).expect("a client");
    check::answered(client.dial("203.0.113.9:5000").expect("a dial"));
    scene.apply(&[&echo.source_ranges(&["198.51.100.0/24"])]);
    assert_eq!(check::failed(client.dial("203.0.113.9:5000").expect("a dial")).errno, "EHOSTUNREACH");
}

#[test]
fn a_refused_client_outside_gets_nothing_by_fragments_either() {
    let echo = web("echo").port(5000).udp().load_balancer_ip("203.0.113.9");
    let scene = Scene::serving(&[&echo]);
    let client = scene.outside("client");
    routed(&client, &scene);
    let whole = udp("203.0.113.9:5000");
    let parts = udp("203.0.113.9:5000").size(20_000);
    for dial in [&whole, &parts] {
        check::dial(&client, dial);
    }
    scene.apply(&[&echo.source_ranges(&["198.51.100.0/24"])]);
    for dial in [whole, parts] {
        // Another port than before: what was let in goes on until it is silent for a while, as it does with kube-proxy.
        for attempt in dial.within(SILENCE).from(&client).expect("an attempt") {
            assert_ne!(check::failed(attempt).errno, "ECONNREFUSED");
        }
    }
    let said = ask_shunt(&scene.node, "status").expect("a status");
    assert!(said["counters"]["source-refused"].as_u64() >= Some(2), "{said}");
}

#[test]
fn a_node_port_on_loopback_is_not_reached_from_a_wire() {
    let scene = Scene::serving(&[&web("web").port(80).node_port(31_000)]);
    let client = scene.outside("client");
    check::dial(&scene.node, &tcp("127.0.0.1:31000"));
    check::dial(&client, &tcp("192.168.49.11:31000"));
    // A neighbour that means to: its stack sends what is for 127.0.0.0/8 out, to the node (CVE-2020-8558).
    let name = client.place().netns().to_owned();
    for device in ["all", "eth0"] {
        let setting = format!("net/ipv4/conf/{device}/route_localnet");
        client.place().set(&setting, "1").unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
    client
        .ip(&[
            "addr del 127.0.0.1/8 dev lo".to_owned(),
            "route flush table local 127.0.0.0/8".to_owned(),
            format!("route add 127.0.0.0/8 via {} src {}", scene.node.v4(), client.v4()),
        ])
        .unwrap_or_else(|error| panic!("{error:#}"));
    for attempt in tcp("127.0.0.1:31000").within(SILENCE).from(&client).expect("an attempt") {
        check::failed(attempt);
    }
    let said = ask_shunt(&scene.node, "status").expect("a status");
    assert_eq!(said["counters"]["new-flow"], 1, "only the dial of the node's own address began one: {said}");
}

#[test]
fn a_node_port_is_not_taken_by_a_mapped_address() {
    let scene = Scene::serving(&[&web("web").port(80).node_port(31_000)]);
    for address in ["[::ffff:0.0.0.0]:31000", "[::ffff:127.0.0.1]:31000", "[::ffff:192.168.49.11]:31000"] {
        let report = lb_tests::bind(&scene.node, Transport::Tcp, address).expect("an attempt");
        let errno = report.failure.map(|failure| failure.errno);
        assert_eq!(errno.as_deref(), Some("EADDRINUSE"), "{address}");
    }
}

/// The client's route to the load balancer's addresses leads to the node.
#[track_caller]
fn routed(client: &Outside, scene: &Scene) {
    let route = format!("route add 203.0.113.0/24 via {}", scene.node.v4());
    client.ip(&[route]).unwrap_or_else(|error| panic!("{error:#}"));
}
