//! The kernel's settings, of a node's own network namespace.

use std::fs;
use std::path::{Path, PathBuf};

use lb_tests::{Inside, Node, Options, Shunt};

use crate::scene::{Scene, web};

const CLOSE_WAIT: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

#[track_caller]
fn setting(node: &Node, path: &str) -> String {
    node.place().run("cat", &[path]).expect(path).trim().to_owned()
}

fn options(arguments: &[&str]) -> Options {
    Options { arguments: arguments.iter().map(Into::into).collect(), ..Options::default() }
}

/// What the node's settings were; gone when dropped, as by a restart of the machine.
struct Record(PathBuf);

impl Record {
    fn of(node: &Node) -> Self {
        let name = node.pin_dir().display().to_string().trim_matches('/').replace('/', "-");
        Self(Path::new("/run/shunt").join(format!("{name}.sysctls.json")))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn settings_are_changed_only_where_they_differ_and_what_they_were_is_remembered() {
    let arguments = ["--conntrack-tcp-timeout-close-wait=1h", "--set-forwarding"];
    let scene = Scene::with_options(&options(&arguments), &[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let record = Record::of(&scene.node);
    assert_eq!(setting(&scene.node, CLOSE_WAIT), "3600");
    let changed = format!("{CLOSE_WAIT} is 3600 now, was 60");
    assert!(scene.shunt.log().contains(&changed), "{}", scene.shunt.log());
    assert!(!scene.shunt.log().contains(FORWARD), "{}", scene.shunt.log());
    let said = fs::read_to_string(&record.0).expect("a record");
    assert!(said.contains("nf_conntrack_tcp_timeout_close_wait\": 60"), "{said}");

    let node = &scene.node;
    scene.shunt.stop().expect("its end");
    let again = Shunt::resume(node, &options(&arguments)).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(!again.log().contains(CLOSE_WAIT), "{}", again.log());
    again.stop().expect("its end");
    node.place().run("sh", &["-c", &format!("echo 0 > {FORWARD}")]).expect("written");
    let without = Shunt::resume(node, &Options::default()).unwrap_or_else(|error| panic!("{error:#}"));
    let warning = format!("{FORWARD} is 0, and 1 is needed");
    assert!(without.log().contains(&warning), "{}", without.log());
    assert_eq!(setting(node, FORWARD), "0");
    without.stop().expect("its end");
    Shunt::resume(node, &options(&arguments)).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(setting(node, FORWARD), "1");
    let said = fs::read_to_string(&record.0).expect("a record");
    assert!(said.contains("ip_forward\": 0") && said.contains("close_wait\": 60"), "{said}");
}
