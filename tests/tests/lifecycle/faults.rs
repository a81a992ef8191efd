//! What goes wrong on the node, what goes on all the same, and how it ends: the rows of docs/operations.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use lb_tests::manifest::service;
use lb_tests::{Inside, Options, Shunt, check, tcp};

use crate::scene::{Scene, WEB};

/// Runs a command of the machine.
#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect(program);
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// A small file system in memory; unmounted when dropped.
pub(crate) struct Tmpfs(String);

impl Tmpfs {
    #[track_caller]
    pub(crate) fn mounted(at: &Path, size: &str) -> Self {
        fs::create_dir_all(at).expect("a directory");
        let at = at.display().to_string();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &at]);
        Self(at)
    }

    #[track_caller]
    fn remount(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}"), &self.0]);
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[test]
fn pins_that_are_removed_or_unmounted_while_it_runs_are_there_again_and_all_is_served() {
    let mut scene = Scene::serving();
    let load = scene.load();
    // All at once: what is removed one by one may be there again before the last one is gone.
    let aside = scene.pins().with_file_name("aside");
    fs::rename(scene.pins(), &aside).expect("no pins");
    fs::remove_dir_all(&aside).expect("none anywhere");
    scene.hears(0, "pins were gone, and are there again");
    check::until("they are there again", || scene.listed("v1") == ["links", "maps"]);
    let bpffs = scene.pins().parent().expect("a parent").display().to_string();
    let seen = scene.instance().lines_so_far();
    assert!(!Command::new("umount").arg(&bpffs).status().expect("umount").success(), "it is in use");
    run("umount", &["-l", &bpffs]);
    scene.hears(seen, "pins were gone, and are there again");
    check::until("they are there again", || scene.listed("v1") == ["links", "maps"]);
    let said = scene.refused(&[]);
    assert!(said.contains("another instance holds the pins"), "{said}");
    load.end_unharmed();
    scene.end(Shunt::kill);
    scene.serves();
    scene.resume(&[]);
    scene.end(Shunt::stop);
    scene.command(&["cleanup"]).unwrap_or_else(|error| panic!("{error:#}"));
    check::refused(&scene.node, &tcp(WEB), "ENETUNREACH");
    run("umount", &[&scene.pins().display().to_string()]);
}

#[test]
fn without_a_bpffs_one_is_mounted_at_the_start() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    run("umount", &[&scene.pins().parent().expect("a parent").display().to_string()]);
    assert!(!scene.pins().exists());
    scene.resume(&[]);
    scene.serves();
    scene.end(Shunt::stop);
    run("umount", &[&scene.pins().display().to_string()]);
}

#[test]
fn where_no_bpffs_can_be_mounted_the_start_is_refused_with_what_to_do() {
    let scene = Scene::serving();
    let program = lb_tests::shunt_program().expect("it").display().to_string();
    let cgroup = scene.client.place().cgroup().display().to_string();
    let manifests = scene.node.manifests().display().to_string();
    let arguments = ["run", "--pin-dir", "/proc/shunt", "--cgroup", &cgroup, "--manifests", &manifests];
    let said = scene.node.place().run(&program, &arguments).expect_err("no place for pins");
    let said = format!("{said:#}");
    assert!(
        said.contains("no bpffs for pins at /proc/shunt") && said.contains("mount -t bpf bpf DIR"),
        "{said}"
    );
    scene.serves();
}

#[test]
fn a_cgroup_that_is_removed_and_made_again_is_served_again() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let cgroup = scene.client.place().cgroup().to_owned();
    let options = Options { cgroup: Some(cgroup.clone()), ..Options::default() };
    let shunt = Shunt::resume(&scene.node, &options).unwrap_or_else(|error| panic!("{error:#}"));
    scene.shunt = Some(shunt);
    check::dial(&scene.client, &tcp(WEB));
    fs::remove_dir(&cgroup).expect("it is empty");
    scene.hears(0, "the cgroup is gone: no socket is served");
    check::dial(&scene.outside, &tcp(scene.node_port()));
    fs::create_dir(&cgroup).expect("it is back");
    scene.hears(0, "the cgroup is back");
    check::dial(&scene.client, &tcp(WEB));
}

