use serde_json::json;

use super::*;

fn decoded(value: Value) -> Vec<Item> {
    objects(&Document { line: None, value })
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {}})
}

/// What came out, a word each.
fn summary(items: &[Item]) -> Vec<String> {
    let name = |id: &ObjectId| ObjectRef::from(id).to_string();
    items
        .iter()
        .map(|item| match item {
            Item::Object(id, _) => name(id),
            Item::Other(kind) => format!("other {kind}"),
            Item::Broken(id, faults) => {
                let faults: Vec<_> =
                    faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
                format!("{}: {}", id.as_ref().map_or_else(String::new, name), faults.join("; "))
            }
        })
        .collect()
}

#[test]
fn a_namespace_not_said_is_the_default_one_and_a_node_has_none() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "demo"}});
    let other = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}});
    let items = decoded(json!({"apiVersion": "v1", "kind": "List", "items": [service("web"), node, other]}));
    assert_eq!(summary(&items), ["Service default/web", "Node demo", "Pod shop/a"]);
}

#[test]
fn lists_typed_or_not_are_their_items() {
    let bare = json!({"metadata": {"name": "bare"}, "spec": {}});
    let typed = json!({"apiVersion": "v1", "kind": "ServiceList", "items": [bare, service("full")]});
    let nested = json!({"apiVersion": "v1", "kind": "List", "items": [typed]});
    assert_eq!(summary(&decoded(nested)), ["Service default/bare", "Service default/full"]);
    assert_eq!(
        summary(&decoded(json!({"apiVersion": "v1", "kind": "List"}))),
        [": items: is missing or no list"]
    );
}

#[test]
fn other_kinds_are_told_apart_by_their_group_too() {
    for (version, kind) in [("apps/v1", "Deployment"), ("serving.knative.dev/v1", "Service")] {
        let items = decoded(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "web"}}));
        assert_eq!(items, [Item::Other(format!("{version} {kind}"))]);
    }
}

#[test]
fn an_object_that_cant_be_told_says_which_field_it_lacks() {
    for (value, expected) in [
        (json!([1]), ": : is not an object with apiVersion, kind and metadata"),
        (json!({"apiVersion": "v1"}), ": kind: is missing or no text"),
        (json!({"kind": "Service"}), ": apiVersion: is missing or no text"),
        (json!({"apiVersion": "v1", "kind": "Pod"}), ": metadata.name: is missing or no text"),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 7}}),
            ": metadata.name: is missing or no text",
        ),
    ] {
        assert_eq!(summary(&decoded(value)), [expected]);
    }
}

#[test]
fn a_wrong_type_and_an_unknown_field_are_named_with_their_path() {
    let mut wrong = service("web");
    wrong["spec"] = json!({"ports": [{"port": 80}, {"port": "eighty"}]});
    assert_eq!(
        summary(&decoded(wrong)),
        ["Service default/web: spec.ports[1].port: invalid type: string \"eighty\", expected i32"]
    );
    let mut unknown = service("web");
    unknown["spec"] = json!({"ports": [{"port": 80, "nodeport": 31000}], "selectors": {}});
    assert_eq!(
        summary(&decoded(unknown)),
        ["Service default/web: spec.ports[0].nodeport: is not a field of this kind; \
          spec.selectors: is not a field of this kind"]
    );
}

#[test]
fn an_object_as_kubectl_prints_it_is_read() {
    let mut printed = service("web");
    printed["metadata"] = json!({
        "name": "web", "namespace": "default", "uid": "0f0a", "resourceVersion": "12", "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
    });
    printed["status"] = json!({"loadBalancer": {}});
    assert_eq!(summary(&decoded(printed)), ["Service default/web"]);
}
