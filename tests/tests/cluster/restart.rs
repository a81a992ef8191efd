//! A restart while the API server is away: what the packet path knows of the cluster's networks stays.

use std::time::{Duration, Instant};

use lb_common::{NodeFlags, RangeSet};
use lb_tests::{Inside, Node, Options, Shunt};
use lb_userspace::datapath::{KernelStore, Pins};
use lb_userspace::reconcile::{Range, Store};
use serde_json::{Value, json};

use crate::served::Scene;

const PODS: &str = "10.244.7.0/24";
const CLUSTER_IPS: &str = "10.96.0.0/16";

fn node(name: &str, pod_cidrs: &[&str]) -> Value {
    json!({ "kind": "Node", "metadata": { "name": name }, "spec": { "podCIDRs": pod_cidrs } })
}

fn service_cidr() -> Value {
    json!({ "kind": "ServiceCIDR", "metadata": { "name": "kubernetes" }, "spec": { "cidrs": [CLUSTER_IPS] } })
}

/// Which of both networks the programs know: that there are any, and the network itself.
fn known(node: &Node) -> [[bool; 2]; 2] {
    let store = KernelStore::open(&Pins::in_directory(&node.pin_dir())).unwrap();
    let (flags, ranges) = (store.node().unwrap().flags(), store.observe().unwrap().ranges);
    let knows =
        |flag, set, net: &str| [flags.has(flag), ranges.contains(&Range::new(set, &net.parse().unwrap()))];
    [
        knows(NodeFlags::POD_RANGES, RangeSet::PODS, PODS),
        knows(NodeFlags::CLUSTER_IP_RANGES, RangeSet::CLUSTER_IPS, CLUSTER_IPS),
    ]
}

#[track_caller]
fn wait_until_known(node: &Node, wanted: [[bool; 2]; 2]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while known(node) != wanted {
        assert!(Instant::now() < deadline, "{:?} in place of {wanted:?}", known(node));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn of_node() -> Options {
    Options { arguments: vec!["--detect-local-mode".into(), "NodeCIDR".into()], ..Options::default() }
}

/// CFG-DL, CIP-05
#[test]
fn networks_of_the_cluster_are_known_over_a_restart_until_the_api_says_otherwise() {
    let scene = Scene::set();
    let name = scene.node.place().name().to_owned();
    scene.api.put(&[&node(&name, &[PODS]), &service_cidr()]).unwrap();
    let shunt = Shunt::follow(&scene.node, &of_node(), &scene.api.url()).unwrap();
    shunt.wait_until_complete().unwrap();
    wait_until_known(&scene.node, [[true; 2]; 2]);
    shunt.stop().unwrap();

    scene.api.leave().unwrap();
    let shunt = Shunt::follow(&scene.node, &of_node(), &scene.api.url()).unwrap();
    shunt.wait_for_line(0, |line| line.contains("Kubernetes API") && line.contains("refused")).unwrap();
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        assert_eq!(known(&scene.node), [[true; 2]; 2], "the API server is away\n{}", shunt.log());
    }
    // What it says when it is back is believed, also where that is nothing.
    scene.api.put(&[&node(&name, &[])]).unwrap();
    scene.api.remove("ServiceCIDR", "", "kubernetes").unwrap();
    scene.api.come_back().unwrap();
    shunt.wait_until_complete().unwrap();
    wait_until_known(&scene.node, [[false; 2]; 2]);
    shunt.stop().unwrap();
}
