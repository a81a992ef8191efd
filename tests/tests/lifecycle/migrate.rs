//! Pins of another layout are taken over while clients dial.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData};
use lb_common::{Backend, BackendFlags, LAYOUT_VERSION, ServiceLabel};
use lb_tests::{Shunt, check, tcp};
use serde_json::Value;

use crate::faults::Tmpfs;
use crate::scene::{STICKY, Scene, WEB, until};

/// Every map that gives numbers or remembers sockets, larger and smaller than it is by default.
const LARGER: &str = "FRONTENDS=300000,SERVICES=70000,SLOTS=2000000,BACKENDS=300000,RANGES=70000,AFFINITY=70000,\
                      SOCKET_FLOWS=70000,FRAGMENTS=10000,EXHAUSTED=2000";
const SMALLER: &str = "FRONTENDS=500,SERVICES=64,SLOTS=4096,BACKENDS=64,RANGES=100,AFFINITY=1000,SOCKET_FLOWS=1000,\
                       FRAGMENTS=100,EXHAUSTED=100";

#[track_caller]
fn pod_of_sticky(scene: &Scene) -> String {
    check::dial(&scene.client, &tcp(STICKY)).greeting.pod
}

/// How many entries a map has, and can have.
#[track_caller]
fn fill(scene: &Scene, map: &str) -> [u64; 2] {
    let status = lb_tests::ask_shunt(&scene.node, "status").unwrap_or_else(|error| panic!("{error:#}"));
    let maps = status["maps"].as_array().expect("maps");
    let found = maps.iter().find(|found| found["map"] == map).expect(map);
    [&found["entries"], &found["capacity"]].map(|number| number.as_u64().expect("a number"))
}

/// What else than the directory of this version there is.
#[track_caller]
fn only_this_version_is_there(scene: &Scene) {
    assert_eq!(scene.listed(""), [format!("v{LAYOUT_VERSION}")]);
    assert_eq!(scene.listed(format!("v{LAYOUT_VERSION}")), ["links", "maps"]);
}

/// Makes the pins those of another version; who serves goes on.
#[track_caller]
fn become_version(scene: &Scene, version: u32) {
    let place = |version| scene.pins().join(format!("v{version}"));
    fs::rename(place(LAYOUT_VERSION), place(version)).expect("other pins");
}

/// Puts a hash of these sizes in the place of a map: who reads the old one goes on.
#[track_caller]
fn replace<const KEY: usize, const VALUE: usize>(path: &Path) {
    fs::remove_file(path).expect("a pin");
    let map = HashMap::<MapData, [u8; KEY], [u8; VALUE]>::create(64, 0).expect("a map");
    map.pin(path).expect("a pin");
}

/// Changes what the pins of a version say of themselves.
#[track_caller]
fn record(scene: &Scene, version: u32, change: impl FnOnce(&mut Value)) {
    let data = MapData::from_pin(scene.pins().join(format!("v{version}/maps/LAYOUT"))).expect("the record");
    let mut map: Array<_, [u8; 2048]> =
        Map::from_map_data(data).expect("a map").try_into().expect("an array");
    let bytes = map.get(&0, 0).expect("the record");
    let end = bytes.iter().position(|byte| *byte == 0).expect("an end");
    let mut said: Value = serde_json::from_slice(&bytes[..end]).expect("JSON");
    change(&mut said);
    let mut bytes = serde_json::to_vec(&said).expect("JSON");
    bytes.resize(2048, 0);
    map.set(0, <[u8; 2048]>::try_from(bytes).expect("its size"), 0).expect("written");
}

