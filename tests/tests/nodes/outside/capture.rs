//! What a client gets on its wire, captured and judged by another's eyes: tcpdump's.

use std::time::Duration;

use lb_tests::{Inside, Process, check, tcp, udp};

use super::{Edge, for_app, here, there};

/// Lines in which tcpdump says that a packet is wrong.
const WRONG: [&str; 5] = ["incorrect", "bad cksum", "bad udp cksum", "wrong", "truncated"];

/// All that goes over the client's wire during `traffic`, as `tcpdump -vv` tells it: every checksum computed anew.
#[track_caller]
fn capture(edge: &Edge, traffic: impl FnOnce()) -> String {
    // What would be left for a device to complete is completed before it is captured.
    for place in [edge.node.place(), edge.client.place(), edge.here.place(), edge.there.place()] {
        let off = ["tx", "tso", "gso", "gro"].map(|what| [what, "off"]).concat();
        place.run("ethtool", &[&["-K", "eth0"], off.as_slice()].concat()).expect("ethtool");
    }
    let file = edge.node.manifests().with_file_name("client.pcap");
    let mut command = edge.client.place().command("tcpdump").expect("a command");
    command.args(["-i", "eth0", "-U", "--immediate-mode", "-Z", "root", "-w"]).arg(&file);
    let tcpdump = Process::start("tcpdump", &mut command).expect("tcpdump");
    tcpdump
        .wait_for_line(0, Duration::from_secs(10), |line| line.contains("listening on"))
        .expect("tcpdump listens");
    traffic();
    tcpdump.stop().expect("tcpdump ends");
    edge.shell(&format!("tcpdump -nvv -r {} 2>&1", file.display()))
}

#[test]
fn every_packet_of_a_client_has_right_checksums_and_comes_from_whom_it_dialled() {
    let local_udp = for_app("local-udp", "here").port(5000).udp().node_port(31_101);
    let remote_udp = for_app("remote-udp", "there").port(5000).udp().node_port(31_102);
    let nobody = for_app("nobody", "nobody").port(80).node_port(31_003);
    let nobody_udp = for_app("nobody-udp", "nobody").port(5000).udp().node_port(31_103);
    let edge = Edge::serving(&[
        &here("local").node_port(31_001),
        &there("remote").node_port(31_002),
        &local_udp,
        &remote_udp,
        &nobody,
        &nobody_udp,
    ]);
    let told = capture(&edge, || {
        // The few first: the last ones on the wire may be missed when tcpdump ends.
        for target in edge.on_node(31_003) {
            check::refused(&edge.client, &tcp(&target), "ECONNREFUSED");
        }
        for target in edge.on_node(31_103) {
            check::refused(&edge.client, &udp(&target), "ECONNREFUSED");
        }
        for port in [31_001, 31_002] {
            for target in edge.on_node(port) {
                edge.shell(&format!("curl -sSf --max-time 60 http://{target}/bytes/1000000 | wc -c"));
            }
            for target in edge.on_node(port + 100) {
                check::dial(&edge.client, &udp(&target).size(1_000));
            }
        }
    });
    let right = told.matches("(correct)").count() + told.matches("udp sum ok").count();
    assert!(right > 2_000, "{right} packets seen to be right");
    let refusals =
        ["udp port 31103 unreachable", "unreachable port"].map(|words| told.matches(words).count());
    assert_eq!(refusals, [1, 1], "ICMP and ICMPv6");
    for line in told.lines() {
        assert!(!WRONG.iter().any(|wrong| line.contains(wrong)), "{line}");
        // No address of a pod ever comes this far (KRN-10).
        assert!(!line.contains("10.244.") && !line.contains("fd00:10:244:"), "{line}");
    }
}
