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
fn hlz_04_a_node_leaves_where_it_is_deleted_or_an_autoscaler_takes_it_out() {
    let leaves = |metadata, taints| {
        let node =
            json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints}});
        is_leaving(&serde_json::from_value::<Node>(node).unwrap())
    };
    let here = json!({"name": "demo"});
    assert!(leaves(here.clone(), json!([{"key": TO_BE_DELETED, "effect": "PreferNoSchedule"}])));
    assert!(leaves(json!({"name": "demo", "deletionTimestamp": "2026-01-02T03:04:05Z"}), json!([])));
    assert!(!leaves(here, json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}])));
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
