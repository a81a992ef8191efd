//! Kinds of devices by which clients reach a node. This kernel has bridges and macvlan; VLANs, bonds and tunnels are
//! in the pure tests of the rules.

use lb_tests::{Inside, Node, Options, ask_shunt, check, tcp, udp};

use super::{Edge, for_app, here, there};

/// Moves the node's addresses from `eth0` to a device, and its routes to the other's pods with them.
fn move_addresses(node: &Node, other: &Node, device: &str) -> anyhow::Result<()> {
    node.ip(&[
        "addr flush dev eth0 scope global".to_owned(),
        format!("addr add {}/24 dev {device}", node.v4()),
        format!("addr add {}/64 dev {device} nodad", node.v6()),
        format!("link set {device} up"),
        format!("route replace 10.244.2.0/24 via {}", other.v4()),
        format!("route replace fd00:10:244:2::/64 via {}", other.v6()),
    ])
}

/// The node's addresses may have another Ethernet address by now.
fn forget_neighbours(place: &impl Inside) -> anyhow::Result<()> {
    for family in ["-4", "-6"] {
        place.place().run("ip", &[family, "neigh", "flush", "all"])?;
    }
    Ok(())
}

/// Clients are served through `device`, by both nodes, in both families.
#[track_caller]
fn is_served(device: &str, options: Options, prepare: impl Fn(&Node, &Node) -> anyhow::Result<()>) {
    let local_udp = for_app("local-udp", "here").port(5000).udp().node_port(31_101);
    let remote_udp = for_app("remote-udp", "there").port(5000).udp().node_port(31_102);
    let (local, remote) = (here("local").node_port(31_001), there("remote").node_port(31_002));
    let edge = Edge::prepared(prepare, options, &[&local, &remote, &local_udp, &remote_udp]);
    forget_neighbours(&edge.client).unwrap_or_else(|error| panic!("{error:#}"));
    let said = ask_shunt(&edge.node, "status").expect("a status");
    let devices = said["devices"].as_array().cloned().unwrap_or_default();
    let found = devices.iter().find(|found| found["device"] == device);
    assert_eq!(found.map(|found| found["role"].as_str()), Some(Some("external")), "{said}");
    for (port, pod) in [(31_001, "here"), (31_002, "there")] {
        for target in edge.on_node(port) {
            assert_eq!(check::dial(&edge.client, &tcp(&target)).greeting.pod, pod, "{target}");
            let line = format!("curl -sSf --max-time 60 http://{target}/bytes/3000000 | wc -c");
            assert_eq!(edge.shell(&line).trim(), "3000000", "{target}");
        }
        for target in edge.on_node(port + 100) {
            assert_eq!(check::dial(&edge.client, &udp(&target).size(20_000)).greeting.pod, pod, "{target}");
        }
    }
}

#[test]
fn clients_are_served_through_a_bridge_that_has_the_nodes_addresses() {
    let options = Options { arguments: vec!["--devices=br0".into()], ..Options::default() };
    is_served("br0", options, |node, other| {
        // With one port, the bridge has that port's Ethernet address.
        node.ip(&["link add br0 type bridge mcast_snooping 0", "link set eth0 master br0"])?;
        move_addresses(node, other, "br0")
    });
}

#[test]
fn clients_are_served_through_a_macvlan_that_has_the_nodes_addresses() {
    is_served("mac0", Options::default(), |node, other| {
        node.ip(&["link add link eth0 name mac0 type macvlan mode bridge"])?;
        // Else it would answer for the other's address.
        node.ip(&["link set eth0 arp off"])?;
        move_addresses(node, other, "mac0")?;
        forget_neighbours(other)
    });
}
