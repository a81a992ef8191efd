//! Flows outlive what began them, or end with it.

use std::time::Duration;

use lb_tests::wire::Transport;
use lb_tests::{Conversation, Inside, Process, ask_shunt, check, tcp};
use serde_json::Value;

use super::status::leave_few_ports;
use super::{Edge, flow_table, for_app, for_both, here, there};

/// What `shunt flows` says.
#[track_caller]
fn flows(edge: &Edge) -> Vec<Value> {
    let said = ask_shunt(&edge.node, "flows").unwrap_or_else(|error| panic!("{error:#}"));
    said.as_array().expect("flows").clone()
}

/// A download that takes some seconds.
#[track_caller]
fn slow_download(edge: &Edge, target: &str) -> Process {
    let mut command = edge.client.place().command("sh").expect("a command");
    let line = format!("echo begun; curl -sSf --limit-rate 4M http://{target}/bytes/12000000 | wc -c");
    let process = Process::start("curl", command.args(["-c", &line])).expect("a download");
    process.wait_for_line(0, Duration::from_secs(60), |line| line == "begun").expect("its begin");
    process
}

#[track_caller]
fn wait_for_flows(edge: &Edge, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = std::time::Instant::now() + Duration::from_secs(90);
    loop {
        let found = flows(edge);
        if wanted(&found) {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "flows stay: {found:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn connections_go_on_when_their_service_and_its_endpoints_are_gone() {
    let edge = Edge::serving(&[&here("local").node_port(31_001), &there("remote").node_port(31_002)]);
    let downloads = [31_001, 31_002].map(|port| slow_download(&edge, &format!("{}:{port}", edge.node.v4())));
    wait_for_flows(&edge, |flows| flows.len() == 2 && flows.iter().all(|flow| flow["assured"] == true));
    edge.shunt.remove("Service", &["local", "remote"]).expect("in force");
    edge.shunt.remove("Pod", &["here", "there"]).expect("in force");
    for download in downloads {
        let said = download.finish(Duration::from_secs(90)).expect("the end of a download");
        assert!(said.contains("12000000"), "{said}");
    }
}

#[test]
fn connections_go_on_when_other_ports_are_given_away_from_now_on_krn_04() {
    let edge = Edge::serving(&[&there("remote").node_port(31_002)]);
    let downloads = edge.on_node(31_002).map(|target| slow_download(&edge, &target));
    wait_for_flows(&edge, |flows| flows.len() == 2 && flows.iter().all(|flow| flow["assured"] == true));
    leave_few_ports(&edge);
    // The next instance finds no other ports either.
    let Edge { shunt, servers, here, there, client, node, other, network } = edge;
    shunt.stop().expect("an end");
    let shunt = lb_tests::Shunt::resume(&node, &lb_tests::Options::default()).expect("a new instance");
    for download in downloads {
        let said = download.finish(Duration::from_secs(20)).expect("the end of a download");
        assert!(said.contains("12000000"), "{said}");
    }
    drop((shunt, servers, here, there, client, node, other, network));
}

#[test]
fn connections_go_on_while_the_instance_is_away_and_new_ones_begin() {
    let edge = Edge::serving(&[&here("local").node_port(31_001), &there("remote").node_port(31_002)]);
    let downloads = [31_001, 31_002].map(|port| slow_download(&edge, &format!("{}:{port}", edge.node.v4())));
    wait_for_flows(&edge, |flows| flows.len() == 2);
    let Edge { shunt, servers, here, there, client, node, other, network } = edge;
    shunt.stop().expect("an end");
    for port in [31_001, 31_002] {
        check::dial(&client, &tcp(format!("{}:{port}", node.v4())));
    }
    let shunt = lb_tests::Shunt::resume(&node, &lb_tests::Options::default()).expect("a new instance");
    for download in downloads {
        let said = download.finish(Duration::from_secs(90)).expect("the end of a download");
        assert!(said.contains("12000000"), "{said}");
    }
    drop((shunt, servers, here, there, client, node, other, network));
}

#[test]
fn datagrams_go_to_another_backend_at_once_when_theirs_is_gone() {
    let both = for_both("both").port(5000).udp().node_port(31_003);
    let edge = Edge::serving(&[&both]);
    let pods = [&edge.here, &edge.there].map(|pod| pod.manifest().label("tier", "all"));
    edge.shunt.apply(&[&pods[0], &pods[1]]).expect("in force");
    let target = format!("{}:31003", edge.node.v4());
    let mut client = Conversation::start(&edge.client, Transport::Udp).expect("a client");
    let first = check::answered(client.dial(&target).expect("an attempt")).greeting.pod;
    for _ in 0..5 {
        assert_eq!(check::answered(client.dial(&target).expect("an attempt")).greeting.pod, first);
    }
    edge.shunt.remove("Pod", &[&first]).expect("in force");
    for _ in 0..5 {
        assert_ne!(check::answered(client.dial(&target).expect("an attempt")).greeting.pod, first);
    }
}

#[test]
fn datagrams_follow_their_service_to_another_target_port_ct_06() {
    let echo = |target: u16| for_app("echo", "here").port(5000).target(target).udp().node_port(31_003);
    let edge = Edge::serving(&[&echo(5000)]);
    let _second = lb_tests::serve().udp(5001).at(&edge.here).expect("a server");
    let target = format!("{}:31003", edge.node.v4());
    let mut client = Conversation::start(&edge.client, Transport::Udp).expect("a client");
    let mut port = || check::answered(client.dial(&target).expect("an attempt")).greeting.local.port();
    assert_eq!(port(), 5000);
    edge.shunt.apply(&[&echo(5001)]).expect("in force");
    assert_eq!(port(), 5001);
}

#[test]
fn a_closed_connection_is_forgotten_after_its_time() {
    let edge = Edge::serving(&[&there("remote").node_port(31_002)]);
    let target = format!("{}:31002", edge.node.v4());
    let began = std::time::Instant::now();
    let answer = check::dial(&edge.client, &tcp(&target));
    let is_closed = |flows: &[Value]| flows.len() == 1 && flows[0]["state"] == "closed";
    let found = wait_for_flows(&edge, is_closed);
    let flow = &found[0];
    assert_eq!(flow["client"], answer.own.to_string());
    assert_eq!(flow["frontend"], target);
    assert_eq!(flow["backend"], format!("{}:80", edge.there.v4()));
    assert_eq!(flow["masquerade"], answer.greeting.peer.to_string());
    assert_eq!(flow["service"], "default/remote");
    wait_for_flows(&edge, <[Value]>::is_empty);
    assert!(began.elapsed() > Duration::from_secs(28), "{:?}", began.elapsed());
}

#[test]
fn a_full_table_is_emptied_of_what_is_over_in_seconds() {
    const FLOWS: u32 = 200_000;
    let edge = Edge::serving(&[&here("local").node_port(31_001)]);
    let seen = edge.shunt.lines_so_far();
    fill(&edge, FLOWS);
    let (mut forgotten, mut rounds) = (0, 0);
    let mut line = seen;
    while forgotten < FLOWS {
        let said = edge.shunt.wait_for_line(line, |line| line.contains("flows forgotten")).expect("a round");
        line = edge.shunt.log().lines().position(|logged| logged == said).expect("the line") + 1;
        let expired = said.split("expired=").nth(1).and_then(|rest| rest.split(' ').next());
        forgotten += expired.and_then(|number| number.parse::<u32>().ok()).expect(&said);
        rounds += 1;
        println!("{said}");
    }
    println!("{rounds} rounds");
    assert!(rounds <= 40, "{rounds} rounds of half a second");
    assert_eq!(flows(&edge).len(), 0);
    assert_eq!(check::dial(&edge.client, &tcp(format!("{}:31001", edge.node.v4()))).greeting.pod, "here");
}

/// Puts flows of datagrams into the table whose last packets are as long ago as the machine is up.
fn fill(edge: &Edge, count: u32) {
    use lb_common::{Addr, BackendId, Flow, FlowFlags, FlowKey, Moment, Owner, Port, Proto, Seen, ServiceId};
    let mut table = flow_table(edge);
    let owner = Owner { backend: BackendId::NONE, generation: 0, service: ServiceId::NONE };
    let address = |number: u32| Addr::from_v4_word((0xcb00_0000 + number).to_be());
    for number in 0..count {
        let client = address(number);
        let dialled = FlowKey::new(client, Port::new(7), address(0x7171), Port::new(80), Proto::UDP);
        let sent = FlowKey::new(client, Port::new(7), address(0x7272), Port::new(80), Proto::UDP);
        let then = Moment::from_ns(0);
        let forward = Flow::new(&sent, FlowFlags::empty(), owner, then).with_seen(Seen::PACKET);
        let reverse = Flow::new(&dialled.reversed(), FlowFlags::REVERSE, owner, then).with_seen(Seen::PACKET);
        table.insert(dialled, forward, 0).expect("room");
        table.insert(sent.reversed(), reverse, 0).expect("room");
    }
}
