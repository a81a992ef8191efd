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
