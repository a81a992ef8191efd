//! UDP: connected and unconnected sockets, and what lasts from one datagram to the next.

use lb_tests::check::{self, address, answered};
use lb_tests::wire::Transport;
use lb_tests::{Conversation, Inside, udp, udp_unconnected};

use crate::scene::{Scene, web};

#[test]
fn an_answer_comes_from_the_address_that_was_dialled() {
    let scene = Scene::serving(&[&web("echo").port(500).udp().target(5000).cluster_ip("10.96.0.50")]);
    for answer in check::answers(&scene.client, &udp("10.96.0.50:500").times(20)) {
        assert_eq!(answer.peer_name, Some(address("10.96.0.50:500")));
        assert_eq!(answer.source, Some(address("10.96.0.50:500")));
        assert_eq!(answer.greeting.peer, answer.own);
    }
    for answer in check::answers(&scene.node, &udp_unconnected("10.96.0.50:500").times(20)) {
        assert_eq!(answer.source, Some(address("10.96.0.50:500")));
    }
}

#[test]
fn one_unconnected_socket_speaks_to_several_services_and_to_a_pod() {
    let scene = Scene::serving(&[
        &web("one").port(501).udp().target(5000).cluster_ip("10.96.0.51"),
        &web("two").port(502).udp().target(5001).cluster_ip("10.96.0.52"),
        &web("three").port(503).udp().target(5002).cluster_ip("10.96.0.53"),
    ]);
    let apart = scene.node.pod("apart").expect("a pod");
    let _serving = lb_tests::serve().udp(5000).at(&apart).expect("a server");
    let apart = format!("{}:5000", apart.v4());
    let dial = udp_unconnected("10.96.0.51:501").then("10.96.0.52:502").then("10.96.0.53:503").then(&apart);
    let attempts = dial.on_one_socket().times(10).from(&scene.client).expect("attempts");
    assert_eq!(attempts.len(), 40);
    for attempt in attempts {
        let target = attempt.target;
        let answer = answered(attempt);
        assert_eq!(answer.greeting.pod == "apart", target == address(&apart));
        assert_eq!(answer.source, Some(target));
    }
}

#[test]
fn an_answer_of_a_pod_behind_two_services_comes_from_the_one_that_was_dialled_last() {
    let scene = Scene::serving(&[
        &web("one").port(501).udp().target(5000).cluster_ip("10.96.0.51"),
        &web("two").port(502).udp().target(5000).cluster_ip("10.96.0.52"),
    ]);
    scene.remove_pods(&["pod-b", "pod-c"]);
    let dial = udp_unconnected("10.96.0.51:501").then("10.96.0.52:502").on_one_socket().times(10);
    for attempt in dial.from(&scene.client).expect("attempts") {
        let target = attempt.target;
        assert_eq!(answered(attempt).source, Some(target));
    }
}

#[test]
fn a_connected_socket_may_be_connected_anew() {
    let scene = Scene::serving(&[
        &web("one").port(501).udp().target(5000).cluster_ip("10.96.0.51"),
        &web("two").port(502).udp().target(5000).cluster_ip("10.96.0.52"),
    ]);
    let pod = format!("{}:5000", scene.pods[2].v4());
    let dial = udp("10.96.0.51:501").then(&pod).then("10.96.0.52:502").on_one_socket().times(5);
    for attempt in dial.from(&scene.client).expect("attempts") {
        let target = attempt.target;
        let answer = answered(attempt);
        assert_eq!((answer.peer_name, answer.source), (Some(target), Some(target)));
    }
}

#[test]
fn an_unconnected_socket_keeps_its_pod_until_that_is_gone() {
    let scene = Scene::serving(&[&web("echo").port(5000).udp().cluster_ip("10.96.0.50")]);
    let mut client =
        Conversation::start(&scene.client, Transport::UdpUnconnected).expect("a client with one socket");
    let mut ask = || answered(client.dial("10.96.0.50:5000").expect("an attempt")).greeting.pod;
    let first = ask();
    for _ in 0..20 {
        assert_eq!(ask(), first);
    }
    scene.remove_pods(&[&first]);
    let second = ask();
    assert_ne!(second, first);
    for _ in 0..20 {
        assert_eq!(ask(), second);
    }
}

#[test]
fn an_unconnected_socket_follows_its_service_to_another_target_port_ct_06() {
    let echo = |target: u16| web("echo").port(5000).target(target).udp().cluster_ip("10.96.0.50");
    let scene = Scene::serving(&[&echo(5001)]);
    let mut client =
        Conversation::start(&scene.client, Transport::UdpUnconnected).expect("a client with one socket");
    let mut port = || answered(client.dial("10.96.0.50:5000").expect("an attempt")).greeting.local.port();
    assert_eq!(port(), 5001);
    scene.apply(&[&echo(5002)]);
    assert_eq!(port(), 5002);
}

#[test]
fn a_resolver_reaches_a_name_server_through_a_service_by_udp_and_tcp() {
    let dns = web("dns").port(53).udp().named("dns").port(53).named("dns-tcp");
    let scene = Scene::serving(&[&dns.cluster_ips("10.96.0.53", "fd00:10:96::53")]);
    let pods: Vec<_> = scene.pods.iter().map(|pod| pod.v4().to_string()).collect();
    for place in [scene.client.place(), scene.node.place()] {
        for server in ["@10.96.0.53", "@fd00:10:96::53"] {
            for transport in ["+notcp", "+tcp"] {
                let options = [server, transport, "+short", "+tries=1", "+time=5", "web.default.svc", "A"];
                let said = place.run("dig", &options).expect("an answer");
                assert!(pods.iter().any(|pod| pod == said.trim()), "{options:?}: {said}");
            }
        }
    }
}
