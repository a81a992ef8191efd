use lb_common::Proto;
use serde_json::{Value, json};

use super::*;

fn slice_object(labels: Value, body: Value) -> api::EndpointSlice {
    let mut object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [],
        "metadata": {"name": "web-1", "namespace": "default", "labels": labels},
    });
    object.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn of_web() -> Value {
    json!({SERVICE_NAME: "web"})
}

#[test]
fn svc_02_a_slice_with_the_headless_label_is_not_ours_whatever_its_value() {
    for value in ["", "true"] {
        let object =
            slice_object(json!({SERVICE_NAME: "web", "service.kubernetes.io/headless": value}), json!({}));
        assert_eq!(endpoint_slice(&object), Err(Skipped::Headless), "{value:?}");
    }
}

#[test]
fn eps_00_a_slice_needs_a_name_a_service_and_an_address_family() {
    assert_eq!(endpoint_slice(&slice_object(json!({}), json!({}))), Err(Skipped::NoService));
    assert_eq!(
        endpoint_slice(&slice_object(of_web(), json!({"addressType": "FQDN"}))),
        Err(Skipped::AddressType("FQDN".to_owned()))
    );
    let mut nameless = slice_object(of_web(), json!({}));
    nameless.metadata.name = None;
    assert_eq!(endpoint_slice(&nameless), Err(Skipped::Nameless));

    let slice = endpoint_slice(&slice_object(of_web(), json!({"addressType": "IPv6"}))).unwrap().value;
    assert_eq!(slice.family, Family::V6);
    assert_eq!(slice.service_name().to_string(), "default/web");
}

#[test]
fn eps_01_ports_need_a_name_and_a_number_and_are_tcp_where_no_protocol_is_said() {
    let object = slice_object(
        of_web(),
        json!({"ports": [
            {"name": "", "port": 8080}, {"port": 1}, {"name": "all"}, {"name": "none", "port": 0},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ]}),
    );
    let translation = endpoint_slice(&object).unwrap();
    let ports: Vec<_> =
        translation.value.ports.iter().map(|port| (port.name.as_str(), port.protocol, port.port)).collect();
    assert_eq!(ports, [("", Proto::TCP, 8080), ("dns", Proto::UDP, 53)]);
    let fields: Vec<_> = translation.ignored.iter().map(|ignored| ignored.field.as_str()).collect();
    assert_eq!(fields, ["ports[1].name", "ports[2].port", "ports[3].port"]);
}

#[test]
fn eps_02_only_the_first_address_of_an_endpoint_counts() {
    let object = slice_object(
        of_web(),
        json!({"endpoints": [
            {"addresses": ["10.244.1.11", "10.244.1.12"]}, {"addresses": []}, {"addresses": ["fd00::1"]},
        ]}),
    );
    let translation = endpoint_slice(&object).unwrap();
    let addresses: Vec<_> = translation.value.endpoints.iter().map(|from| from.address.to_string()).collect();
    assert_eq!(addresses, ["10.244.1.11"]);
    assert_eq!(translation.ignored[0].field, "endpoints[2].addresses[0]");
}

#[test]
fn eps_03_conditions_not_said_are_ready_serving_and_not_terminating() {
    let object = slice_object(
        of_web(),
        json!({"endpoints": [
            {"addresses": ["10.244.1.11"]},
            {"addresses": ["10.244.1.12"], "conditions": {"ready": false, "terminating": true}},
            {"addresses": ["10.244.1.13"], "conditions": {"ready": false, "serving": false}},
        ]}),
    );
    let slice = endpoint_slice(&object).unwrap().value;
    let conditions: Vec<_> =
        slice.endpoints.iter().map(|from| (from.ready, from.serving, from.terminating)).collect();
    assert_eq!(conditions, [(true, true, false), (false, true, true), (false, false, false)]);
}

#[test]
fn eps_04_an_endpoint_carries_its_node_hints_and_pod_and_nothing_else() {
    let object = slice_object(
        of_web(),
        json!({"endpoints": [
            {
                "addresses": ["10.244.1.11"], "nodeName": "demo", "zone": "a", "hostname": "h",
                "hints": {"forZones": [{"name": "a"}], "forNodes": [{"name": "demo"}]},
                "targetRef": {"kind": "Pod", "name": "pod-a"},
            },
            {"addresses": ["10.244.1.12"], "targetRef": {"kind": "VirtualMachine", "name": "vm"}},
        ]}),
    );
    let slice = endpoint_slice(&object).unwrap().value;
    let [first, second] = &slice.endpoints[..] else { panic!("two endpoints: {slice:?}") };
    assert_eq!(first.node.as_deref(), Some("demo"));
    assert_eq!((first.zone_hints(), first.node_hints()), (&["a".to_owned()][..], &["demo".to_owned()][..]));
    assert_eq!(first.pod.as_deref(), Some("pod-a"));
    assert_eq!((second.node.as_deref(), second.pod.as_deref()), (None, None));
}

#[test]
fn eps_02_an_endpoint_that_is_the_node_itself_its_link_or_many_hosts_is_left_out_and_told() {
    let addresses = ["127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "255.255.255.255", "10.244.1.5"];
    let endpoints: Vec<_> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    let translation = endpoint_slice(&slice_object(of_web(), json!({"endpoints": endpoints}))).unwrap();
    let kept: Vec<_> =
        translation.value.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(kept, ["10.244.1.5"]);
    assert_eq!(translation.ignored.len(), 5);
    assert!(format!("{:?}", translation.ignored[1]).contains("169.254.169.254 is a link-local address"));
}