/// Whose each number of a Service and of a backend that serves is: what state refers to.
#[track_caller]
fn numbers(scene: &Scene) -> Vec<String> {
    let maps = scene.pins().join(format!("v{LAYOUT_VERSION}/maps"));
    let open =
        |name: &str| Map::from_map_data(MapData::from_pin(maps.join(name)).expect(name)).expect("a map");
    let labels: HashMap<_, u32, ServiceLabel> = open("LABELS").try_into().expect("a hash");
    let labels: BTreeMap<_, _> = labels.iter().map(|entry| entry.expect("a label")).collect();
    let labels = labels.iter().map(|(id, label)| format!("{id} {label:?}"));
    let backends: Array<_, Backend> = open("BACKENDS").try_into().expect("an array");
    let backends = (0..64).map(|id| (id, backends.get(&id, 0).expect("a backend")));
    let serving =
        backends.filter(|(_, backend)| !backend.is_free() && !backend.flags().has(BackendFlags::GONE));
    labels.chain(serving.map(|(id, backend)| format!("{id} {backend:?}"))).collect()
}

/// Makes the numbers other than a start from nothing would give.
#[track_caller]
fn shuffle(scene: &Scene) {
    let shunt = scene.shunt.as_ref().expect("an instance");
    shunt.remove("Service", &["sticky"]).expect("gone");
    shunt.remove("Pod", &["pod-a"]).expect("gone");
    let pod = scene.pods[0].manifest().label("app", "web").container_port("http", 80);
    shunt.apply(&[&crate::scene::sticky(), &pod]).expect("back");
}

#[test]
fn tables_become_larger_and_smaller_while_clients_dial_and_nothing_is_lost() {
    let mut scene = Scene::serving();
    shuffle(&scene);
    let (kept, given) = (pod_of_sticky(&scene), numbers(&scene));
    let load = scene.load();
    for (sizes, slots) in [(LARGER, 2_000_000), (SMALLER, 4096), ("", 1 << 20)] {
        scene.end(Shunt::stop);
        let arguments = ["--map-size", sizes];
        scene.resume(if sizes.is_empty() { &[] } else { &arguments });
        assert_eq!(fill(&scene, "SLOTS")[1], slots);
        assert_eq!(numbers(&scene), given);
        only_this_version_is_there(&scene);
        assert_eq!(pod_of_sticky(&scene), kept);
    }
    load.end_unharmed();
}

#[test]
fn flows_go_on_when_their_tables_become_larger_and_smaller() {
    let mut scene = Scene::serving();
    let download = scene.download();
    check::answers(&scene.outside, &tcp(scene.node_port()).times(50));
    for size in [600_000, 4096, 1 << 19] {
        let [before, _] = fill(&scene, "FLOWS");
        scene.end(Shunt::stop);
        scene.resume(&["--map-size", &format!("FLOWS={size},NEW_FLOWS={}", size / 4)]);
        let [after, capacity] = fill(&scene, "FLOWS");
        assert_eq!(capacity, size);
        assert!(after >= 2 && after <= before, "{after} of {before}");
        check::answers(&scene.outside, &tcp(scene.node_port()).times(50));
        only_this_version_is_there(&scene);
    }
    download.end_unharmed();
}

#[test]
fn a_map_that_would_be_too_small_is_refused_and_what_serves_goes_on() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let said = scene.refused(&["--map-size", "FRONTENDS=3"]);
    assert!(said.contains("map FRONTENDS can't have 3 entries"), "{said}");
    let said = scene.refused(&["--map-size", "BACKENDS=3"]);
    assert!(said.contains("--map-size BACKENDS=ENTRIES"), "{said}");
    check::dial(&scene.client, &tcp(WEB));
    scene.resume(&[]);
    only_this_version_is_there(&scene);
}

#[test]
fn an_earlier_version_whose_frontends_were_others_is_taken_over_under_load_and_back() {
    let mut scene = Scene::serving();
    let kept = pod_of_sticky(&scene);
    let load = scene.load();
    for version in [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1] {
        scene.end(Shunt::stop);
        become_version(&scene, version);
        let maps = scene.pins().join(format!("v{version}/maps"));
        replace::<28, 12>(&maps.join("FRONTENDS"));
        replace::<40, 8>(&maps.join("FRAGMENTS"));
        // A later version says that only these mean something else in it; one of before says nothing.
        match version < LAYOUT_VERSION {
            true => fs::remove_file(maps.join("LAYOUT")).expect("the record"),
            false => record(&scene, version, |said| said["since"]["FRONTENDS"] = version.into()),
        }
        if version < LAYOUT_VERSION {
            // It is not known of version 0 what its entries meant.
            let said = scene.refused(&[]);
            assert!(said.contains("its entries mean something else since layout version 1"), "{said}");
            become_this_version(&scene, version);
        }
        scene.resume(&[]);
        only_this_version_is_there(&scene);
        assert_eq!(pod_of_sticky(&scene), kept);
        assert!(fill(&scene, "FRONTENDS")[0] > 2);
    }
    load.end_unharmed();
}

