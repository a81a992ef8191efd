//! What an instance notices, and what `shunt status` says of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use lb_common::{Addr, BackendId, Flow, FlowFlags, FlowKey, Moment, Owner, Port, Proto, Seen, ServiceId};
use lb_tests::wire::{Outcome, monotonic};
use lb_tests::{Inside, Options, ask_shunt, check, tcp, udp};
use serde_json::Value;

use super::{Edge, flow_table, for_app, here, there};

#[track_caller]
fn status(edge: &Edge) -> Value {
    ask_shunt(&edge.node, "status").unwrap_or_else(|error| panic!("{error:#}"))
}

#[track_caller]
pub(super) fn wait_for_status(edge: &Edge, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
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
    edge.node.ip(&["addr add 192.168.49.200/24 dev eth0"]).expect("an address");
    edge.shunt.wait_until_listed("192.168.49.200", true).expect("in force");
    assert_eq!(check::dial(&edge.client, &tcp("192.168.49.200:31001")).greeting.pod, "here");
    edge.node.ip(&["addr del 192.168.49.200/24 dev eth0"]).expect("no address");
    edge.shunt.wait_until_listed("192.168.49.200", false).expect("in force");
}

/// Leaves 535 ports to masquerade with: what the kernel gives to sockets is none of them.
#[track_caller]
pub(super) fn leave_few_ports(edge: &Edge) {
    give_to_sockets(edge, "1024 65000");
    wait_for_status(edge, |status| status["node"]["portCount"] == 535);
}

/// The kernel gives these ports to sockets of the node, which hears of it.
#[track_caller]
fn give_to_sockets(edge: &Edge, ports: &str) {
    edge.node.place().set("net/ipv4/ip_local_port_range", ports).expect("a setting");
    edge.node.ip(&["addr add 192.168.49.200/24 dev eth0"]).expect("a change of the node");
}

#[test]
fn where_sockets_have_all_ports_endpoints_elsewhere_are_served_still_and_it_is_said() {
    let edge = Edge::serving(&[&there("remote").node_port(31_002)]);
    let seen = edge.shunt.lines_so_far();
    give_to_sockets(&edge, "1024 65535");
    let said = wait_for_status(&edge, |status| status["node"]["portsRemark"].is_string());
    assert!(said["node"]["portCount"].as_u64() >= Some(30_000), "{said:#}");
    edge.shunt.wait_for_line(seen, |line| line.contains("shared with sockets")).expect("a warning");
    for target in edge.on_node(31_002) {
        assert_eq!(check::dial(&edge.client, &tcp(&target)).greeting.pod, "there", "{target}");
    }
}

#[test]
fn connections_that_are_closed_leave_their_ports_to_others() {
    let edge = Edge::serving(&[&there("remote").node_port(31_002)]);
    leave_few_ports(&edge);
    // Thrice as many as ports, in less than the half minute that closed ones are remembered for.
    let answers = check::answers(&edge.client, &tcp(format!("{}:31002", edge.node.v4())).times(1_605));
    let ports: BTreeSet<u16> = answers.iter().map(|answer| answer.greeting.peer.port()).collect();
    assert!(ports.iter().all(|port| *port > 65_000), "{ports:?}");
    let said = status(&edge);
    assert_eq!(entries(&said, "FLOWS").map(|entries| entries <= 2 * 535), Some(true), "{said:#}");
}

#[test]
fn ports_that_run_out_are_told_once_for_their_backend() {
    let service = for_app("remote", "there").port(5000).udp().node_port(31_002);
    let edge = Edge::serving(&[&service]);
    leave_few_ports(&edge);
    take_ports(&edge, 65_001..=65_535);
    let seen = edge.shunt.lines_so_far();
    let dial = udp(format!("{}:31002", edge.node.v4())).within(Duration::from_millis(200));
    let is_served = || {
        let attempts = dial.from(&edge.client).expect("an attempt");
        attempts.iter().all(|attempt| matches!(attempt.outcome, Outcome::Answered(_)))
    };
    for _ in 0..3 {
        assert!(!is_served());
    }
    let told = |line: &str| line.contains("no masquerade port was free");
    let line = edge.shunt.wait_for_line(seen, told);
    let line = line.unwrap_or_else(|error| panic!("{error:#}; {:#}", status(&edge)));
    let backend = format!("{}:5000", edge.there.v4());
    assert!(line.contains(&backend) && line.contains("default/remote"), "{line}");
    let said = status(&edge);
    assert_eq!(said["exhausted"][0]["backend"], backend);
    assert_eq!(said["exhausted"][0]["service"], "default/remote");
    assert_eq!(said["counters"]["masquerade-exhausted"], said["exhausted"][0]["packets"]);
    // Flows that are over give their ports back, and nothing is said twice.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_served() {
        assert!(Instant::now() < deadline, "no port becomes free");
    }
    assert_eq!(edge.shunt.lines_since(seen).iter().filter(|line| told(line)).count(), 1);
}

/// Puts flows of datagrams into the table that have each of these ports of the node toward the pod elsewhere;
/// their backend is none that serves, so that they are over as soon as nothing comes.
fn take_ports(edge: &Edge, ports: RangeInclusive<u16>) {
    let mut table = flow_table(edge);
    let owner = Owner { backend: BackendId::NONE, generation: 0, service: ServiceId::NONE };
    let addr = |ip: Ipv4Addr| Addr::from(IpAddr::from(ip));
    let flags = FlowFlags::MASQUERADED;
    for port in ports.map(Port::new) {
        let client = addr(Ipv4Addr::new(203, 0, 113, 9));
        let dialled = FlowKey::new(client, port, addr(edge.node.v4()), Port::new(31_002), Proto::UDP);
        let backend = addr(edge.there.v4());
        let sent = FlowKey::new(addr(edge.node.v4()), port, backend, Port::new(5000), Proto::UDP);
        let now = Moment::from_ns(monotonic());
        let forward = Flow::new(&sent, flags, owner, now).with_seen(Seen::PACKET);
        let reverse = Flow::new(&dialled.reversed(), flags.with(FlowFlags::REVERSE), owner, now);
        table.insert(dialled, forward, 0).expect("room");
        table.insert(sent.reversed(), reverse.with_seen(Seen::PACKET), 0).expect("room");
    }
}
