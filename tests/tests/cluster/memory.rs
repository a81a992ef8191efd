//! What objects of no good will cost the instance, and who else notices.

use std::fs;
use std::time::{Duration, Instant};

use lb_tests::manifest::Manifest;
use lb_tests::{Shunt, slice};
use serde_json::{Value, json};

use crate::scale::in_force;
use crate::served::{Scene, nothing_was_lost};

const MIB: u64 = 1 << 20;

/// The most memory that an instance has had, in bytes.
pub(crate) fn peak(shunt: &Shunt) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", shunt.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn service(name: &str, number: u8) -> Value {
    lb_tests::manifest::service(name).port(80).cluster_ip(&format!("10.96.5.{number}")).to_value()
}

#[test]
fn megabytes_that_nobody_reads_or_can_read_are_not_kept() {
    let scene = Scene::set();
    let shunt = scene.started();
    let hammer = scene.hammer();
    let before = peak(&shunt);
    let long = "x".repeat(1 << 20);
    for number in 0..50_u8 {
        let mut annotated = service(&format!("annotated-{number}"), number);
        annotated["metadata"]["annotations"] = json!({ "example.com/a": &long });
        let mut timed = slice(&format!("annotated-{number}"), "a").port("", 80).to_value();
        timed["metadata"]["annotations"] =
            json!({ "endpoints.kubernetes.io/last-change-trigger-time": &long });
        let mut unreadable = service(&format!("unreadable-{number}"), number);
        unreadable["spec"]["ports"] = json!(&long);
        unreadable["metadata"]["uid"] = json!(&long);
        scene.api.put(&[&annotated, &timed, &unreadable]).unwrap();
    }
    scene.put_endpoints(&[0]);
    scene.wait_for(&["pod-a"]);
    shunt.wait_for_line(0, |line| line.contains("Service default/unreadable-49")).unwrap();
    let grown = peak(&shunt) - before;
    println!("{} MiB after 200 MiB", grown / MIB);
    assert!(grown < 40 * MIB, "{} MiB", grown / MIB);
    nothing_was_lost(hammer);
}

#[test]
fn a_service_whose_slices_multiply_to_a_hundred_thousand_ports_costs_what_it_is() {
    const PORTS: u16 = 100;
    let scene = Scene::set();
    let shunt = scene.started();
    let hammer = scene.hammer();
    let before = peak(&shunt);
    let mut large = service("large", 1);
    let ports = (1..=PORTS).map(|port| json!({ "name": format!("p{port}"), "port": port }));
    large["spec"]["ports"] = ports.collect();
    let slices: Vec<Value> = (0..10_u8)
        .map(|number| {
            let empty = slice("large", &format!("s{number}"));
            let ports = (1..=PORTS).fold(empty, |slice, port| slice.port(&format!("p{port}"), port));
            let full = (0..100_u8).fold(ports, |slice, pod| slice.endpoint([10, 77, number, pod], "node-2"));
            full.to_value()
        })
        .collect();
    let objects = slices.iter().chain([&large]).map(|object| object as &dyn Manifest);
    scene.api.put(&objects.collect::<Vec<_>>()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while in_force(&scene.node) < 100_000 {
        assert!(Instant::now() < deadline, "{} endpoints\n{}", in_force(&scene.node), shunt.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.put_endpoints(&[0]);
    scene.wait_for(&["pod-a"]);
    let grown = peak(&shunt) - before;
    println!("{} MiB for 100,000 ports", grown / MIB);
    assert!(grown < 200 * MIB, "{} MiB", grown / MIB);
    nothing_was_lost(hammer);
}

#[test]
fn names_of_any_bytes_are_names_and_keep_nobody_else_waiting() {
    let scene = Scene::set();
    let shunt = scene.started();
    let hammer = scene.hammer();
    let long = "n".repeat(100_000);
    let names = ["", "a\nb", "\u{1b}[2J", "../../etc", "\u{202e}web", "a\0b", "ü", " ", &long];
    for (number, name) in (1..).zip(names) {
        let mut unreadable = service(name, number);
        unreadable["metadata"]["namespace"] = json!(name);
        scene.api.put(&[&service(name, number), &slice(name, "a").port("", 80), &unreadable]).unwrap();
    }
    scene.put_endpoints(&[0]);
    scene.wait_for(&["pod-a"]);
    assert!(
        shunt.log().lines().all(|line| line.len() < 20_000 && !line.contains('\u{1b}')),
        "{}",
        shunt.log()
    );
    nothing_was_lost(hammer);
}
