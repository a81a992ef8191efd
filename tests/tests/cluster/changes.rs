//! What changes in a cluster, and what of it is told.

use lb_tests::apiserver::{ApiServer, Features};
use lb_tests::slice;
use serde_json::{Value, json};

use crate::followed::{Followed, numbered, options, put, remove, server_with};

fn labelled(mut object: Value, label: &str) -> Value {
    object["metadata"]["labels"][label] = json!("");
    object
}

#[test]
fn services_and_endpoints_come_change_and_go() {
    let server = server_with(2);
    let mut followed = Followed::start(&[&server], options());
    put(&server, [3]);
    followed.until("the third", |followed| followed.endpoints("web-003") == ["10.1.0.3"]);
    server.put(&[&slice("web-003", "a").port("", 8080).endpoint([10, 1, 0, 33], "node-2")]).unwrap();
    followed.until("it moved", |followed| followed.endpoints("web-003") == ["10.1.0.33"]);
    remove(&server, 1);
    followed.until("the first is gone", |followed| followed.names() == ["web-002", "web-003"]);
    followed.until("its endpoints too", |followed| followed.endpoints("web-001").is_empty());
}

#[test]
fn svc_01_a_service_that_becomes_another_proxys_is_gone_and_may_come_back() {
    let server = server_with(2);
    let mut followed = Followed::start(&[&server], options());
    let (service, _) = numbered(1);
    let object = lb_tests::manifest::Manifest::to_value(&service);
    server.put(&[&labelled(object.clone(), "service.kubernetes.io/service-proxy-name")]).unwrap();
    followed.until("it is gone", |followed| followed.names() == ["web-002"]);
    server.put(&[&object]).unwrap();
    followed.until("it is back", |followed| followed.names() == ["web-001", "web-002"]);
}

#[test]
fn svc_02_a_slice_that_becomes_a_headless_services_is_gone() {
    let server = server_with(1);
    let mut followed = Followed::start(&[&server], options());
    let (_, slice) = numbered(1);
    server.put(&[&slice.label("service.kubernetes.io/headless", "")]).unwrap();
    followed.until("it has no endpoint", |followed| followed.endpoints("web-001").is_empty());
    assert_eq!(followed.names(), ["web-001"]);
}

#[test]
fn topo_06_the_zone_is_that_of_this_node_as_it_is_now() {
    fn zone(followed: &Followed) -> Option<&str> {
        followed.world.node()?.zone.as_deref()
    }
    let node = |name: &str, zone: &str| {
        let labels = json!({ "topology.kubernetes.io/zone": zone });
        json!({ "kind": "Node", "metadata": { "name": name, "labels": labels } })
    };
    let server = server_with(1);
    server.put(&[&node("node-1", "east"), &node("node-2", "west")]).unwrap();
    let mut followed = Followed::start(&[&server], options());
    assert_eq!(zone(&followed), Some("east"), "the first picture has it");
    server.put(&[&node("node-2", "north"), &node("node-1", "south")]).unwrap();
    followed.until("it moved", |followed| zone(followed) == Some("south"));
    server.remove("Node", "", "node-1").unwrap();
    put(&server, [2]);
    followed.until("later", |followed| followed.names().len() == 2);
    assert_eq!(zone(&followed), Some("south"), "it is where it was");
}

#[test]
fn nod_03_the_addresses_of_this_node_are_told_the_internal_ones_first() {
    let typed = |kind: &str, address: &str| json!({ "type": kind, "address": address });
    let node = |addresses: &[Value]| {
        let status = json!({ "addresses": addresses, "images": [{ "names": ["app"] }] });
        json!({ "kind": "Node", "metadata": { "name": "node-1" }, "status": status })
    };
    let told = |followed: &Followed| {
        let addresses = followed.world.node().map(|node| node.addresses.clone()).unwrap_or_default();
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let server = server_with(1);
    let (name, external) = (typed("Hostname", "node-1"), typed("ExternalIP", "203.0.113.2"));
    server.put(&[&node(&[name, external, typed("InternalIP", "192.168.0.2")])]).unwrap();
    let mut followed = Followed::start(&[&server], options());
    assert_eq!(told(&followed), ["192.168.0.2", "203.0.113.2"]);
    server.put(&[&node(&[typed("InternalIP", "fd00::2")])]).unwrap();
    followed.until("it has another", |followed| told(followed) == ["fd00::2"]);
}

#[test]
fn cip_05_service_cidrs_count_as_long_as_one_object_names_them() {
    let cidr = |name: &str, cidrs: &[&str]| json!({ "kind": "ServiceCIDR", "metadata": { "name": name }, "spec": { "cidrs": cidrs } });
    let networks = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
    let server = server_with(1);
    server.put(&[&cidr("kubernetes", &["10.96.0.0/16", "fd00:10:96::/112"])]).unwrap();
    let mut followed = Followed::start(&[&server], options());
    let told = networks(&["10.96.0.0/16", "fd00:10:96::/112"]);
    followed.until("the networks", |followed| followed.service_cidrs == told);
    server.put(&[&cidr("more", &["10.96.0.0/16", "10.97.0.0/16"])]).unwrap();
    let told = networks(&["10.96.0.0/16", "10.97.0.0/16", "fd00:10:96::/112"]);
    followed.until("one more", |followed| followed.service_cidrs == told);
    server.remove("ServiceCIDR", "", "more").unwrap();
    let told = networks(&["10.96.0.0/16", "fd00:10:96::/112"]);
    followed.until("one less", |followed| followed.service_cidrs == told);
}

#[test]
fn a_server_that_has_no_service_cidrs_is_none_the_worse() {
    let server = ApiServer::start().unwrap();
    server.set_features(Features { service_cidrs: false, ..Features::default() });
    put(&server, [1]);
    let mut followed = Followed::start(&[&server], options());
    assert_eq!(followed.names(), ["web-001"]);
    followed.until("there are none", |followed| followed.service_cidrs == Some(vec![]));
    assert_eq!(followed.problems, []);
}

#[test]
fn an_object_that_cannot_be_read_is_named_with_its_field_and_stays_as_it_was() {
    let server = server_with(2);
    let mut followed = Followed::start(&[&server], options());
    let (service, slice) = numbered(1);
    let mut object = lb_tests::manifest::Manifest::to_value(&service);
    let right = object.clone();
    object["spec"]["ports"][0]["port"] = json!("https");
    server.put(&[&object]).unwrap();
    followed.until("it is a problem", |followed| !followed.problems.is_empty());
    let problem = followed.problems[0].to_string();
    for word in ["Service default/web-001", "spec.ports[0].port", "https"] {
        assert!(problem.contains(word), "{word} is not in: {problem}");
    }
    let mut endpoints = lb_tests::manifest::Manifest::to_value(&slice);
    endpoints["endpoints"] = json!({ "addresses": [] });
    server.put(&[&endpoints]).unwrap();
    followed.until("so is its slice", |followed| followed.problems.len() == 2);

    // Listed anew, it still is what it was.
    server.leave().unwrap();
    put(&server, [3]);
    server.compact();
    server.come_back().unwrap();
    followed.until("the third", |followed| {
        followed.endpoints("web-003") == ["10.1.0.3"] && followed.names() == ["web-001", "web-002", "web-003"]
    });
    assert_eq!(followed.endpoints("web-001"), ["10.1.0.1"]);
    assert!(followed.gone.is_empty(), "{:?}", followed.gone);

    server.put(&[&right, &slice]).unwrap();
    followed.until("it is right again", |followed| followed.problems.is_empty());
}
