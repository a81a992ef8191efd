//! Objects as an API server sends them, each decoded by itself: one that can't be read spoils no list.
//!
//! What nobody here reads (managed fields, most annotations, the images of a Node) is never kept: it is skipped
//! while the text is parsed.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::model::{ObjectName, Uid};
use crate::source::translate::TRIGGER_TIME;
use crate::text::cut;

/// Bytes of a message, or of a field's path, that are kept: both repeat what an object says.
pub(super) const MOST_OF_A_MESSAGE: usize = 1024;

/// A kind of object that is followed.
pub(super) trait Kind:
    k8s_openapi::Resource + DeserializeOwned + Clone + fmt::Debug + Send + 'static
{
    /// The fields that are read, besides `metadata`.
    const FIELDS: Fields;
    /// Every cluster has one: the API server makes `default/kubernetes` again wherever it is missing.
    const IS_NEVER_EMPTY: bool;
}

impl Kind for Service {
    const FIELDS: Fields = &[("spec", Keep::All), ("status", Keep::All)];
    const IS_NEVER_EMPTY: bool = true;
}

impl Kind for EndpointSlice {
    const FIELDS: Fields = &[("addressType", Keep::All), ("endpoints", Keep::All), ("ports", Keep::All)];
    const IS_NEVER_EMPTY: bool = true;
}

impl Kind for Node {
    const FIELDS: Fields = &[("spec", Keep::All), ("status", Keep::Only(&[("addresses", Keep::All)]))];
    const IS_NEVER_EMPTY: bool = false;
}

impl Kind for ServiceCIDR {
    const FIELDS: Fields = &[("spec", Keep::All)];
    const IS_NEVER_EMPTY: bool = false;
}

/// How much of a value is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep {
    /// All of it.
    All,
    /// Of a map these fields. What is no map is kept, for the error to name it.
    Only(Fields),
}

/// Fields of a map, and how much of each is read.
pub(super) type Fields = &'static [(&'static str, Keep)];

/// What is read of `metadata`.
const METADATA: Keep = Keep::Only(&[
    ("name", Keep::All),
    ("namespace", Keep::All),
    ("uid", Keep::All),
    ("resourceVersion", Keep::All),
    ("labels", Keep::All),
    ("annotations", Keep::Only(&[(TRIGGER_TIME, Keep::All)])),
    ("creationTimestamp", Keep::All),
    ("deletionTimestamp", Keep::All),
]);

/// Why an object can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecodable {
    /// `metadata.uid`
    pub(super) uid: Option<String>,
    /// As in `spec.ports[0].port`; `None` where it is the object as a whole.
    pub(super) field: Option<String>,
    /// What is wrong.
    pub(super) message: String,
}

/// An object that was sent, whether it can be read or not.
#[derive(Debug, Clone)]
pub(super) struct Seen<T> {
    /// Only the name, the namespace and the version.
    metadata: ObjectMeta,
    pub(super) object: Result<T, Undecodable>,
}

impl<T> Seen<T> {
    /// What it is known by, the namespace empty where its kind has none; `None` where it doesn't say.
    pub(super) fn name(&self) -> Option<ObjectName> {
        let name = self.metadata.name.as_deref().filter(|name| !name.is_empty())?;
        Some(ObjectName::new(self.metadata.namespace.as_deref().unwrap_or_default(), name))
    }

    /// `metadata.resourceVersion`, where it has one.
    pub(super) fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref().filter(|version| !version.is_empty())
    }
}

impl<T: Kind> Seen<T> {
    fn new(mut fields: Map<String, Value>) -> Self {
        let text = |name: &str| {
            let value = fields.get("metadata").and_then(|metadata| metadata.get(name));
            value.and_then(Value::as_str).map(str::to_owned)
        };
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        let uid = text("uid").filter(|uid| uid.parse::<Uid>().is_ok());
        fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        let object = serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
            let path = error.path().to_string();
            let field = Some(path).filter(|path| path != ".").map(|path| cut(path, MOST_OF_A_MESSAGE));
            Undecodable { uid, field, message: cut(error.inner().to_string(), MOST_OF_A_MESSAGE) }
        });
        Self { metadata, object }
    }
}

