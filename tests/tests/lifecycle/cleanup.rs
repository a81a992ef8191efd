//! `shunt cleanup`

use std::fs;

use lb_tests::{Inside, Shunt, check, tcp};
use serde_json::Value;

use crate::scene::{Scene, WEB};

/// Settings that every kernel has, also one without conntrack.
const FORWARDING: [&str; 2] = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];

#[track_caller]
fn cleanup(scene: &Scene, arguments: &[&str]) -> String {
    let arguments: Vec<_> = ["cleanup"].iter().chain(arguments).copied().collect();
    scene.command(&arguments).unwrap_or_else(|error| panic!("{error:#}"))
}

#[track_caller]
fn settings(scene: &Scene) -> [String; 2] {
    FORWARDING.map(|setting| {
        let said = scene.node.place().run("cat", &[format!("/proc/sys/{setting}")]);
        said.expect(setting).trim().to_owned()
    })
}

#[track_caller]
fn set(scene: &Scene, setting: &str, value: &str) {
    scene.node.place().set(setting, value).unwrap_or_else(|error| panic!("{error:#}"));
}

/// Nothing of the instance's serves, and nothing of it is on a disk or in the kernel.
#[track_caller]
fn nothing_is_left(scene: &Scene) {
    check::refused(&scene.node, &tcp(WEB), "ENETUNREACH");
    check::refused(&scene.node, &tcp(format!("127.0.0.1:{}", crate::scene::NODE_PORT)), "ECONNREFUSED");
    assert_eq!(scene.listed(""), [""; 0]);
    assert!(cleanup(scene, &[]).starts_with("nothing to clean up"));
    let run = fs::read_dir("/run/shunt").into_iter().flatten().flatten();
    let name = scene.pins().display().to_string().replace('-', "%2D").trim_matches('/').replace('/', "-");
    let left: Vec<_> = run.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn cleanup_takes_everything_out_at_once_and_finds_nothing_the_second_time() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    check::dial(&scene.node, &tcp(WEB));
    assert!(scene.node.state_file().exists());
    let said = cleanup(&scene, &[]);
    let state_file = format!("removed {}", scene.node.state_file().display());
    for part in ["links/shunt_connect4", "maps/FRONTENDS", &state_file] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!scene.node.state_file().exists());
    nothing_is_left(&scene);
    scene.resume(&[]);
    check::dial(&scene.node, &tcp(WEB));
}

#[test]
fn cleanup_leaves_an_instance_alone_that_serves_and_says_which() {
    let scene = Scene::serving();
    let why = format!("{:#}", scene.command(&["cleanup"]).expect_err("an instance serves"));
    let id = scene.shunt.as_ref().expect("an instance").id();
    assert!(
        why.contains("another instance holds the pins") && why.contains(&format!("process {id} (")),
        "{why}"
    );
    check::dial(&scene.node, &tcp(WEB));
    assert!(scene.node.state_file().exists());
}

#[test]
fn settings_go_back_to_what_they_were_but_not_where_somebody_has_changed_them_since() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let [v4, v6] = FORWARDING;
    set(&scene, v4, "0");
    set(&scene, v6, "0");
    scene.resume(&["--set-forwarding"]);
    scene.end(Shunt::kill);
    assert_eq!(settings(&scene), ["1", "1"]);
    set(&scene, v6, "7");
    let said: Value = serde_json::from_str(&cleanup(&scene, &["-o", "json", "--keep-state"])).expect("JSON");
    assert_eq!(settings(&scene), ["0", "7"]);
    let told = said["settings"].as_array().expect("settings");
    let state = |path: &str| {
        let found = told.iter().find(|found| found["file"].as_str().is_some_and(|file| file.ends_with(path)));
        found.expect(path)["state"].clone()
    };
    assert_eq!(state(v4), "restored");
    assert_eq!(state(v6), serde_json::json!({ "left": { "now": 7 } }));
    let pins = said["pins"].as_array().expect("pins");
    assert!(pins.iter().any(|pin| pin.as_str().is_some_and(|pin| pin.ends_with("links/shunt_connect4"))));
    assert!(scene.node.state_file().exists());
    nothing_is_left(&scene);
}

#[test]
fn what_is_half_removed_or_half_made_or_of_another_version_goes_too() {
    let mut scene = Scene::serving();
    scene.end(Shunt::kill);
    let pins = scene.pins();
    for map in ["FRONTENDS", "LAYOUT"] {
        fs::remove_file(pins.join("v1/maps").join(map)).expect("a pin");
    }
    for directory in ["building", "ready-v3", "v7"] {
        fs::create_dir_all(pins.join(directory).join("maps")).expect("a directory");
    }
    fs::rename(pins.join("v1/maps/SLOTS"), pins.join("building/maps/SLOTS")).expect("a pin");
    fs::rename(pins.join("v1/links"), pins.join("v7/links")).expect("links");
    let said = cleanup(&scene, &["--state-file", &scene.node.state_file().display().to_string()]);
    for part in ["v7/links/shunt_connect4", "building/maps/SLOTS", "v1/maps/BACKENDS"] {
        assert!(said.contains(part), "{said}");
    }
    nothing_is_left(&scene);
}

#[test]
fn where_no_bpffs_is_mounted_nothing_is_touched_that_is_no_pin() {
    let scene = Scene::without_instance();
    let directory = scene.file("plain");
    fs::create_dir_all(directory.join("v1/maps")).expect("a directory");
    fs::write(directory.join("v1/maps/FRONTENDS"), "mine").expect("a file");
    let pins = directory.display().to_string();
    let said = scene
        .node
        .place()
        .run(&lb_tests::shunt_program().expect("it").display().to_string(), &["cleanup", "--pin-dir", &pins]);
    let said = said.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(said.starts_with("nothing to clean up"), "{said}");
    assert!(directory.join("v1/maps/FRONTENDS").exists());
}
