//! Much data, large datagrams, and real programs.

use std::net::IpAddr;
use std::time::Duration;

use lb_tests::manifest::Service;
use lb_tests::{Inside, Pod, Process, check, udp, udp_unconnected};

use super::{Edge, for_app, here, socket, there};

const SIZE: u32 = 100_000_000;

fn both() -> Edge {
    let local_udp = for_app("local-udp", "here").port(5000).udp().node_port(31_101);
    let remote_udp = for_app("remote-udp", "there").port(5000).udp().node_port(31_102);
    let local_iperf = for_app("local-iperf", "here").port(5201).node_port(31_201);
    let remote_iperf = for_app("remote-iperf", "there").port(5201).node_port(31_202);
    Edge::serving(&[
        &here("local").node_port(31_001),
        &local_udp,
        &there("remote").node_port(31_002),
        &remote_udp,
        &names("local-dns", "here", 31_053),
        &names("remote-dns", "there", 31_054),
        &local_iperf,
        &remote_iperf,
    ])
}

/// A Service of names, by both transports.
fn names(name: &str, app: &str, node_port: u16) -> Service {
    let udp = for_app(name, app).port(53).named("dns").udp().node_port(node_port);
    udp.port(53).named("dns-tcp").node_port(node_port)
}

/// The checksum of a download from `target`.
#[track_caller]
fn download(edge: &Edge, target: &str) -> String {
    edge.shell(&format!("curl -sSf --max-time 300 http://{target}/bytes/{SIZE} | sha256sum"))
}

/// What the download has to be: by the pod's own address, which the node and not shunt leads to.
#[track_caller]
fn reference(pod: &Pod) -> String {
    let line = format!("curl -sSf http://{}/bytes/{SIZE} | sha256sum", socket(pod.v4().into(), 80));
    pod.place().run("sh", &["-c", &line]).expect("a download")
}

#[test]
fn a_hundred_megabytes_come_whole_from_both_nodes() {
    let edge = both();
    let expected = reference(&edge.here);
    for port in [31_001, 31_002] {
        for target in edge.on_node(port) {
            assert_eq!(download(&edge, &target), expected, "{target}");
        }
    }
}

#[test]
fn checksums_hold_where_no_device_completes_them() {
    let edge = both();
    // Whatever was left for a device to complete is completed before it leaves these.
    for place in [edge.node.place(), edge.client.place(), edge.here.place(), edge.there.place()] {
        place.run("ethtool", &["-K", "eth0", "tx", "off"]).expect("ethtool");
    }
    let expected = reference(&edge.here);
    for port in [31_001, 31_002] {
        for target in edge.on_node(port) {
            assert_eq!(download(&edge, &target), expected, "{target}");
        }
        for target in edge.on_node(port + 100) {
            check::dial(&edge.client, &udp(&target));
        }
    }
    every_checksum_was_right(&edge);
}

#[test]
fn checksums_hold_that_the_node_completes_after_they_were_rewritten() {
    let edge = both();
    // What pods and the client leave to a device comes to the programs as it is, and is completed behind them: by
    // the node, where a packet leaves it.
    for device in ["eth0", "here"] {
        edge.node.place().run("ethtool", &["-K", device, "tx", "off"]).expect("ethtool");
    }
    let expected = reference(&edge.here);
    for port in [31_001, 31_002] {
        for target in edge.on_node(port) {
            assert_eq!(download(&edge, &target), expected, "{target}");
        }
        for target in edge.on_node(port + 100) {
            for size in [1, 1_000, 60_000] {
                check::dial(&edge.client, &udp(&target).size(size));
            }
        }
    }
    every_checksum_was_right(&edge);
}