impl<T: Kind> kube::Resource for Seen<T> {
    type DynamicType = ();
    type Scope = T::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        T::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        T::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        T::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::URL_PATH_SEGMENT.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de, T: Kind> Deserialize<'de> for Seen<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Only { fields: T::FIELDS, metadata: Some(METADATA) })? {
            Value::Object(fields) if !fields.is_empty() => Ok(Self::new(fields)),
            _ => Err(D::Error::custom(format_args!("not a {}: it has none of its fields", T::KIND))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Self::All => Value::deserialize(deserializer),
            Self::Only(fields) => deserializer.deserialize_any(Only { fields, metadata: None }),
        }
    }
}

/// Takes fields of a map; an object has its `metadata` besides those of its kind.
struct Only {
    fields: Fields,
    metadata: Option<Keep>,
}

impl Only {
    fn keep(&self, name: &str) -> Option<Keep> {
        let field = self.fields.iter().find(|(field, _)| *field == name).map(|(_, keep)| *keep);
        field.or(self.metadata.filter(|_| name == "metadata"))
    }
}

impl<'de> Visitor<'de> for Only {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match self.keep(&name) {
                Some(keep) => _ = fields.insert(name, map.next_value_seed(keep)?),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Value::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(sequence))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(value: &Value) -> Seen<Service> {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn an_object_that_is_right_is_read_without_what_nobody_reads() {
        let service = seen(&json!({
            "metadata": {
                "name": "web", "namespace": "default", "resourceVersion": "7", "labels": {"a": "b"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "long"},
            },
            "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]},
        }));
        assert_eq!(service.name(), Some(ObjectName::new("default", "web")));
        let object = service.object.unwrap();
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(object.metadata.annotations, Some([].into()));
        assert_eq!(object.metadata.labels.unwrap()["a"], "b");
        assert_eq!(object.spec.unwrap().cluster_ip.as_deref(), Some("10.96.0.10"));
    }

    #[test]
    fn of_a_node_and_of_a_slice_that_is_read_which_somebody_reads() {
        let node: Seen<Node> = serde_json::from_value(json!({
            "metadata": {"name": "n"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"}], "images": [{"names": []}]},
        }))
        .unwrap();
        let status = node.object.unwrap().status.unwrap();
        assert_eq!((status.addresses.map(|all| all.len()), status.images), (Some(1), None));
        let slice: Seen<EndpointSlice> = serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "d", "annotations": {TRIGGER_TIME: "now", "a": "b"}},
            "addressType": "IPv4", "endpoints": [],
        }))
        .unwrap();
        let annotations = slice.object.unwrap().metadata.annotations.unwrap();
        assert_eq!(annotations, [(TRIGGER_TIME.to_owned(), "now".to_owned())].into());
    }

    #[test]
    fn an_object_that_is_wrong_keeps_its_name_and_says_its_field() {
        let service = seen(&json!({
            "metadata": {"name": "web", "namespace": "default", "resourceVersion": "7"},
            "spec": {"ports": [{"port": 80}, {"port": "https"}]},
        }));
        assert_eq!(service.name(), Some(ObjectName::new("default", "web")));
        let undecodable = service.object.unwrap_err();
        assert_eq!(undecodable.field.as_deref(), Some("spec.ports[1].port"));
        assert!(undecodable.message.contains("https"), "{}", undecodable.message);
    }

    #[test]
    fn of_what_an_object_says_that_is_wrong_little_is_kept() {
        let long = "x".repeat(1 << 20);
        let labels = json!({ &long: 7 });
        for spec in [json!({"ports": &long}), json!({"ports": [{"protocol": {&long: 7}}]})] {
            let metadata = json!({"name": "web", "namespace": "default", "uid": &long, "labels": labels});
            let undecodable = seen(&json!({"metadata": metadata, "spec": spec})).object.unwrap_err();
            let texts = [undecodable.uid, undecodable.field, Some(undecodable.message)];
            let kept: usize = texts.iter().flatten().map(String::capacity).sum();
            assert!(kept < 4 * MOST_OF_A_MESSAGE, "{kept} bytes");
        }
    }

    #[test]
    fn one_wrong_object_spoils_no_list() {
        let list: Vec<Seen<Service>> = serde_json::from_value(json!([
            {"metadata": {"name": "a", "namespace": "default"}, "spec": "garbage"},
            {"metadata": {"name": "b", "namespace": "default", "labels": 7}, "spec": {}},
            {"metadata": {"name": "c", "namespace": "default"}, "spec": {}},
            {"metadata": ["d", 7, null], "spec": {}},
        ]))
        .unwrap();
        let readable: Vec<bool> = list.iter().map(|seen| seen.object.is_ok()).collect();
        assert_eq!(readable, [false, false, true, false]);
    }
}
