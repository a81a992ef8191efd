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
