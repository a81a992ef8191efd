//! What an instance notices, and what `shunt status` says of it.

use std::time::{Duration, Instant};

use lb_tests::wire::Outcome;
use lb_tests::{Inside, Options, ask_shunt, check, flood, tcp, udp};
use serde_json::Value;

use super::{Edge, for_app, here, there};

#[track_caller]
fn status(edge: &Edge) -> Value {
    ask_shunt(&edge.node, "status").unwrap_or_else(|error| panic!("{error:#}"))
}

#[track_caller]
fn wait_for_status(edge: &Edge, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let said = status(edge);
        if wanted(&said) {
            return said;
        }
        assert!(Instant::now() < deadline, "it stays so: {said:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A map's entries.
fn entries(status: &Value, map: &str) -> Option<u64> {
    status["maps"].as_array()?.iter().find(|fill| fill["map"] == map)?["entries"].as_u64()
}

#[test]
fn a_status_says_what_happened_with_an_instance_or_without() {
    let edge = Edge::serving(&[&here("local").node_port(31_001), &there("remote").node_port(31_002)]);
    for port in [31_001, 31_002] {
        check::dial(&edge.client, &tcp(format!("{}:{port}", edge.node.v4())));
    }
    let said = status(&edge);
    assert_eq!(said["controlled"], true);
    assert_eq!(said["counters"]["new-flow"], 2, "{said:#}");
    assert_eq!(said["counters"]["assured-flow"], 2, "{said:#}");
    assert!(said["counters"]["tc-forward"].as_u64() > Some(4), "{said:#}");
    assert!(said["counters"]["tc-reply"].as_u64() > Some(4), "{said:#}");
    assert_eq!(entries(&said, "FLOWS"), Some(4), "{said:#}");
    let addresses = edge.node.addresses().map(|ip| Value::from(ip.to_string()));
    assert_eq!(said["node"]["masquerade"], Value::from(addresses.to_vec()));
    assert!(said["node"]["portCount"].as_u64() >= Some(30_000), "{said:#}");
    let Edge { shunt, node, .. } = edge;
    shunt.stop().expect("an end");
    let after = ask_shunt(&node, "status").expect("a status");
    assert_eq!(after["controlled"], false);
    assert_eq!(after["counters"], said["counters"]);
}

#[test]
fn an_address_that_the_node_gets_later_is_served() {
    let services = [&here("local").node_port(31_001) as &dyn lb_tests::manifest::Manifest];
    let edge = Edge::with_options(Options { find_addresses: true, ..Options::default() }, &services);
    let seen = edge.shunt.lines_so_far();
    edge.node.ip(&["addr add 192.168.49.200/24 dev eth0"]).expect("an address");
    edge.shunt.wait_for_line(seen, |line| line.contains("applied generation=")).expect("in force");
    assert_eq!(check::dial(&edge.client, &tcp("192.168.49.200:31001")).greeting.pod, "here");
    let seen = edge.shunt.lines_so_far();
    edge.node.ip(&["addr del 192.168.49.200/24 dev eth0"]).expect("no address");
    edge.shunt.wait_for_line(seen, |line| line.contains("applied generation=")).expect("in force");
    let services = edge.shunt.services("json").expect("services");
    assert!(!services.contains("192.168.49.200"), "{services}");
}

#[test]
fn ports_that_run_out_are_told_once_for_their_backend() {
    const CLIENTS: u32 = 2_000;
    let service = for_app("remote", "there").port(5000).udp().node_port(31_002);
    let edge = Edge::serving(&[&service]);
    // What the kernel gives to sockets is not masqueraded with: few ports are left.
    let few = "net.ipv4.ip_local_port_range=1024 65000";
    edge.node.place().run("sysctl", &["-qw", few]).expect("a sysctl");
    let route = format!("route add 100.64.0.0/10 via {}", edge.client.v4());
    edge.node.ip(&[route.as_str(), "addr add 192.168.49.200/24 dev eth0"]).expect("a change of the node");
    wait_for_status(&edge, |status| status["node"]["portCount"] == 535);
    let seen = edge.shunt.lines_so_far();
    let target = format!("{}:31002", edge.node.v4());
    flood(&edge.client, "udp", std::slice::from_ref(&target), CLIENTS, "100.64.0.1")
        .and_then(|flood| flood.finish(Duration::from_secs(20)))
        .expect("its end");
    let told = |line: &str| line.contains("no masquerade port was free");
    let line = edge.shunt.wait_for_line(seen, told).expect("what was noticed");
    let backend = format!("{}:5000", edge.there.v4());
    assert!(line.contains(&backend) && line.contains("default/remote"), "{line}");
    let said = wait_for_status(&edge, |status| status["exhausted"][0]["packets"].as_u64() > Some(1_000));
    assert_eq!(said["exhausted"][0]["backend"], backend);
    assert_eq!(said["exhausted"][0]["service"], "default/remote");
    assert_eq!(said["counters"]["masquerade-exhausted"], said["exhausted"][0]["packets"]);
    // Ports are free again when the flows are over, and nothing is said twice.
    wait_until_served(&edge, &target);
    assert_eq!(edge.shunt.lines_since(seen).iter().filter(|line| told(line)).count(), 1);
}

#[track_caller]
fn wait_until_served(edge: &Edge, target: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let dial = udp(target).within(Duration::from_secs(1));
    while dial
        .from(&edge.client)
        .expect("an attempt")
        .iter()
        .any(|attempt| matches!(attempt.outcome, Outcome::Failed(_)))
    {
        assert!(Instant::now() < deadline, "no port becomes free");
    }
}