/// No stack has met a wrong one.
#[track_caller]
fn every_checksum_was_right(edge: &Edge) {
    for place in [edge.node.place(), edge.client.place(), edge.here.place(), edge.there.place()] {
        let said = place.run("cat", &["/proc/net/netstat", "/proc/net/snmp"]).expect("counters");
        for name in ["Tcp:InCsumErrors", "Udp:InCsumErrors"] {
            assert_eq!(counter(&said, name), Some(0), "{name}");
        }
        let said = place.run("cat", &["/proc/net/snmp6"]).expect("counters");
        let wrong = said.lines().find(|line| line.starts_with("Udp6InCsumErrors")).expect("a counter");
        assert_eq!(wrong.split_whitespace().last(), Some("0"), "{wrong}");
    }
}

/// A counter of /proc/net, by `Group:Name`.
fn counter(text: &str, name: &str) -> Option<u64> {
    let (group, name) = name.split_once(':')?;
    let mut lines = text.lines().filter(|line| line.starts_with(&format!("{group}:")));
    let (names, values) = (lines.next()?, lines.next()?);
    let index = names.split_whitespace().position(|word| word == name)?;
    values.split_whitespace().nth(index)?.parse().ok()
}

#[test]
fn datagrams_of_sixty_kilobytes_pass_both_ways() {
    let edge = both();
    for port in [31_101, 31_102] {
        for target in edge.on_node(port) {
            for dial in [udp(&target), udp_unconnected(&target)] {
                check::dial(&edge.client, &dial.size(60_000));
            }
        }
    }
}

#[test]
fn names_are_resolved_by_both_transports() {
    let edge = both();
    for (port, pod) in [(31_053, &edge.here), (31_054, &edge.there)] {
        for ip in edge.node.addresses() {
            for transport in ["+notcp", "+tcp"] {
                let line = format!("dig +short +time=20 +tries=1 {transport} @{ip} -p {port} web.example");
                assert_eq!(edge.shell(&line).trim(), pod.v4().to_string(), "{line}");
            }
        }
    }
}

/// An iperf3 server in each pod.
#[track_caller]
fn iperf_servers(edge: &Edge) -> [Process; 2] {
    [&edge.here, &edge.there].map(|pod| {
        let mut command = pod.place().command("iperf3").expect("a command");
        let process = Process::start("iperf3", command.args(["-s", "--forceflush"])).expect("a server");
        let listens = |line: &str| line.contains("Server listening");
        process.wait_for_line(0, Duration::from_secs(60), listens).expect("a listening server");
        process
    })
}

/// What an iperf3 client says of a second; `way` is "-R" for data from the pod.
#[track_caller]
fn iperf(edge: &Edge, ip: IpAddr, port: u16, way: &str) -> serde_json::Value {
    let line = format!("iperf3 -c {ip} -p {port} -t 1 -J {way}");
    let said: serde_json::Value = serde_json::from_str(&edge.shell(&line)).expect("JSON");
    let received = said["end"]["sum_received"]["bytes"].as_u64().unwrap_or_default();
    println!("{line}: {} Mbit/s", received * 8 / 1_000_000);
    assert!(received > 1_000_000, "{line}: {said}");
    said
}

#[test]
fn iperf_runs_both_ways_to_both_nodes() {
    let edge = both();
    let servers = iperf_servers(&edge);
    for port in [31_201, 31_202] {
        for ip in edge.node.addresses() {
            for way in ["", "-R"] {
                iperf(&edge, ip, port, way);
            }
        }
    }
    drop(servers);
}

#[test]
fn a_client_finds_out_what_a_narrow_way_behind_the_service_takes() {
    let edge = both();
    let servers = iperf_servers(&edge);
    // Narrower than the client's own way; locked, for an MTU that isn't is not one for what is forwarded.
    edge.node
        .ip(&[
            format!("route replace 10.244.2.0/24 via {} mtu lock 1300", edge.other.v4()),
            format!("route replace fd00:10:244:2::/64 via {} mtu lock 1300", edge.other.v6()),
        ])
        .expect("routes");
    for ip in edge.node.addresses() {
        iperf(&edge, ip, 31_202, "");
        // The client's stack has been told, by the node, and remembers it for the address that it dialled.
        let route = edge.shell(&format!("ip route get {ip}"));
        assert!(route.contains("mtu 1300"), "{route}");
    }
    drop(servers);
}
