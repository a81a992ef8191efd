//! The recorded layouts: `tests/layouts/v<VERSION>.json`.

use std::fs;
use std::path::{Path, PathBuf};

use lb_common::{Counter, LAYOUT_VERSION};
use lb_userspace::datapath;
use serde_json::{Value, json};

const REMEDY: &str = "a layout of another shape or meaning is another version: make LAYOUT_VERSION larger, say of each \
                      map that changed that it is so since then (datapath/layout.rs), and record it by \
                      SHUNT_WRITE_LAYOUT=1 cargo xtask test lifecycle layout";

fn file(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("layouts/v{version}.json"))
}

#[track_caller]
fn recorded(version: u32) -> Value {
    let text =
        fs::read_to_string(file(version)).unwrap_or_else(|error| panic!("v{version}: {error}; {REMEDY}"));
    serde_json::from_str(&text).expect("JSON")
}

/// The maps by name, and the counters by their places in one of them.
#[track_caller]
fn own() -> Value {
    let mut maps = serde_json::to_value(datapath::layout(&[]).expect("an object")).expect("JSON");
    for map in maps.as_object_mut().expect("maps").values_mut() {
        // A size is no part of a layout: it can be chosen.
        map.as_object_mut().expect("a map").remove("entries");
    }
    json!({ "maps": maps, "counters": Counter::ALL.map(Counter::name) })
}

#[test]
fn nobody_changes_a_layout_without_a_new_version_and_a_record_of_it() {
    let own = own();
    if std::env::var_os("SHUNT_WRITE_LAYOUT").is_some() && !file(LAYOUT_VERSION).exists() {
        let text = serde_json::to_string_pretty(&own).expect("JSON");
        fs::write(file(LAYOUT_VERSION), text + "\n").expect("written");
    }
    assert_eq!(own["maps"], recorded(LAYOUT_VERSION)["maps"], "{REMEDY}");
}

#[test]
fn a_counter_keeps_its_place_and_new_ones_come_behind() {
    let (own, recorded) = (own(), recorded(LAYOUT_VERSION));
    let names = recorded["counters"].as_array().expect("names");
    let own = own["counters"].as_array().expect("names");
    assert!(own.starts_with(names), "{own:?} begins otherwise than {names:?}; {REMEDY}");
}
