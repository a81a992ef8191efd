//! Floods: of spoofed first segments, of single datagrams. What is established stays, what is legitimate
//! begins.

use std::time::Duration;

use lb_tests::wire::HammerReport;
use lb_tests::{Inside, Process, flood, tcp};

use super::{Edge, for_app, here, there};

const COUNT: u32 = 1_000_000;

/// Of connections tried while the flood lasts, this many in a hundred begin.
const BEGIN: f64 = 99.0;

fn edge() -> Edge {
    let local_udp = for_app("local-udp", "here").port(5000).udp().node_port(31_101);
    let remote_udp = for_app("remote-udp", "there").port(5000).udp().node_port(31_102);
    let edge = Edge::serving(&[
        &here("local").node_port(31_001),
        &local_udp,
        &there("remote").node_port(31_002),
        &remote_udp,
    ]);
    // Answers to those who don't exist have somewhere to go.
    edge.node.ip(&[format!("route add 100.64.0.0/10 via {}", edge.client.v4())]).expect("a route");
    edge
}

/// A download that takes as long as a flood.
#[track_caller]
fn slow_download(edge: &Edge, port: u16) -> Process {
    let mut command = edge.client.place().command("sh").expect("a command");
    let url = format!("http://{}:{port}/bytes/16000000", edge.node.v4());
    let line = format!("curl -sSf --limit-rate 1M --max-time 300 {url} | wc -c");
    Process::start("curl", command.args(["-c", &line])).expect("a download")
}

#[track_caller]
fn check_flood(kind: &str, flooded: [u16; 2]) {
    let edge = edge();
    let downloads = [31_001, 31_002].map(|port| slow_download(&edge, port));
    let targets = [31_001, 31_002].map(|port| format!("{}:{port}", edge.node.v4()));
    let hammers: Vec<_> = targets
        .iter()
        .map(|target| {
            let log = edge.node.manifests().with_file_name(format!("{}.log", target.replace(':', "-")));
            tcp(target).within(Duration::from_secs(20)).hammer(&edge.client, 1, log).expect("a client")
        })
        .collect();
    let flooded = flooded.map(|port| format!("{}:{port}", edge.node.v4()));
    let flood = flood(&edge.client, kind, &flooded, COUNT, "100.64.0.1").expect("a flood");
    println!("{}", flood.finish(Duration::from_secs(300)).expect("its end"));
    for hammer in hammers {
        let (report, _) = hammer.stop().expect("a report");
        let HammerReport { dials, by_pod, by_failure } = report;
        let answered: u64 = by_pod.values().sum();
        println!("{dials} dials, {answered} answered, {by_failure:?}");
        assert!(answered as f64 * 100.0 >= dials as f64 * BEGIN, "{answered} of {dials}: {by_failure:?}");
        assert!(answered >= 20, "too few to tell: {dials}");
    }
    for download in downloads {
        let said = download.finish(Duration::from_secs(180)).expect("the end of a download");
        assert!(said.contains("16000000"), "{said}");
    }
}

#[test]
fn a_million_spoofed_first_segments_leave_connections_alive_and_let_others_begin() {
    check_flood("syn", [31_001, 31_002]);
}

#[test]
fn a_million_datagrams_of_as_many_sources_leave_connections_alive_and_let_others_begin() {
    check_flood("udp", [31_101, 31_102]);
}
