//! The packet programs on devices: where they are, where not and why, as devices come and go.

use lb_tests::{Inside, Network, Node, Options, Shunt, ask_shunt, shunt_program};

/// A node with an instance on it.
struct Running {
    shunt: Shunt,
    node: Node,
    _network: Network,
}

impl Running {
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        let network = Network::create().expect("a network");
        let node = network.node("node-1").expect("a node");
        let shunt = Shunt::start(&node, &options(arguments), &[]).unwrap_or_else(|error| panic!("{error:#}"));
        Self { shunt, node, _network: network }
    }

    #[track_caller]
    fn restart(self, arguments: &[&str]) -> Self {
        self.shunt.stop().unwrap_or_else(|error| panic!("{error:#}"));
        let shunt = Shunt::resume(&self.node, &options(arguments));
        Self { shunt: shunt.unwrap_or_else(|error| panic!("{error:#}")), ..self }
    }

    /// Runs lines of `ip` on the node, and waits for what the instance says of a device then.
    #[track_caller]
    fn ip(&self, lines: &[&str], said: &str) {
        let seen = self.shunt.lines_so_far();
        self.node.ip(lines).expect("a device");
        self.shunt
            .wait_for_line(seen, |line| line.contains(said))
            .unwrap_or_else(|error| panic!("{error:#}"));
    }
}

fn options(arguments: &[&str]) -> Options {
    let arguments = ["--log", "info,lb_userspace=debug"].iter().chain(arguments).map(Into::into).collect();
    Options { arguments, ..Options::default() }
}

/// `role ingress egress` of a device, by `shunt status`; its reason where it has no role.
#[track_caller]
fn status(node: &Node, device: &str) -> String {
    let said = ask_shunt(node, "status").unwrap_or_else(|error| panic!("{error:#}"));
    let devices = said["devices"].as_array().expect("devices");
    let Some(found) = devices.iter().find(|found| found["device"] == device) else {
        return "gone".to_owned();
    };
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    match found["role"].as_str() {
        Some(role) => format!("{role} {} {}", text("ingress"), text("egress")),
        None => text("why"),
    }
}

/// What the kernel has on the hooks of a device.
#[track_caller]
fn attached(node: &Node, device: &str) -> Vec<String> {
    node.programs_on(device).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn programs_are_on_the_device_with_an_address_of_the_node_and_not_on_those_of_pods() {
    let scene = Running::start(&[]);
    let _pod = scene.node.pod("pod-a").expect("a pod");
    assert_eq!(status(&scene.node, "eth0"), "external tcx tcx");
    assert_eq!(attached(&scene.node, "eth0"), ["tcx/ingress shunt_ingress", "tcx/egress shunt_egress"]);
    assert!(status(&scene.node, "pods").starts_with("bridge of pods"));
    assert!(status(&scene.node, "lo").starts_with("loopback"));
}

#[test]
fn a_device_that_comes_later_is_attached_to_and_one_that_goes_is_forgotten() {
    let scene = Running::start(&[]);
    scene.ip(&["link add eth7 type veth peer name other"], "device eth7 is left alone");
    assert!(status(&scene.node, "eth7").starts_with("leads to a pod"));
    scene.ip(&["addr add 192.168.77.1/24 dev eth7", "link set eth7 up"], "attached to device eth7");
    assert_eq!(status(&scene.node, "eth7"), "external tcx tcx");
    assert_eq!(attached(&scene.node, "eth7"), ["tcx/ingress shunt_ingress", "tcx/egress shunt_egress"]);
    scene.ip(&["addr del 192.168.77.1/24 dev eth7"], "device eth7 is left alone");
    assert!(attached(&scene.node, "eth7").is_empty());
    scene.ip(&["addr add 192.168.77.1/24 dev eth7"], "attached to device eth7");
    scene.ip(&["link del eth7"], "device eth7 is gone");
    assert_eq!(status(&scene.node, "eth7"), "gone");
}

#[test]
fn a_restart_takes_over_what_is_attached_and_leaves_other_programs_alone() {
    let scene = Running::start(&[]);
    let links = || scene.node.place().run("ls", &[scene.node.pin_dir().join("v1/links")]).expect("links");
    let before = links();
    assert!(before.contains("-ingress") && before.contains("-egress"), "{before}");
    let scene = Running::restart(scene, &[]);
    assert_eq!(attached(&scene.node, "eth0"), ["tcx/ingress shunt_ingress", "tcx/egress shunt_egress"]);
    assert_eq!(status(&scene.node, "eth0"), "external tcx tcx");
}

#[test]
fn patterns_choose_the_devices() {
    let scene = Running::start(&["--devices", "et?0", "--pod-devices", "pod-*"]);
    assert_eq!(status(&scene.node, "eth0"), "external tcx tcx");
    let seen = scene.shunt.lines_so_far();
    let _pod = scene.node.pod("pod-a").expect("a pod");
    let said = |line: &str| line.contains("attached to device pod-a");
    scene.shunt.wait_for_line(seen, said).expect("the pod's device");
    assert_eq!(status(&scene.node, "pod-a"), "pods tcx tcx");
    assert_eq!(status(&scene.node, "pods"), "no pattern of --devices names it");
}

#[test]
fn filters_take_the_place_of_links_and_the_other_way_round() {
    let scene = Running::start(&["--no-tcx"]);
    assert_eq!(status(&scene.node, "eth0"), "external clsact clsact");
    assert_eq!(attached(&scene.node, "eth0"), ["clsact/ingress shunt_ingress", "clsact/egress shunt_egress"]);
    let scene = scene.restart(&["--no-tcx"]);
    assert_eq!(attached(&scene.node, "eth0"), ["clsact/ingress shunt_ingress", "clsact/egress shunt_egress"]);
    let scene = scene.restart(&[]);
    assert_eq!(attached(&scene.node, "eth0"), ["tcx/ingress shunt_ingress", "tcx/egress shunt_egress"]);
    let scene = scene.restart(&["--no-tcx"]);
    assert_eq!(attached(&scene.node, "eth0"), ["clsact/ingress shunt_ingress", "clsact/egress shunt_egress"]);
}

#[test]
fn cleanup_takes_everything_off_devices_but_the_filters_of_others() {
    for tcx in [&[][..], &["--no-tcx"]] {
        let scene = Running::start(tcx);
        let tc = |arguments: &[&str]| scene.node.place().run("tc", arguments).expect("tc");
        if !tcx.is_empty() {
            tc(&[
                "filter", "add", "dev", "eth0", "ingress", "protocol", "ip", "u32", "match", "u32", "0", "0",
                "flowid", "1:1",
            ]);
        }
        let pin_dir = scene.node.pin_dir();
        scene.shunt.stop().expect("an end");
        let program = shunt_program().expect("shunt");
        let cleanup = ["cleanup", "--pin-dir", pin_dir.to_str().expect("a path of text")];
        let run = || scene.node.place().run(program.to_str().expect("a path of text"), &cleanup);
        run().expect("a clean node");
        assert!(attached(&scene.node, "eth0").is_empty());
        let qdiscs = tc(&["qdisc", "show", "dev", "eth0"]);
        assert_eq!(qdiscs.contains("clsact"), !tcx.is_empty(), "{qdiscs}");
        assert_eq!(tc(&["filter", "show", "dev", "eth0", "ingress"]).contains("u32"), !tcx.is_empty());
        assert!(!pin_dir.join("v1").exists());
        run().expect("nothing to do");
    }
}
