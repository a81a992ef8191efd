//! To a backend and back.

use lb_tests::check::{self, address};
use lb_tests::wire::Transport;
use lb_tests::{Conversation, Inside, tcp, udp, udp_unconnected};

use super::{Edge, for_app, for_both, here, there};

/// Where both Services of both pods answer: their node ports, external addresses and ClusterIPs.
fn everywhere() -> Edge {
    let local = here("local")
        .node_port(31_001)
        .cluster_ips("10.96.0.1", "fd00:10:96::1")
        .external_ips(&["203.0.113.1", "fd00:203:113::1"]);
    let local_udp = for_app("local-udp", "here").port(5000).udp().node_port(31_101);
    let remote = there("remote")
        .node_port(31_002)
        .cluster_ips("10.96.0.2", "fd00:10:96::2")
        .external_ips(&["203.0.113.2", "fd00:203:113::2"]);
    let remote_udp = for_app("remote-udp", "there").port(5000).udp().node_port(31_102);
    let balanced = here("balanced").cluster_ip("10.96.0.3").load_balancer_ip("198.51.100.3");
    Edge::serving(&[&local, &local_udp, &remote, &remote_udp, &balanced])
}

#[test]
fn a_backend_of_the_node_sees_the_client_itself() {
    let edge = everywhere();
    for target in edge.on_node(31_001) {
        let answer = check::dial(&edge.client, &tcp(&target));
        assert_eq!(answer.greeting.pod, "here");
        assert_eq!(answer.greeting.peer, answer.own);
    }
    for target in edge.on_node(31_101) {
        for dial in [udp(&target), udp_unconnected(&target)] {
            let answer = check::dial(&edge.client, &dial);
            assert_eq!(answer.greeting.pod, "here");
            assert_eq!(answer.greeting.peer.port(), answer.own.port());
            assert_eq!(answer.source, Some(address(&target)));
        }
    }
}

#[test]
fn a_backend_elsewhere_sees_the_node_and_the_client_what_it_dialled() {
    let edge = everywhere();
    for target in edge.on_node(31_002) {
        let answer = check::dial(&edge.client, &tcp(&target));
        assert_eq!(answer.greeting.pod, "there");
        assert!(edge.node.addresses().contains(&answer.greeting.peer.ip()), "{answer:?}");
    }
    for target in edge.on_node(31_102) {
        for dial in [udp(&target), udp_unconnected(&target)] {
            let answer = check::dial(&edge.client, &dial);
            assert_eq!(answer.greeting.pod, "there");
            assert!(edge.node.addresses().contains(&answer.greeting.peer.ip()), "{answer:?}");
            assert_eq!(answer.source, Some(address(&target)));
        }
    }
}

#[test]
fn addresses_that_are_routed_to_the_node_are_served() {
    let edge = everywhere();
    let local =
        ["10.96.0.1:80", "[fd00:10:96::1]:80", "203.0.113.1:80", "[fd00:203:113::1]:80", "198.51.100.3:80"];
    let remote = ["10.96.0.2:80", "[fd00:10:96::2]:80", "203.0.113.2:80", "[fd00:203:113::2]:80"];
    for target in local {
        assert_eq!(check::dial(&edge.client, &tcp(target)).greeting.pod, "here", "{target}");
    }
    for target in remote {
        assert_eq!(check::dial(&edge.client, &tcp(target)).greeting.pod, "there", "{target}");
    }
}

#[test]
fn masqueraded_always_every_backend_sees_the_node() {
    let service = here("local").node_port(31_001);
    let edge = Edge::with_arguments(&["--masquerade", "always"], &[&service]);
    for target in edge.on_node(31_001) {
        let answer = check::dial(&edge.client, &tcp(&target));
        assert_eq!(answer.greeting.pod, "here");
        // The address by which the node reaches its pods.
        assert!(edge.node.gateway_addresses().contains(&answer.greeting.peer.ip()), "{answer:?}");
    }
}

#[test]
fn by_clsact_filters_clients_are_served_and_refused_alike() {
    let services = [
        here("local").node_port(31_001),
        there("remote").node_port(31_002),
        for_app("local-udp", "here").port(5000).udp().node_port(31_101),
        for_app("remote-udp", "there").port(5000).udp().node_port(31_102),
        for_app("nobody", "nobody").port(80).node_port(31_003),
        for_app("nobody-udp", "nobody").port(80).udp().node_port(31_103),
    ];
    let services: Vec<_> =
        services.iter().map(|service| service as &dyn lb_tests::manifest::Manifest).collect();
    let edge = Edge::with_arguments(&["--no-tcx"], &services);
    let attached = edge.node.programs_on("eth0").expect("programs");
    assert_eq!(attached, ["clsact/ingress shunt_ingress", "clsact/egress shunt_egress"]);
    for (port, pod) in [(31_001, "here"), (31_002, "there")] {
        for target in edge.on_node(port) {
            assert_eq!(check::dial(&edge.client, &tcp(&target)).greeting.pod, pod, "{target}");
        }
        for target in edge.on_node(port + 100) {
            let answer = check::dial(&edge.client, &udp_unconnected(&target));
            assert_eq!((answer.greeting.pod.as_str(), answer.source), (pod, Some(address(&target))));
        }
    }
    for target in edge.on_node(31_003) {
        check::refused(&edge.client, &tcp(&target), "ECONNREFUSED");
    }
    for target in edge.on_node(31_103) {
        check::refused(&edge.client, &udp(&target), "ECONNREFUSED");
    }
}

