//! What can't be served is refused as the client understands it, or dropped where policy says so.

use std::time::Duration;

use lb_tests::{Inside, ask_shunt, check, tcp, udp};

use super::{Edge, for_app, here};

/// Nobody says no within this: nothing is said at all.
const SILENCE: Duration = Duration::from_millis(700);

#[track_caller]
fn is_silent(edge: &Edge, target: &str) {
    for dial in [tcp(target), udp(target)] {
        for attempt in dial.within(SILENCE).from(&edge.client).expect("an attempt") {
            let failure = check::failed(attempt);
            assert!(
                ["ETIMEDOUT", "EAGAIN", "EINPROGRESS"].contains(&failure.errno.as_str()),
                "{target}: {failure}"
            );
        }
    }
}

#[test]
fn a_service_without_endpoints_refuses_at_once() {
    let tcp_port = for_app("none", "nobody").port(80).named("tcp").node_port(31_010);
    let both_ports = tcp_port.port(80).named("udp").udp().node_port(31_010);
    let edge = Edge::serving(&[&both_ports]);
    for target in edge.on_node(31_010) {
        check::refused(&edge.client, &tcp(&target), "ECONNREFUSED");
        check::refused(&edge.client, &udp(&target), "ECONNREFUSED");
    }
    // By this and not by the node, on which nobody listens there.
    let said = ask_shunt(&edge.node, "status").expect("a status");
    assert_eq!(said["counters"]["no-endpoint"], 4);
    assert_eq!(said["counters"]["refused-rst"], 2);
    assert_eq!(said["counters"]["refused-icmp"], 2);
}

#[test]
fn a_port_that_a_cluster_ip_has_not_is_refused_at_once() {
    let service = here("web").cluster_ips("10.96.0.1", "fd00:10:96::1");
    let edge = Edge::serving(&[&service]);
    for target in ["10.96.0.1:81", "[fd00:10:96::1]:81"] {
        check::refused(&edge.client, &tcp(target), "ECONNREFUSED");
        check::refused(&edge.client, &udp(target), "ECONNREFUSED");
    }
}

#[test]
fn without_an_endpoint_on_the_node_local_policy_is_silent() {
    let tcp_port = for_app("local", "there").port(80).named("tcp").node_port(31_011);
    let both_ports = tcp_port.port(80).named("udp").udp().node_port(31_011);
    let edge = Edge::serving(&[&both_ports.external_local()]);
    is_silent(&edge, &format!("{}:31011", edge.node.v4()));
    is_silent(&edge, &format!("[{}]:31011", edge.node.v6()));
}

#[test]
fn only_clients_in_the_source_ranges_are_served() {
    let allowed = here("allowed").load_balancer_ip("198.51.100.1").source_ranges(&["192.168.49.0/24"]);
    let refused =
        here("refused").load_balancer_ip("198.51.100.2").source_ranges(&["192.0.2.0/24", "10.0.0.0/8"]);
    let edge = Edge::serving(&[&allowed, &refused.node_port(31_012)]);
    assert_eq!(check::dial(&edge.client, &tcp("198.51.100.1:80")).greeting.pod, "here");
    for attempt in tcp("198.51.100.2:80").within(SILENCE).from(&edge.client).expect("an attempt") {
        assert_ne!(check::failed(attempt).errno, "ECONNREFUSED");
    }
    // The list is of the load balancer's addresses alone.
    assert_eq!(check::dial(&edge.client, &tcp(&edge.on_node(31_012)[0])).greeting.pod, "here");
}

#[test]
fn who_is_not_in_the_ranges_is_dropped_before_anybody_is_refused_lsr_04() {
    let of_nobody = |name: &str, ip: &str| for_app(name, "nobody").port(80).load_balancer_ip(ip);
    let open = of_nobody("open", "198.51.100.1").source_ranges(&["192.168.49.0/24"]);
    let shut = of_nobody("shut", "198.51.100.2").source_ranges(&["192.0.2.0/24"]);
    let edge = Edge::serving(&[&open, &shut]);
    check::refused(&edge.client, &tcp("198.51.100.1:80"), "ECONNREFUSED");
    is_silent(&edge, "198.51.100.2:80");
    // At the node's own sockets as well, each in its own words.
    check::refused(&edge.node, &tcp("198.51.100.1:80"), "ECONNREFUSED");
    check::refused(&edge.node, &tcp("198.51.100.2:80"), "EHOSTUNREACH");
}

#[test]
fn a_client_that_met_silence_gets_through_as_soon_as_there_is_an_endpoint_noe_04() {
    let local = for_app("local", "late").port(80).node_port(31_014).external_local();
    let edge = Edge::serving(&[&local, &for_app("local-elsewhere", "there").port(80)]);
    let target = format!("{}:31014", edge.node.v4());
    let elsewhere = edge.there.manifest().label("app", "late");
    edge.shunt.apply(&[&elsewhere]).expect("in force");
    let client = edge.client.place().clone();
    let dial = tcp(&target).within(Duration::from_secs(60));
    let waiting = std::thread::spawn(move || check::dial(&client, &dial).greeting.pod);
    let dropped = || {
        let status = ask_shunt(&edge.node, "status").expect("a status");
        status["counters"]["no-local-endpoint"].as_u64().unwrap_or(0)
    };
    while dropped() == 0 {
        assert!(!waiting.is_finished(), "it was not dropped first");
    }
    edge.shunt.apply(&[&edge.here.manifest().label("app", "late")]).expect("in force");
    assert_eq!(waiting.join().expect("an answer"), "here");
    // And back: without any endpoint the same way in is refused.
    edge.shunt.remove("Pod", &["here", "there"]).expect("in force");
    check::refused(&edge.client, &tcp(&target), "ECONNREFUSED");
}

#[test]
fn an_address_of_services_that_no_service_has_is_silent() {
    let service = here("web").cluster_ip("10.96.0.1");
    let edge = Edge::serving(&[&service]);
    is_silent(&edge, "10.96.0.77:80");
}

#[test]
fn a_port_of_the_node_that_is_no_services_is_the_nodes_own() {
    let edge = Edge::serving(&[&here("web").node_port(31_013)]);
    let _own = lb_tests::serve().http(8088).udp(8088).at(&edge.node).expect("a server");
    for target in edge.on_node(8088) {
        assert_eq!(check::dial(&edge.client, &tcp(&target)).greeting.pod, "node-1");
        assert_eq!(check::dial(&edge.client, &udp(&target)).greeting.pod, "node-1");
    }
}

#[test]
fn addresses_of_services_answer_a_ping_unless_told_not_to() {
    let service = here("web").cluster_ips("10.96.0.1", "fd00:10:96::1").external_ips(&["203.0.113.1"]);
    let addresses = ["10.96.0.1", "fd00:10:96::1", "203.0.113.1"];
    let edge = Edge::serving(&[&service]);
    for address in addresses {
        edge.client.place().run("ping", &["-c", "1", "-W", "20", address]).expect(address);
    }
    drop(edge);
    let edge = Edge::with_arguments(&["--no-vip-ping"], &[&service]);
    for address in addresses {
        let said = edge.client.place().run("ping", &["-c", "1", "-W", "1", address]);
        assert!(said.is_err(), "{address}: {said:?}");
    }
}
