//! An instance is told to end while it is busy.

use std::collections::BTreeMap;
use std::fs;

use aya::maps::{HashMap, Map, MapData};
use lb_common::{Frontend, FrontendKey, LAYOUT_VERSION};
use lb_tests::manifest::{Manifest, Service, service};
use lb_tests::{Options, Shunt, ask_shunt, check, tcp};

use crate::scene::{Scene, options};

/// Enough for the first picture to take a while.
const SERVICES: u16 = 3000;
/// How often it is tried to meet an instance half way.
const TRIES: usize = 10;

/// Services, each with the three pods behind it and the address `10.97.0.1` and following.
pub(crate) fn many() -> Vec<Service> {
    let address = |number: u16| format!("10.97.{}.{}", number / 250, 1 + number % 250);
    (0..).zip(unnumbered()).map(|(number, service)| service.cluster_ip(&address(number))).collect()
}

/// The same without addresses.
fn unnumbered() -> Vec<Service> {
    (0..SERVICES).map(|number| service(&format!("web-{number}")).selecting("app", "web").port(80)).collect()
}

/// The node's directory of manifests has Services whose addresses are to be allocated.
#[track_caller]
fn write_manifests(scene: &Scene) {
    let pods: Vec<_> =
        scene.pods.iter().map(|pod| pod.manifest().label("app", "web").container_port("http", 80)).collect();
    let many = unnumbered();
    let mut manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
    manifests.extend(many.iter().map(|service| service as &dyn Manifest));
    Shunt::write_manifests(&scene.node, &manifests).expect("manifests");
}

/// An instance that is stopped half way through its first picture (SIGSTOP): what is sent to it now finds it busy.
#[track_caller]
fn busy(scene: &Scene) -> Shunt {
    for _ in 0..TRIES {
        let shunt = Shunt::begin(&scene.node, &options(&["--log", "info,lb_userspace=debug"]));
        let shunt = shunt.unwrap_or_else(|error| panic!("{error:#}"));
        shunt
            .wait_for_line(0, |line| line.contains("programs attached"))
            .unwrap_or_else(|error| panic!("{error:#}"));
        let path = scene.pins().join(format!("v{LAYOUT_VERSION}/maps/FRONTENDS"));
        let map = Map::from_map_data(MapData::from_pin(path).expect("a pin")).expect("a map");
        let frontends: HashMap<_, FrontendKey, Frontend> = map.try_into().expect("a hash");
        check::until("the first Service is in force", || frontends.keys().next().is_some());
        shunt.signal("STOP").expect("a signal");
        let status = format!("/proc/{}/status", shunt.id());
        check::until("it is stopped", || {
            fs::read_to_string(&status).expect("its status").contains("State:\tT")
        });
        // Each has one of its own, and one for all other ports of its address.
        let put = frontends.keys().flatten().count();
        println!("stopped with {put} frontends");
        if put < usize::from(SERVICES) {
            return shunt;
        }
        // It was too quick, or the machine too slow to tell.
        begin_anew(scene, shunt);
    }
    panic!("not once in {TRIES} times was the first picture half done");
}

/// Leaves nothing of an instance.
#[track_caller]
fn begin_anew(scene: &Scene, shunt: Shunt) {
    shunt.kill().unwrap_or_else(|error| panic!("{error:#}"));
    scene.command(&["cleanup"]).unwrap_or_else(|error| panic!("{error:#}"));
}

/// The Services in force, by name, with the address of each: all of them, with all their endpoints.
#[track_caller]
fn all_in_force(scene: &Scene) -> BTreeMap<String, String> {
    let said = ask_shunt(&scene.node, "services").unwrap_or_else(|error| panic!("{error:#}"));
    let rows = said.as_array().expect("rows").iter().filter(|row| {
        row["name"].as_str().is_some_and(|name| name.starts_with("web-"))
            && row["endpoints"].as_array().map(Vec::len) == Some(3)
    });
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let rows = rows.map(|row| (text(&row["name"]), text(&row["frontends"][0]["address"])));
    let found: BTreeMap<_, _> = rows.collect();
    assert_eq!(found.len(), usize::from(SERVICES));
    found
}

/// Every one of these addresses is in the state file, for the same Service.
#[track_caller]
fn are_on_the_disk(scene: &Scene, given: &BTreeMap<String, String>) {
    let text = fs::read_to_string(scene.node.state_file()).expect("the state file");
    let said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (name, address) in given {
        let numbers = said["services"][format!("default/{name}")].to_string();
        let ip = address.trim_end_matches(":80");
        assert!(numbers.contains(&format!("\"{ip}\"")), "{name} has {address}, and on the disk {numbers}");
    }
}

#[track_caller]
fn answers(scene: &Scene, given: &BTreeMap<String, String>) {
    let last = format!("web-{}", SERVICES - 1);
    check::answers(&scene.client, &tcp(&given["web-0"]).then(&given[&last]));
}

#[test]
fn told_to_end_in_the_midst_of_the_first_picture_it_finishes_it_and_serves_on() {
    let mut scene = Scene::without_instance();
    write_manifests(&scene);
    let shunt = busy(&scene);
    shunt.signal("TERM").expect("a signal");
    shunt.signal("CONT").expect("a signal");
    let status = shunt.wait_for_end().unwrap_or_else(|error| panic!("{error:#}"));
    assert!(status.success(), "{status}");
    let given = all_in_force(&scene);
    are_on_the_disk(&scene, &given);
    answers(&scene, &given);
    scene.resume(&[]);
    assert_eq!(all_in_force(&scene), given, "numbers are kept");
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_next_start_puts_right_what_is_missing() {
    let scene = Scene::without_instance();
    write_manifests(&scene);
    let at_once = (0..TRIES).any(|_| {
        let shunt = busy(&scene);
        for signal in ["TERM", "INT", "CONT"] {
            shunt.signal(signal).expect("a signal");
        }
        let status = shunt.wait_for_end().unwrap_or_else(|error| panic!("{error:#}"));
        // Signals are heard by a thread of their own: on a busy machine the picture may be done before it has its turn.
        match status.code() {
            Some(130 | 143) => true,
            Some(0) => {
                scene.command(&["cleanup"]).unwrap_or_else(|error| panic!("{error:#}"));
                false
            }
            _ => panic!("{status}"),
        }
    });
    assert!(at_once, "not once in {TRIES} times");
    let shunt = Shunt::resume(&scene.node, &Options::default());
    shunt.unwrap_or_else(|error| panic!("{error:#}"));
    let given = all_in_force(&scene);
    are_on_the_disk(&scene, &given);
    answers(&scene, &given);
}