#[test]
fn an_answer_that_leaves_by_another_device_is_translated_too() {
    let edge = everywhere();
    // A second wire between the node and the client, by which the node reaches the client's address.
    let seen = edge.shunt.lines_so_far();
    edge.node
        .ip(&[
            &format!("link add eth1 type veth peer name eth1 netns {}", edge.client.place().netns()),
            "addr add 192.168.50.1/24 dev eth1",
            "link set eth1 up",
        ])
        .expect("a device");
    edge.client.ip(&["addr add 192.168.50.2/24 dev eth1", "link set eth1 up"]).expect("a device");
    edge.shunt.wait_for_line(seen, |line| line.contains("attached to device eth1")).expect("its programs");
    edge.node.ip(&[format!("route add {} via 192.168.50.2", edge.client.v4())]).expect("a route");
    edge.client.place().set("net/ipv4/conf/all/rp_filter", "0").expect("no check of the way back");
    for (port, pod) in [(31_001, "here"), (31_002, "there")] {
        let target = format!("{}:{port}", edge.node.v4());
        assert_eq!(check::dial(&edge.client, &tcp(&target)).greeting.pod, pod);
        let target = format!("{}:{}", edge.node.v4(), port + 100);
        assert_eq!(check::dial(&edge.client, &udp(&target)).source, Some(address(&target)));
    }
}

#[test]
fn clients_with_one_port_and_addresses_with_one_backend_do_not_meet() {
    let edge = everywhere();
    // From one port to two frontends of one backend.
    for target in ["203.0.113.2:80", "10.96.0.2:80", "203.0.113.1:80", "10.96.0.1:80"] {
        let answer = check::dial(&edge.client, &tcp(target).from_port(40_000));
        assert_eq!(answer.own.port(), 40_000);
    }
    let mut first = Conversation::start(&edge.client, Transport::UdpUnconnected).expect("a client");
    for port in [31_101, 31_102, 31_101, 31_102] {
        let target = format!("{}:{port}", edge.node.v4());
        let answer = check::answered(first.dial(&target).expect("an attempt"));
        assert_eq!(answer.greeting.pod, if port == 31_101 { "here" } else { "there" });
        assert_eq!(answer.source, Some(address(&target)));
    }
}

#[test]
fn a_client_with_affinity_keeps_its_backend() {
    let both = for_both("both").port(80).node_port(31_003).affinity(60);
    let edge = Edge::serving(&[&both]);
    let pods = [&edge.here, &edge.there].map(|pod| pod.manifest().label("tier", "all"));
    edge.shunt.apply(&[&pods[0], &pods[1]]).expect("in force");
    let target = format!("{}:31003", edge.node.v4());
    let answers = check::answers(&edge.client, &tcp(&target).times(20));
    assert_eq!(check::pods(&answers).len(), 1);
}

#[test]
fn without_affinity_clients_are_spread() {
    let both = for_both("both").port(80).node_port(31_003);
    let edge = Edge::serving(&[&both]);
    let pods = [&edge.here, &edge.there].map(|pod| pod.manifest().label("tier", "all"));
    edge.shunt.apply(&[&pods[0], &pods[1]]).expect("in force");
    for target in edge.on_node(31_003) {
        let answers = check::answers(&edge.client, &tcp(&target).times(40));
        assert_eq!(check::pods(&answers), ["here", "there"]);
    }
}

#[test]
fn with_local_policy_only_backends_of_the_node_are_chosen() {
    let both = for_both("both").port(80).node_port(31_003).external_local();
    let edge = Edge::serving(&[&both]);
    let pods = [&edge.here, &edge.there].map(|pod| pod.manifest().label("tier", "all"));
    edge.shunt.apply(&[&pods[0], &pods[1]]).expect("in force");
    for target in edge.on_node(31_003) {
        let answers = check::answers(&edge.client, &tcp(&target).times(20));
        assert_eq!(check::pods(&answers), ["here"]);
    }
}
