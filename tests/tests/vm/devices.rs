//! Devices on other devices: VLANs and bonds.

use lb_tests::{Inside, check, tcp};

use crate::scene::{HERE, Scene, THERE};

/// A client's dials to both pods by an address of the node, in the way of [`check`].
#[track_caller]
fn both_answer(scene: &Scene, ip: &str) {
    for (port, pod) in [(HERE, "here"), (THERE, "there")] {
        let answers = check::answers(&scene.client, &tcp(format!("{ip}:{port}")).times(5));
        assert_eq!(check::pods(&answers), [pod], "{ip}:{port}");
    }
}

#[test]
fn clients_on_a_vlan_reach_node_ports_at_the_vlans_own_device() {
    let scene = Scene::serving(&[]);
    let ends = |number: u8| {
        [
            "link add link eth0 name eth0.7 type vlan id 7".to_owned(),
            format!("addr add 192.168.7.{number}/24 dev eth0.7"),
            format!("addr add fd00:7::{number}/64 dev eth0.7 nodad"),
            "link set eth0.7 up".to_owned(),
        ]
    };
    scene.client.ip(&ends(2)).unwrap();
    scene.ip(&ends(1).each_ref().map(String::as_str), "attached to device eth0.7");
    for ip in ["192.168.7.1", "[fd00:7::1]"] {
        scene.wait_until_served(ip.trim_matches(['[', ']']));
        both_answer(&scene, ip);
    }
    both_answer(&scene, "192.168.49.11");
}

#[test]
fn clients_behind_a_bond_reach_node_ports_whichever_of_its_devices_is_up() {
    let scene = Scene::serving(&[]);
    let client = scene.client.place().netns();
    let bond = |number: u8, devices: [&str; 2]| {
        let [one, two] = devices;
        [
            "link add bond0 type bond mode active-backup miimon 50".to_owned(),
            format!("link set {one} master bond0"),
            format!("link set {two} master bond0"),
            format!("addr add 192.168.8.{number}/24 dev bond0"),
            format!("addr add fd00:8::{number}/64 dev bond0 nodad"),
            "link set bond0 up".to_owned(),
        ]
    };
    let wires = ["n", "m"].map(|end| format!("link add {end}0 type veth peer name {end}1 netns {client}"));
    scene.node.ip(&wires).unwrap();
    scene.client.ip(&bond(2, ["n1", "m1"])).unwrap();
    scene.ip(&bond(1, ["n0", "m0"]).each_ref().map(String::as_str), "attached to device bond0");
    for down in ["n0", "m0"] {
        for ip in ["192.168.8.1", "[fd00:8::1]"] {
            scene.wait_until_served(ip.trim_matches(['[', ']']));
            both_answer(&scene, ip);
        }
        scene.node.ip(&[format!("link set {down} down")]).unwrap();
        let active = || scene.shell("cat /sys/class/net/bond0/bonding/active_slave");
        while active().trim() == down {
            std::thread::yield_now();
        }
        both_answer(&scene, "192.168.8.1");
        scene.node.ip(&[format!("link set {down} up")]).unwrap();
    }
}
