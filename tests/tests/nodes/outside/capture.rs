//! What a client gets on its wire, captured and judged by others' eyes: etherparse's sums, and tcpdump's words.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_tests::packet::capture::{Captured, judge};
use lb_tests::{Inside, Place, Process, check, tcp, udp};

use super::{Edge, for_app, here, there};

/// Lines in which tcpdump says that a packet is wrong.
const WRONG: [&str; 5] = ["incorrect", "bad cksum", "bad udp cksum", "wrong", "truncated"];

/// A file of all that goes over the client's wire during `traffic`.
#[track_caller]
fn capture(edge: &Edge, traffic: impl FnOnce()) -> PathBuf {
    capture_at(edge, edge.client.place(), traffic)
}

/// The same for the wire of `place`.
#[track_caller]
fn capture_at(edge: &Edge, place: &Place, traffic: impl FnOnce()) -> PathBuf {
    // What would be left for a device to complete is completed before it is captured.
    for place in [edge.node.place(), edge.client.place(), edge.here.place(), edge.there.place()] {
        let off = ["tx", "tso", "gso", "gro"].map(|what| [what, "off"]).concat();
        place.run("ethtool", &[&["-K", "eth0"], off.as_slice()].concat()).expect("ethtool");
    }
    let file = edge.node.manifests().with_file_name("client.pcap");
    let mut command = place.command("tcpdump").expect("a command");
    // A buffer of 64 MB, for the machine may be busy.
    command.args(["-i", "eth0", "-B", "65536", "-U", "--immediate-mode", "-Z", "root", "-w"]).arg(&file);
    let tcpdump = Process::start("tcpdump", &mut command).expect("tcpdump");
    tcpdump
        .wait_for_line(0, Duration::from_secs(60), |line| line.contains("listening on"))
        .expect("tcpdump listens");
    traffic();
    tcpdump.stop().expect("tcpdump ends");
    file
}

/// What a capture has, where every checksum is right and no address of a pod came this far (KRN-10).
#[track_caller]
fn judged(file: &Path) -> Captured {
    let is_pods = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => v4.octets()[..2] == [10, 244],
        IpAddr::V6(v6) => v6.segments()[..3] == [0xfd00, 0x10, 0x244],
    };
    let captured = judge(file, |src, dst| {
        anyhow::ensure!(!is_pods(src) && !is_pods(dst), "{src} to {dst}");
        Ok(())
    });
    captured.unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn every_packet_of_a_hundred_megabytes_has_right_checksums() {
    let edge = Edge::serving(&[&here("local").node_port(31_001), &there("remote").node_port(31_002)]);
    for port in [31_001, 31_002] {
        for target in edge.on_node(port) {
            let file = capture(&edge, || {
                edge.shell(&format!("curl -sSf --max-time 300 -o /dev/null http://{target}/bytes/100000000"));
            });
            let captured = judged(&file);
            println!("{target}: {captured:?}");
            // What the kernel had no room for in tcpdump's buffer, and what was in it at the end, is not there.
            assert!(captured.bytes > 10_000_000, "{target}: {captured:?}");
            std::fs::remove_file(&file).expect("removed");
        }
    }
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
    let file = capture(&edge, || {
        // The few first: the last ones on the wire may be missed when tcpdump ends.
        for target in edge.on_node(31_003) {
            check::refused(&edge.client, &tcp(&target), "ECONNREFUSED");
        }
        for target in edge.on_node(31_103) {
            check::refused(&edge.client, &udp(&target), "ECONNREFUSED");
        }
        for port in [31_001, 31_002] {
            for target in edge.on_node(port) {
                edge.shell(&format!("curl -sSf --max-time 300 http://{target}/bytes/1000000 | wc -c"));
            }
            for target in edge.on_node(port + 100) {
                check::dial(&edge.client, &udp(&target).size(1_000));
            }
        }
    });
    let captured = judged(&file);
    assert!(captured.tcp > 2_000 && captured.udp >= 8 && captured.icmp >= 2, "{captured:?}");
    let told = edge.shell(&format!("tcpdump -nvv -r {} 2>&1", file.display()));
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

#[test]
fn every_packet_at_a_pod_has_right_checksums_and_is_of_whom_the_pod_should_see() {
    let local_udp = for_app("local-udp", "here").port(5000).udp().node_port(31_101);
    let remote_udp = for_app("remote-udp", "there").port(5000).udp().node_port(31_102);
    let (local, remote) = (here("local").node_port(31_001), there("remote").node_port(31_002));
    let edge = Edge::serving(&[&local, &remote, &local_udp, &remote_udp]);
    let client = [IpAddr::from(edge.client.v4()), edge.client.v6().into()];
    // A pod of the node sees the client and not the node in its place; one of another node the other way round.
    let pods = [(&edge.here, 31_001, edge.node.addresses()), (&edge.there, 31_002, client)];
    for (pod, port, unseen) in pods {
        let file = capture_at(&edge, pod.place(), || {
            for target in edge.on_node(port + 100) {
                check::dial(&edge.client, &udp(&target).size(1_000));
            }
            for target in edge.on_node(port) {
                edge.shell(&format!("curl -sSf --max-time 60 http://{target}/bytes/1000000 | wc -c"));
            }
        });
        let captured = judge(&file, |src, dst| {
            anyhow::ensure!(!unseen.contains(&src) && !unseen.contains(&dst), "{src} to {dst}");
            Ok(())
        });
        let captured = captured.unwrap_or_else(|error| panic!("{}: {error:#}", pod.name()));
        assert!(captured.tcp > 200 && captured.udp >= 4, "{}: {captured:?}", pod.name());
        std::fs::remove_file(&file).expect("removed");
    }
}