/// The way back of [`become_version`].
#[track_caller]
fn become_this_version(scene: &Scene, version: u32) {
    let place = |version| scene.pins().join(format!("v{version}"));
    fs::rename(place(version), place(LAYOUT_VERSION)).expect("other pins");
}

#[test]
fn state_that_can_not_be_taken_over_is_named_and_given_up_only_when_asked_to() {
    let mut scene = Scene::serving();
    let load = scene.inside();
    scene.end(Shunt::stop);
    become_version(&scene, LAYOUT_VERSION + 1);
    let maps = scene.pins().join(format!("v{}/maps", LAYOUT_VERSION + 1));
    replace::<40, 80>(&maps.join("FLOWS"));
    let said = scene.refused(&[]);
    let pins = scene.pins().display().to_string();
    for part in [
        "of layout version 2 of Shunt 0.1.0, and map FLOWS can't be taken over: its value size is 80, and 60 is needed",
        "`shunt run --discard-state`",
        &format!("`shunt cleanup --pin-dir {pins}`"),
    ] {
        assert!(said.contains(part), "{said}");
    }
    check::dial(&scene.client, &tcp(WEB));
    scene.resume(&["--discard-state"]);
    only_this_version_is_there(&scene);
    check::answers(&scene.outside, &tcp(scene.node_port()).times(5));
    // Dials of sockets never failed.
    let (report, _) = load.stop().expect("a report");
    assert_eq!(report.by_failure, BTreeMap::new(), "{} dials", report.dials);
}

/// How far a start over other pins has come, by what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It has made nothing, or all is done.
    Nothing,
    /// Maps are made, copied and filled.
    Building,
    /// The directories change places.
    Ready,
    /// The directories have changed; the programs that were there before may still be behind the links.
    Late,
}

impl Stage {
    fn of(scene: &Scene) -> Self {
        let names = scene.listed("");
        match () {
            () if names.iter().any(|name| name.starts_with("ready-")) => Self::Ready,
            () if names.iter().any(|name| name == "building") => Self::Building,
            () if scene.pins().join(format!("v{LAYOUT_VERSION}/late")).exists() => Self::Late,
            () => Self::Nothing,
        }
    }
}

#[test]
fn a_start_over_other_pins_that_is_killed_anywhere_is_finished_by_the_next() {
    let mut scene = Scene::serving();
    let kept = pod_of_sticky(&scene);
    let load = scene.load();
    let mut seen: BTreeMap<Stage, usize> = BTreeMap::new();
    let is_enough = |seen: &BTreeMap<Stage, usize>| {
        [Stage::Building, Stage::Late].iter().all(|stage| seen.contains_key(stage))
    };
    for round in 0..40_u64 {
        if round >= 10 && is_enough(&seen) {
            break;
        }
        let arguments = ["--map-size", if round % 2 == 0 { LARGER } else { SMALLER }];
        scene.end(Shunt::kill);
        let doomed = Shunt::begin(&scene.node, &crate::scene::options(&arguments));
        let doomed = doomed.unwrap_or_else(|error| panic!("{error:#}"));
        check::until("it builds", || Stage::of(&scene) != Stage::Nothing || doomed.is_complete());
        // At first somewhere while maps are made and filled, then where the directories change places, or have.
        if round < 4 {
            std::thread::sleep(Duration::from_millis(round * 30));
        } else {
            let wanted = if round % 2 == 0 { Stage::Ready } else { Stage::Late };
            while Stage::of(&scene) < wanted && Stage::of(&scene) != Stage::Nothing && !doomed.is_complete() {
            }
        }
        doomed.kill().expect("its end");
        *seen.entry(Stage::of(&scene)).or_default() += 1;
        check::dial(&scene.client, &tcp(WEB));
        scene.resume(if round % 3 == 0 { &[] } else { &arguments });
        only_this_version_is_there(&scene);
        assert_eq!(pod_of_sticky(&scene), kept);
    }
    println!("killed with {seen:?}");
    assert!(is_enough(&seen), "{seen:?}");
    load.end_unharmed();
}

