//! No call and no packet sees none of the programs, or two.

use std::collections::BTreeMap;

use lb_tests::{Shunt, Watch, ask_shunt};

use crate::scene::Scene;

/// How often the instance ends and comes back.
const ROUNDS: usize = 6;
/// Each hook is to be asked so often for each of them.
const ENOUGH: u64 = 20;

#[test]
fn every_hook_has_one_program_all_the_while_that_instances_end_and_begin() {
    let mut scene = Scene::serving();
    // Without tcx (Linux 6.6) the filters of a device have no question of this kind.
    let status = ask_shunt(&scene.node, "status").unwrap_or_else(|error| panic!("{error:#}"));
    let devices = status["devices"].as_array().expect("devices");
    let has_tcx = devices.iter().any(|device| device["device"] == "eth0" && device["ingress"] == "tcx");
    let watch = Watch::begin(&scene.node, "eth0").expect("a watch");
    for round in 0..ROUNDS {
        scene.end(if round % 2 == 0 { Shunt::stop } else { Shunt::kill });
        // The same layout, and maps of another size.
        let other = ["--map-size", "SLOTS=2000000"];
        scene.resume(if round % 3 == 2 { &other } else { &[] });
    }
    let seen = watch.end().unwrap_or_else(|error| panic!("{error:#}"));
    println!("{seen:?}");
    assert_eq!(seen.len(), 12, "ten hooks of a cgroup and two of a device");
    for (hook, counts) in seen.iter().filter(|(hook, _)| has_tcx || !hook.starts_with("tcx")) {
        let asked: u64 = counts.values().sum();
        assert_eq!(*counts, BTreeMap::from([(1, asked)]), "{hook}");
        assert!(asked >= ENOUGH * ROUNDS as u64, "{hook}: asked {asked} times");
    }
}