#[test]
fn a_disk_that_is_full_or_read_only_costs_new_numbers_only_until_there_is_room() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let place = scene.file("small");
    let disk = Tmpfs::mounted(&place, "64k");
    let state_file = place.join("state.json");
    scene.state_file = Some(state_file.clone());
    scene.resume(&[]);
    for (number, (harm, heal)) in [("ro", "rw"), ("full", "free")].into_iter().enumerate() {
        match harm {
            "full" => fs::write(place.join("filler"), vec![0; 1 << 20]).expect_err("it is full"),
            _ => {
                disk.remount(harm);
                std::io::Error::other("")
            }
        };
        let before = fs::read(&state_file).expect("the state file");
        let seen = scene.instance().lines_so_far();
        // Its address and node port are to be allocated.
        let fresh = service(&format!("fresh-{number}"))
            .selecting("app", "web")
            .port(80)
            .with("type", "NodePort".into());
        let fresh = serde_json::to_string(&lb_tests::manifest::Manifest::to_value(&fresh)).expect("JSON");
        scene.instance().write("fresh.json", &fresh).expect("a manifest");
        scene
            .hears_that(seen, |line| line.contains("ERROR") && line.contains("state.json: can't be written"));
        scene.serves();
        assert_eq!(fs::read(&state_file).expect("it"), before);
        match heal {
            "free" => fs::remove_file(place.join("filler")).expect("room"),
            _ => disk.remount(heal),
        }
        let seen = scene.instance().lines_so_far();
        scene.instance().write("other.json", &fresh.replace("fresh-", "other-")).expect("a manifest");
        let names = ["fresh", "other"].map(|name| format!("{name}-{number}\""));
        check::until("all numbers are on the disk", || {
            fs::read_to_string(&state_file).is_ok_and(|text| names.iter().all(|name| text.contains(name)))
        });
        scene.hears(seen, "no longer wrong");
    }
    // What is not on the disk yet when it ends is tried once more.
    disk.remount("ro");
    let seen = scene.instance().lines_so_far();
    let last = service("last").selecting("app", "web").port(80);
    let last = lb_tests::manifest::Manifest::to_value(&last).to_string();
    scene.instance().write("last.json", &last).expect("a manifest");
    scene.hears_that(seen, |line| line.contains("ERROR") && line.contains("state.json: can't be written"));
    disk.remount("rw");
    scene.end(Shunt::stop);
    let text = fs::read_to_string(&state_file).expect("the state file");
    assert!(text.contains("default/last"), "{text}");
}

#[test]
fn a_damaged_state_file_stops_the_start_and_not_the_service() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let good = fs::read(scene.node.state_file()).expect("it");
    fs::write(scene.node.state_file(), "{\"version\": 1, \"serv").expect("half of it");
    let said = scene.refused(&[]);
    assert!(
        said.contains("state.json is damaged") && said.contains("delete it to have all numbers given anew"),
        "{said}"
    );
    scene.serves();
    fs::write(scene.node.state_file(), good).expect("all of it");
    scene.resume(&[]);
    scene.serves();
}

#[test]
fn a_pin_that_is_something_else_stops_the_start_and_not_the_service() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let maps = scene.pins().join("v1/maps");
    fs::rename(maps.join("BACKENDS"), maps.join("mine")).expect("aside");
    for (other, why) in
        [("FLOWS", "its type is 1, and 2 is needed"), ("NODE", "its value size is 48, and 32 is needed")]
    {
        fs::hard_link(maps.join(other), maps.join("BACKENDS")).expect("another map");
        let said = scene.refused(&[]);
        assert!(said.contains(&format!("map BACKENDS can't be taken over: {why}")), "{said}");
        scene.serves();
        fs::remove_file(maps.join("BACKENDS")).expect("gone");
    }
    let said = scene.refused(&[]);
    assert!(said.contains("map BACKENDS can't be taken over: it is not there"), "{said}");
    fs::rename(maps.join("mine"), maps.join("BACKENDS")).expect("back");
    scene.resume(&[]);
    scene.serves();
}

