//! `examples/` says what it says that it says.

use std::path::Path;

use super::*;
use crate::model::{ServicePort, ServiceType};

fn examples() -> Directory {
    let mut dir = Directory::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    dir.files = read_directory(&path).unwrap();
    dir.load_well();
    dir
}

/// As in `ka-port 5001 -> 8001, node port 30904`.
fn words(port: &ServicePort) -> String {
    let node_port = port.node_port.map_or_else(String::new, |number| format!(", node port {number}"));
    format!("{} {} -> {}{node_port}", port.name, port.port, port.target_port).trim_start().to_owned()
}

#[track_caller]
fn ports(dir: &Directory, name: &str) -> Vec<String> {
    dir.service(name).unwrap_or_else(|| panic!("no Service {name}")).ports.iter().map(words).collect()
}

/// Each of the three pods at a port.
fn each_pod(port: u16) -> Vec<String> {
    (11..=13).map(|last| format!("10.244.1.{last}:{port}")).collect()
}

#[test]
fn every_number_of_the_texts_is_there() {
    let dir = examples();
    assert_eq!(ports(&dir, "nginx"), ["80 -> 80, node port 31000"]);
    assert_eq!(ports(&dir, "web"), ["8080 -> 80, node port 31111"]);
    assert_eq!(
        ports(&dir, "karma-daemon"),
        ["http 80 -> 80, node port 32488", "ftp 2121 -> 2121, node port 32461"]
    );
    assert_eq!(ports(&dir, "fb-backends"), ["ka-port 5001 -> 8001, node port 30904"]);
    assert_eq!(ports(&dir, "three-numbers"), ["82 -> numbers, node port 30033"]);
    assert_eq!(ports(&dir, "acme-api"), ["9000 -> 9000"]);
    assert_eq!(dir.service("acme-api").map(|service| service.kind), Some(ServiceType::ExternalName));
    assert!(dir.ips("acme-api").is_empty());
    let all: Vec<_> = dir.world.services().map(|service| service.name.name.as_str()).collect();
    assert_eq!(all, ["acme-api", "dual", "fb-backends", "karma-daemon", "nginx", "three-numbers", "web"]);
}

#[test]
fn every_example_finds_the_three_pods_at_its_target_port() {
    let dir = examples();
    assert_eq!(dir.endpoints("nginx"), each_pod(80));
    assert_eq!(dir.endpoints("web"), each_pod(80));
    assert_eq!(dir.endpoints("fb-backends"), each_pod(8001));
    let mut karma = [each_pod(80), each_pod(2121)].concat();
    karma.sort();
    assert_eq!(dir.endpoints("karma-daemon"), karma);
    assert_eq!(dir.endpoints("three-numbers"), ["10.244.1.11:300", "10.244.1.12:300", "10.244.1.13:301"]);
    let v6 = (11..=13).map(|last| format!("[fd00:10:244:1::{last}]:80"));
    assert_eq!(dir.endpoints("dual"), [each_pod(80), v6.collect()].concat());
    assert!(dir.endpoints("acme-api").is_empty());
    let pods: Vec<_> =
        dir.slices("nginx")[0].endpoints.iter().map(|from| (from.pod.clone(), from.node.clone())).collect();
    let pod = |name: &str| (Some(name.into()), Some("demo".into()));
    assert_eq!(pods, [pod("pod-a"), pod("pod-b"), pod("pod-c")]);
}

#[test]
fn every_example_that_is_proxied_has_an_address_and_the_dual_one_has_two() {
    let dir = examples();
    for name in ["nginx", "web", "karma-daemon", "fb-backends", "three-numbers"] {
        let [ip] = &dir.ips(name)[..] else { panic!("{name}: {:?}", dir.ips(name)) };
        assert!(ip.starts_with("10."), "{ip}");
    }
    let [v4, v6] = &dir.ips("dual")[..] else { panic!("{:?}", dir.ips("dual")) };
    assert!(v4.starts_with("10.") && v6.starts_with("fd00:10:96::"), "{v4} {v6}");
    assert!((30_000..=32_767).contains(&dir.node_ports("dual")[0]));
}

#[test]
fn check_says_the_same_without_running() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let checked = check(&path, Config::default(), None).unwrap();
    assert_eq!((checked.problems, checked.notes), (vec![], vec![]));
    assert_eq!(checked.world, examples().world);
}
