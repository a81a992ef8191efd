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

/// So many fields that an object's kind doesn't have are told: it is refused by one.
const MOST_FAULTS: usize = 100;

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

/// Gives `take` the objects of a document: one, or all items of a list, one after the other.
pub(super) fn each_object(document: &Document, take: &mut dyn FnMut(Item)) {
    each(&document.value, None, take);
}

#[cfg(test)]
pub(super) fn objects(document: &Document) -> Vec<Item> {
    let mut items = vec![];
    each_object(document, &mut |item| items.push(item));
    items
}

/// `inherited` are `apiVersion` and `kind` of the items of a typed list, which needn't say it again.
fn each(value: &Value, inherited: Option<(&str, &str)>, take: &mut dyn FnMut(Item)) {
    if !value.is_object() {
        return take(broken(None, "", "is not an object with apiVersion, kind and metadata"));
    }
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let Some(kind) = text("kind").or(inherited.map(|(_, kind)| kind)) else {
        return take(broken(None, "kind", "is missing or no text"));
    };
    let Some(version) = text("apiVersion").or(inherited.map(|(version, _)| version)) else {
        return take(broken(None, "apiVersion", "is missing or no text"));
    };
    if let Some(item_kind) = kind.strip_suffix("List") {
        let Some(list) = value.get("items").and_then(Value::as_array) else {
            return take(broken(None, "items", "is missing or no list"));
        };
        let inherited = (!item_kind.is_empty()).then_some((version, item_kind));
        return list.iter().for_each(|item| each(item, inherited, take));
    }
    match Kind::ALL.into_iter().find(|known| known.names() == (version, kind)) {
        Some(kind) => take(object(kind, value)),
        None => take(Item::Other(format!("{version} {kind}"))),
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
        if faults.len() < MOST_FAULTS {
            faults.push(Fault::new(Field(&path).to_string(), "is not a field of this kind"));
        }
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
mod tests;