#[test]
fn a_device_that_goes_and_comes_back_serves_again() {
    let scene = Scene::serving();
    for _ in 0..3 {
        let seen = scene.instance().lines_so_far();
        let up = [
            "link add eth7 type veth peer name other",
            "addr add 192.168.77.1/24 dev eth7",
            "link set eth7 up",
        ];
        scene.node.ip(&up).expect("a device");
        scene.hears(seen, "attached to device eth7");
        scene.node.ip(&["link del eth7"]).expect("no device");
        scene.serves();
    }
}

#[test]
fn devices_that_vanish_while_they_are_attached_to_are_no_error() {
    let scene = Scene::serving();
    // Each lives a bit longer: some of them go between one hook and the other.
    for lived in 0..150 {
        let lines = [
            "link add extra0 type veth peer name extra1",
            "addr add 192.168.78.1/24 dev extra0",
            "link set extra0 up",
        ];
        scene.node.ip(&lines).expect("a device");
        std::thread::sleep(std::time::Duration::from_micros(lived * 400));
        scene.node.ip(&["link del extra0"]).expect("no device");
    }
    // What comes after them is attached to: all of them were looked at by then.
    let seen = scene.instance().lines_so_far();
    let lines = [
        "link add extra2 type veth peer name extra3",
        "addr add 192.168.79.1/24 dev extra2",
        "link set extra2 up",
    ];
    scene.node.ip(&lines).expect("a device");
    scene.hears(seen, "attached to device extra2");
    assert!(!scene.instance().log().contains("ERROR"), "{}", scene.instance().log());
    scene.serves();
}

#[test]
fn an_address_of_the_node_is_served_when_it_comes_and_no_more_when_it_goes() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let options = Options { find_addresses: true, ..Options::default() };
    let shunt = Shunt::resume(&scene.node, &options).unwrap_or_else(|error| panic!("{error:#}"));
    scene.shunt = Some(shunt);
    let dial = tcp(format!("192.168.78.1:{}", crate::scene::NODE_PORT));
    for _ in 0..3 {
        scene.node.ip(&["addr add 192.168.78.1/32 dev lo"]).expect("an address");
        scene.lists("192.168.78.1", true);
        check::dial(&scene.node, &dial);
        scene.node.ip(&["addr del 192.168.78.1/32 dev lo"]).expect("no address");
        scene.lists("192.168.78.1", false);
        check::refused(&scene.node, &dial, "ENETUNREACH");
        scene.serves();
    }
}

#[test]
fn an_instance_that_is_killed_for_want_of_memory_loses_nothing() {
    let mut scene = Scene::serving();
    let load = scene.load();
    let id = scene.instance().id();
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
    let size: u64 = size.expect("its size").trim().parse().expect("a number");
    run("prlimit", &["--pid", &id.to_string(), &format!("--as={}", (size + 1000) * 1024)]);
    // More than there is room for.
    let many = crate::signals::many();
    let many: Vec<_> = many.iter().map(lb_tests::manifest::Manifest::to_value).collect();
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": many });
    scene.instance().write("many.json", &list.to_string()).expect("manifests");
    let shunt = scene.shunt.take().expect("an instance");
    let status = shunt.wait_for_end().unwrap_or_else(|error| panic!("{error:#}"));
    // An allocation that fails aborts it, a stack that finds no room is SIGSEGV, and a thread for which there is no
    // room is a panic: which of them comes first is chance.
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    let is_panic = matches!(status.code(), Some(1 | 101));
    assert!(is_panic || matches!(signal, Some(6 | 11)), "{status}");
    scene.serves();
    scene.resume(&[]);
    check::dial(&scene.client, &tcp("10.97.11.250:80"));
    load.end_unharmed();
}
