//! The kernel's settings, of a node's own network namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lb_tests::{Inside, Node, Options, Shunt, check, tcp};

use crate::scene::{Scene, web};

const CLOSE_WAIT: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

#[track_caller]
fn setting(node: &Node, path: &str) -> String {
    node.place().run("cat", &[path]).expect(path).trim().to_owned()
}

/// Whether the kernel has conntrack: loaded where it is a module, for nothing here needs it but its settings.
fn has_conntrack() -> bool {
    let is_there = || Path::new(CLOSE_WAIT).exists();
    let load = || Command::new("modprobe").arg("nf_conntrack").status().is_ok_and(|status| status.success());
    is_there() || (load() && is_there())
}

fn options(arguments: &[&str]) -> Options {
    Options { arguments: arguments.iter().map(Into::into).collect(), ..Options::default() }
}

/// What the node's settings were; gone when dropped, as by a restart of the machine.
struct Record(PathBuf);

impl Record {
    fn of(node: &Node) -> Self {
        Self(lb_userspace::node::sysctls::record::path(&node.pin_dir()))
    }

    /// What a setting was before it was changed.
    #[track_caller]
    fn before(&self, path: &str) -> u64 {
        let said = fs::read_to_string(&self.0).expect("a record");
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        said[path.trim_start_matches('/')]["before"].as_u64().expect("a number")
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// SYS-01, SYS-02
#[test]
fn settings_are_changed_only_where_they_differ_and_what_they_were_is_remembered() {
    let arguments = ["--conntrack-tcp-timeout-close-wait=1h", "--set-forwarding"];
    if !has_conntrack() {
        return eprintln!("skipped: this kernel has no conntrack, and its module can't be loaded");
    }
    let scene = Scene::with_options(&options(&arguments), &[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let record = Record::of(&scene.node);
    assert_eq!(setting(&scene.node, CLOSE_WAIT), "3600");
    let changed = format!("{CLOSE_WAIT} is 3600 now, was 60");
    assert!(scene.shunt.log().contains(&changed), "{}", scene.shunt.log());
    assert!(!scene.shunt.log().contains(FORWARD), "{}", scene.shunt.log());
    assert_eq!(record.before(CLOSE_WAIT), 60);

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
    assert_eq!((record.before(FORWARD), record.before(CLOSE_WAIT)), (0, 60));
}

/// PRV-01
#[test]
fn the_capabilities_of_the_manifest_are_enough_to_serve_and_to_end_sockets() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/least-capabilities/security-context.yaml");
    let text = fs::read_to_string(file).expect("the manifest");
    let list = text.lines().find_map(|line| line.trim().strip_prefix("add: [")?.strip_suffix(']'));
    let names = list.expect("capabilities").to_lowercase().replace(", ", ",+");
    let set = format!("-all,+{names}");
    let under = ["setpriv", "--bounding-set", &set, "--inh-caps", "-all", "--"];
    let options = Options { under: under.iter().map(Into::into).collect(), ..Options::default() };
    let echo = web("echo").port(500).udp().target(5000).cluster_ip("10.96.0.50").node_port(31500);
    let scene = Scene::with_options(&options, &[&echo]);
    scene.remove_pods(&["pod-b", "pod-c"]);
    let outside = scene.outside("client");
    lb_tests::check::dial(&outside, &lb_tests::udp(format!("{}:31500", scene.node.v4())));
    assert!(!scene.shunt.log().contains("cannot attach"), "{}", scene.shunt.log());
    let doomed = lb_tests::udp("10.96.0.50:500").hold(&scene.client).expect("a client");
    scene.remove_pods(&["pod-a"]);
    assert_eq!(doomed.end().expect("an end").failure.expect("a failure").errno, "ECONNABORTED");
}

#[test]
fn an_instance_ends_to_be_started_anew_when_its_configuration_is_another_rst_05() {
    let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.conf");
    let write = |body: &str| fs::write(&file, format!("{head}{body}")).expect("written");
    write("clusterCIDR: 10.244.0.0/16\n");
    let arguments = ["--config", file.to_str().expect("a path")];
    let scene = Scene::with_options(&options(&arguments), &[&web("web").port(80).cluster_ip("10.96.0.10")]);
    write("clusterCIDR: nonsense\n");
    scene.shunt.wait_for_line(0, |line| line.contains("what it said before stays in force")).expect("a word");
    write("clusterCIDR: 10.0.0.0/8\n");
    scene.shunt.wait_for_line(0, |line| line.contains("has changed: start anew")).expect("a word");
    let ended = scene.shunt.stop().expect_err("it ended by itself").to_string();
    assert!(ended.contains("exit status: 1"), "{ended}");
    check::dial(&scene.client, &tcp("10.96.0.10:80"));
}