#[test]
fn a_start_that_breaks_off_while_the_directories_change_places_is_finished_by_the_next() {
    let mut scene = Scene::serving();
    let kept = pod_of_sticky(&scene);
    let load = scene.load();
    scene.end(Shunt::stop);
    // A kill at this moment is a matter of luck. What can't be removed makes one that is not.
    let obstacle = scene.pins().join(format!("v{LAYOUT_VERSION}/maps/obstacle"));
    fs::create_dir(&obstacle).expect("a directory");
    let obstacle = Tmpfs::mounted(&obstacle, "4k");
    let said = scene.refused(&["--map-size", LARGER]);
    assert!(said.contains("Resource busy") || said.contains("os error 16"), "{said}");
    assert_eq!(Stage::of(&scene), Stage::Ready);
    check::answers(&scene.client, &tcp(WEB).then(scene.node_port()).times(20));
    drop(obstacle);
    scene.resume(&["--map-size", LARGER]);
    only_this_version_is_there(&scene);
    assert_eq!(fill(&scene, "SLOTS")[1], 2_000_000);
    assert_eq!(pod_of_sticky(&scene), kept);
    load.end_unharmed();
}

#[test]
fn what_another_version_left_beside_the_pins_in_use_is_taken_out() {
    let mut scene = Scene::serving();
    scene.end(Shunt::kill);
    let other = scene.pins().join("v0");
    fs::create_dir_all(other.join("maps")).expect("a directory");
    fs::rename(scene.pins().join("v1/links"), other.join("links")).expect("other links");
    scene.resume(&[]);
    only_this_version_is_there(&scene);
    check::dial(&scene.client, &tcp(WEB));
    scene.end(Shunt::stop);
    scene.command(&["cleanup"]).unwrap_or_else(|error| panic!("{error:#}"));
    check::refused(&scene.client, &tcp("127.0.0.1:31000"), "ECONNREFUSED");
}

#[test]
fn flows_that_begin_while_a_killed_take_over_is_finished_go_on() {
    let mut scene = Scene::serving();
    scene.end(Shunt::kill);
    // What a start with another size leaves that is killed between the change of directories and that of programs.
    let version = scene.pins().join(format!("v{LAYOUT_VERSION}"));
    fs::create_dir(version.join("late")).expect("a directory");
    fs::rename(version.join("maps/FLOWS"), version.join("late/FLOWS")).expect("another place");
    /// `BPF_F_NO_PREALLOC`
    const ON_DEMAND: u32 = 1;
    let flows = HashMap::<MapData, [u8; 40], [u8; 60]>::create(4096, ON_DEMAND).expect("a map");
    flows.pin(version.join("maps/FLOWS")).expect("a pin");
    let shunt = Shunt::begin(&scene.node, &crate::scene::options(&["--map-size", "FLOWS=4096"]));
    let shunt = shunt.unwrap_or_else(|error| panic!("{error:#}"));
    let mut held = Vec::new();
    while !shunt.is_complete() {
        held.push(tcp(scene.node_port()).hold(&scene.outside).unwrap_or_else(|error| panic!("{error:#}")));
    }
    until("what came late is there", || !version.join("late").exists());
    println!("{} began meanwhile", held.len());
    for socket in held {
        assert_eq!(socket.ask().expect("an answer").failure, None);
    }
    scene.shunt = Some(shunt);
    only_this_version_is_there(&scene);
}
