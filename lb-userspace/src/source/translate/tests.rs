use serde_json::json;

use super::*;

#[test]
fn topo_01_the_zone_of_a_node_is_its_label() {
    let node = |labels| {
        serde_json::from_value::<Node>(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "demo", "labels": labels},
        }))
        .unwrap()
    };
    assert_eq!(zone(&node(json!({ZONE: "eu-1a"}))).as_deref(), Some("eu-1a"));
    assert_eq!(zone(&node(json!({ZONE: ""}))), None);
    assert_eq!(zone(&node(json!({}))), None);
}

#[test]
fn cfg_dl_pods_of_a_node_are_within_all_its_pod_cidrs() {
    let cidrs = |spec| {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "demo"}, "spec": spec});
        let cidrs = pod_cidrs(&serde_json::from_value::<Node>(node).unwrap());
        cidrs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let both = ["10.244.1.0/24", "10.245.1.0/24", "fd00:10:244:1::/64"];
    assert_eq!(cidrs(json!({"podCIDR": both[0], "podCIDRs": both})), both);
    assert_eq!(cidrs(json!({"podCIDR": both[0]})), both[..1]);
    assert!(cidrs(json!({"podCIDRs": []})).is_empty());
    assert!(cidrs(json!({})).is_empty());
}
