//! Documents to Kubernetes' objects, with the API server's defaults for what a translation reads.

use std::fmt;

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::parse::Document;
use crate::model::ObjectName;
use crate::source::ObjectRef;

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// v1
    Service,
    /// discovery.k8s.io/v1
    EndpointSlice,
    /// v1
    Pod,
    /// v1
    Node,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Service, Self::EndpointSlice, Self::Pod, Self::Node];

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Service => (Service::API_VERSION, Service::KIND),
            Self::EndpointSlice => (EndpointSlice::API_VERSION, EndpointSlice::KIND),
            Self::Pod => (Pod::API_VERSION, Pod::KIND),
            Self::Node => (Node::API_VERSION, Node::KIND),
        }
    }
}

/// What an object is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// `kind`
    pub kind: Kind,
    /// The namespace is empty for a Node.
    pub name: ObjectName,
}

impl From<&ObjectId> for ObjectRef {
    fn from(id: &ObjectId) -> Self {
        Self {
            kind: id.kind.names().1.to_owned(),
            namespace: id.name.namespace.clone(),
            name: id.name.name.clone(),
        }
    }
}

/// An object as the API server would hold it, as far as a translation reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// A Service.
    Service(Box<Service>),
    /// An EndpointSlice.
    EndpointSlice(Box<EndpointSlice>),
    /// A Pod.
    Pod(Box<Pod>),
    /// A Node.
    Node(Box<Node>),
}

/// Something wrong in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// As in `spec.ports[0].nodePort`; empty where it is the whole object.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// What one object of a document turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// An object of one of the kinds that are read.
    Object(ObjectId, Manifest),
    /// An object that is not as its kind is, or whose kind or name can't be told.
    Broken(Option<ObjectId>, Vec<Fault>),
    /// An object of another kind: `apiVersion` and `kind`.
    Other(String),
}

/// The objects of a document: one, or all items of a list.
pub(super) fn objects(document: &Document) -> Vec<Item> {
    let mut items = vec![];
    collect(&document.value, None, &mut items);
    items
}

/// `inherited` are `apiVersion` and `kind` of the items of a typed list, which needn't say it again.
fn collect(value: &Value, inherited: Option<(&str, &str)>, items: &mut Vec<Item>) {
    if !value.is_object() {
        return items.push(broken(None, "", "is not an object with apiVersion, kind and metadata"));
    }
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let Some(kind) = text("kind").or(inherited.map(|(_, kind)| kind)) else {
        return items.push(broken(None, "kind", "is missing or no text"));
    };
    let Some(version) = text("apiVersion").or(inherited.map(|(version, _)| version)) else {
        return items.push(broken(None, "apiVersion", "is missing or no text"));
    };
    if let Some(item_kind) = kind.strip_suffix("List") {
        let Some(list) = value.get("items").and_then(Value::as_array) else {
            return items.push(broken(None, "items", "is missing or no list"));
        };
        let inherited = (!item_kind.is_empty()).then_some((version, item_kind));
        return list.iter().for_each(|item| collect(item, inherited, items));
    }
    match Kind::ALL.into_iter().find(|known| known.names() == (version, kind)) {
        Some(kind) => items.push(object(kind, value)),
        None => items.push(Item::Other(format!("{version} {kind}"))),
    }
}

fn broken(id: Option<ObjectId>, field: &str, message: &str) -> Item {
    Item::Broken(id, vec![Fault::new(field, message)])
}

fn object(kind: Kind, value: &Value) -> Item {
    let metadata = |field| value.get("metadata").and_then(|metadata| metadata.get(field));
    let Some(name) = metadata("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return broken(None, "metadata.name", "is missing or no text");
    };
    let namespace = match (kind, metadata("namespace")) {
        (Kind::Node, _) => "",
        (_, None | Some(Value::Null)) => "default",
        (_, Some(Value::String(namespace))) if namespace.is_empty() => "default",
        (_, Some(Value::String(namespace))) => namespace,
        _ => return broken(None, "metadata.namespace", "is no text"),
    };
    let id = ObjectId { kind, name: ObjectName::new(namespace, name) };
    let manifest = match kind {
        Kind::Service => decode(value).map(Manifest::Service),
        Kind::EndpointSlice => decode(value).map(Manifest::EndpointSlice),
        Kind::Pod => decode(value).map(Manifest::Pod),
        Kind::Node => decode(value).map(Manifest::Node),
    };
    match manifest {
        Ok(mut manifest) => {
            set_defaults(&mut manifest, namespace);
            Item::Object(id, manifest)
        }
        Err(faults) => Item::Broken(Some(id), faults),
    }
}

/// Type errors and unknown fields are the same to whoever mistyped one.
fn decode<T: DeserializeOwned>(value: &Value) -> Result<Box<T>, Vec<Fault>> {
    let mut faults = vec![];
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let decoded = serde_ignored::deserialize(tracked, |path| {
        // `kind` and `apiVersion` of items of a typed list were read by whoever came here.
        faults.push(Fault::new(Field(&path).to_string(), "is not a field of this kind"));
    });
    match decoded {
        Ok(object) if faults.is_empty() => Ok(Box::new(object)),
        Ok(_) => Err(faults),
        Err(error) => Err(vec![Fault::new(track.path().to_string(), error.to_string())]),
    }
}

/// A path of `serde_ignored` as people write it: `spec.ports[0].nodeport`.
struct Field<'a>(&'a serde_ignored::Path<'a>);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use serde_ignored::Path;
        match self.0 {
            Path::Root => Ok(()),
            Path::Seq { parent, index } => write!(f, "{}[{index}]", Self(parent)),
            Path::Map { parent, key } => {
                let parent = Self(parent).to_string();
                write!(f, "{parent}{}{key}", if parent.is_empty() { "" } else { "." })
            }
            Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
                Self(parent).fmt(f)
            }
        }
    }
}

fn set_defaults(manifest: &mut Manifest, namespace: &str) {
    let set_namespace = |meta: &mut ObjectMeta| meta.namespace = Some(namespace.to_owned());
    match manifest {
        Manifest::Service(service) => set_namespace(&mut service.metadata),
        Manifest::Pod(pod) => set_namespace(&mut pod.metadata),
        Manifest::Node(_) => {}
        Manifest::EndpointSlice(slice) => {
            set_namespace(&mut slice.metadata);
            for port in slice.ports.iter_mut().flatten() {
                // The API's default; a slice without it is for a Service port that has no name (EPS-01).
                port.name.get_or_insert_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        let other =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}});
        let items =
            decoded(json!({"apiVersion": "v1", "kind": "List", "items": [service("web"), node, other]}));
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
}
