//! Sockets whose backend is gone are ended, and no others.

use std::time::Duration;

use aya::maps::{Array, Map, MapData};
use lb_common::{Backend, LAYOUT_VERSION};
use lb_tests::wire::monotonic;
use lb_tests::{HeldSocket, Options, tcp, udp};

use crate::scene::{Scene, web};

/// How soon a client must learn of it, from when the change was in force, on a machine that has much else to do: one
/// that does not waits for 60 seconds.
const SOON: Duration = Duration::from_secs(20);

#[track_caller]
fn hold(dial: &lb_tests::Dial, scene: &Scene) -> HeldSocket {
    dial.hold(&scene.client).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The owner of the socket has learnt that its backend is gone, soon after that was in force.
#[track_caller]
fn ended_soon(socket: &HeldSocket, since_ns: u64) {
    let end = socket.end().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(end.failure.expect("an end").errno, "ECONNABORTED");
    let after = Duration::from_nanos(end.at_ns.saturating_sub(since_ns));
    assert!(after < SOON, "{after:?}");
}

/// The socket is as it was: it is answered.
#[track_caller]
fn lives(socket: HeldSocket) {
    let end = socket.ask().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(end.failure, None);
}

/// CT-01, CT-03
#[test]
fn a_connected_udp_client_learns_at_once_that_its_pod_is_gone() {
    let echo = web("echo").port(500).udp().target(5000).cluster_ips("10.96.0.50", "fd00:10:96::50");
    let scene = Scene::serving(&[&echo, &web("web").port(80).cluster_ip("10.96.0.10")]);
    scene.remove_pods(&["pod-b", "pod-c"]);
    let doomed = [udp("10.96.0.50:500"), udp("[fd00:10:96::50]:500"), udp("10.96.0.50:500").mapped()];
    let doomed = doomed.map(|dial| hold(&dial, &scene));
    assert_eq!(doomed.each_ref().map(HeldSocket::pod), ["pod-a"; 3]);
    // The same pod, not by the Service; the same Service, another pod; and TCP.
    let direct = hold(&udp(format!("{}:5000", scene.pods[0].v4())), &scene);
    let connection = hold(&tcp("10.96.0.10:80"), &scene);
    scene.restore_pods(&["pod-b"]);
    let other = loop {
        let socket = hold(&udp("10.96.0.50:500"), &scene);
        if socket.pod() == "pod-b" {
            break socket;
        }
    };

    scene.remove_pods(&["pod-a"]);
    let gone_ns = monotonic();

    doomed.iter().for_each(|socket| ended_soon(socket, gone_ns));
    let ended = "ended sockets whose backend is gone";
    let line = scene.shunt.wait_for_line(0, |line| line.contains(ended)).expect("a line in the log");
    assert!(line.contains("destroyed="), "{line}");
    lives(direct);
    lives(other);
    lives(connection);
}

/// CT-04
#[test]
fn tcp_connections_to_a_pod_that_is_gone_are_ended_where_that_is_asked_for() {
    let options = Options { arguments: vec!["--terminate-tcp".into()], ..Options::default() };
    let scene = Scene::with_options(&options, &[&web("web").port(80).cluster_ip("10.96.0.10")]);
    scene.remove_pods(&["pod-b", "pod-c"]);
    let doomed = hold(&tcp("10.96.0.10:80"), &scene);
    let direct = hold(&tcp(format!("{}:80", scene.pods[0].v4())), &scene);
    scene.remove_pods(&["pod-a"]);
    ended_soon(&doomed, monotonic());
    lives(direct);
}

/// CT-07
#[test]
fn a_client_learns_of_a_pod_that_went_while_the_instance_was_away() {
    let scene = Scene::serving(&[&web("echo").port(500).udp().target(5000).cluster_ip("10.96.0.50")]);
    let doomed = hold(&udp("10.96.0.50:500"), &scene);
    let scene = scene.restart(lb_tests::Shunt::kill, |_, node| {
        let world = node.manifests().join("world.json");
        let text = std::fs::read_to_string(&world).expect("the manifests");
        assert!(text.contains("5000"));
        std::fs::write(&world, text.replace("\"targetPort\":5000", "\"targetPort\":5001")).expect("others");
    });
    ended_soon(&doomed, monotonic());
    // The client hears of it before it is told.
    scene.shunt.wait_for_line(0, |line| line.contains("destroyed=1")).expect("a line in the log");
}

/// CT-07
#[test]
fn a_client_learns_of_a_pod_whose_number_was_given_up_by_an_instance_that_was_killed_before_it_looked() {
    let scene = Scene::serving(&[&web("echo").port(500).udp().target(5000).cluster_ip("10.96.0.50")]);
    let doomed = hold(&udp("10.96.0.50:500"), &scene);
    let other = hold(&udp(format!("{}:5000", scene.pods[0].v4())), &scene);
    let scene = scene.restart(lb_tests::Shunt::kill, |_, node| {
        // No instance can be killed just there, for its look comes as soon as it can: this is what it leaves.
        let pin = node.pin_dir().join(format!("v{LAYOUT_VERSION}/maps/BACKENDS"));
        let map = Map::from_map_data(MapData::from_pin(pin).expect("the map")).expect("a map");
        let mut backends: Array<_, Backend> = map.try_into().expect("an array");
        for id in 1..100 {
            let backend = backends.get(&id, 0).expect("a backend");
            if !backend.is_free() {
                backends.set(id, Backend::free(backend.generation() + 1), 0).expect("written");
            }
        }
        let world = node.manifests().join("world.json");
        let text = std::fs::read_to_string(&world).expect("the manifests");
        std::fs::write(&world, text.replace("\"targetPort\":5000", "\"targetPort\":5001")).expect("others");
    });
    ended_soon(&doomed, monotonic());
    let line = scene.shunt.wait_for_line(0, |line| line.contains("destroyed=1")).expect("a line in the log");
    assert!(line.contains("all=true"), "{line}");
    lives(other);
}
