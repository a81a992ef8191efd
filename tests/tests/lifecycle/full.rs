//! Maps that are full or take no write: what is told, what goes on, and how it ends (docs/operations.md, «Of maps»).

use std::fs;
use std::os::fd::AsFd;

use aya::maps::MapData;
use lb_common::LAYOUT_VERSION;
use lb_tests::apiserver::ApiServer;
use lb_tests::manifest::{Manifest, service};
use lb_tests::{Inside, Shunt, check, freeze, slice, tcp};
use serde_json::{Value, json};

use crate::scene::{Scene, WEB, options};

/// More Services than there is room for.
const SERVICES: u8 = 80;

/// One of them, with the address that ends so.
fn extra(number: u8) -> Value {
    let service = service(&format!("extra-{number:02}")).selecting("app", "web").port(80);
    service.cluster_ip(&format!("10.98.0.{number}")).to_value()
}

#[track_caller]
fn write(scene: &Scene, numbers: impl Iterator<Item = u8>) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": numbers.map(extra).collect::<Vec<_>>() });
    scene.instance().write("extra.json", &list.to_string()).expect("manifests");
}

/// What the metric `shunt_refused` says.
#[track_caller]
fn refused(scene: &Scene) -> u64 {
    let url = "http://127.0.0.1:10249/metrics";
    let text = scene.node.place().run("curl", &["-sSf", "--noproxy", "*", "--max-time", "20", url]);
    let text = text.unwrap_or_else(|error| panic!("{error:#}"));
    let value = text.lines().find_map(|line| line.strip_prefix("shunt_refused "));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no shunt_refused in {text}"))
}

/// With so few entries of a map, all others go on being served, and all are when there is room.
#[track_caller]
fn is_full_and_has_room_again(map: &str, entries: u32) {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    scene.resume(&["--map-size", &format!("{map}={entries}")]);
    let seen = scene.instance().lines_so_far();
    write(&scene, 1..=SERVICES);
    let line = scene.hears(seen, &format!("map {map} is full"));
    assert!(line.contains("ERROR") && line.contains("not in force"), "{line}");
    check::until("it is counted", || refused(&scene) > 0);
    scene.serves();
    // The first of them found room.
    check::dial(&scene.client, &tcp("10.98.0.1:80"));

    write(&scene, SERVICES - 1..=SERVICES);
    scene.lists(&format!("10.98.0.{SERVICES}:80"), true);
    check::until("nothing is refused any more", || refused(&scene) == 0);
    for number in [SERVICES - 1, SERVICES] {
        check::dial(&scene.client, &tcp(format!("10.98.0.{number}:80")));
    }
    scene.serves();
}

#[test]
fn a_map_of_backends_that_is_full_refuses_the_newest_and_has_room_again() {
    is_full_and_has_room_again("BACKENDS", 64);
}

#[test]
fn a_map_of_slots_that_is_full_refuses_the_newest_and_has_room_again() {
    is_full_and_has_room_again("SLOTS", 256);
}

#[test]
fn a_map_of_frontends_that_is_full_refuses_the_newest_and_has_room_again() {
    is_full_and_has_room_again("FRONTENDS", 100);
}

#[test]
fn a_map_of_services_that_is_full_refuses_the_newest_and_has_room_again() {
    is_full_and_has_room_again("SERVICES", 32);
}

#[test]
fn a_service_of_a_cluster_that_finds_no_room_has_an_event_that_says_so() {
    let scene = Scene::without_instance();
    let api = ApiServer::start_at(&scene.node, (scene.node.v4(), 6443).into()).expect("an API server");
    let pod = scene.pods[0].v4();
    let put = |number: u8| {
        let slice = slice(&format!("extra-{number:02}"), "a").port("", 80).endpoint(pod, "node-1");
        api.put(&[&extra(number), &slice]).expect("objects");
    };
    put(1);
    let arguments = options(&["--map-size", "BACKENDS=32"]);
    let shunt = Shunt::follow(&scene.node, &arguments, &api.url());
    let shunt = shunt.unwrap_or_else(|error| panic!("{error:#}"));
    shunt.wait_until_complete().unwrap_or_else(|error| panic!("{error:#}"));
    (2..=SERVICES).for_each(put);
    check::until("an event on a Service", || {
        api.objects("Event").expect("events").iter().any(|event| {
            event["reason"] == "NotInForce"
                && event["regarding"]["kind"] == "Service"
                && event["note"].as_str().is_some_and(|note| note.contains("map BACKENDS is full"))
        })
    });
    check::dial(&scene.client, &tcp("10.98.0.1:80"));
}

#[test]
fn writes_that_the_kernel_refuses_are_told_and_what_was_in_force_goes_on() {
    let mut scene = Scene::serving();
    let load = scene.load();
    let pin = scene.pins().join(format!("v{LAYOUT_VERSION}/maps/FRONTENDS"));
    freeze(MapData::from_pin(pin).expect("a pin").fd().as_fd()).expect("no more writes");
    let seen = scene.instance().lines_so_far();
    write(&scene, 1..=2);
    let line = scene.hears(seen, "cannot write map FRONTENDS");
    assert!(line.contains("ERROR") && line.contains("not in force"), "{line}");
    check::until("it is counted", || refused(&scene) > 0);
    scene.serves();
    // What comes meanwhile waits, and is told once.
    write(&scene, 1..=3);
    check::until("it is counted", || refused(&scene) > 0);
    let told = scene.instance().lines_since(seen);
    assert!(told.iter().filter(|line| line.contains("cannot write map FRONTENDS")).count() <= 3, "{told:#?}");
    load.end_unharmed();
    // A map in its place takes writes.
    scene.end(Shunt::stop);
    scene.resume(&["--map-size", "FRONTENDS=300000"]);
    check::dial(&scene.client, &tcp("10.98.0.3:80"));
    check::dial(&scene.client, &tcp(WEB));
    fs::remove_file(scene.node.manifests().join("extra.json")).expect("gone");
}
