//! EndpointSlices.

use std::net::IpAddr;
use std::sync::Arc;

use lb_common::Proto;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Family, ObjectName};

/// One of the `ports` of a slice: what a Service port finds its endpoints' port number by (SVC-05).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlicePort {
    /// The name of the Service port; empty where that has none.
    pub name: String,
    /// The protocol of the Service port.
    #[serde(with = "super::protocol")]
    pub protocol: Proto,
    /// What the app listens on.
    pub port: u16,
}

/// One of the `endpoints` of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The first of `addresses` (EPS-02).
    pub address: IpAddr,
    /// `conditions.ready`, true where absent (EPS-03).
    pub ready: bool,
    /// `conditions.serving`, true where absent (EPS-03).
    pub serving: bool,
    /// `conditions.terminating`, false where absent (EPS-03).
    pub terminating: bool,
    /// `nodeName`; one text may stand for all endpoints of a node.
    #[serde(with = "shared_text")]
    pub node: Option<Arc<str>>,
    /// `hints`; `None` where there are none. Likewise.
    #[serde(with = "shared_hints")]
    pub hints: Option<Arc<Hints>>,
    /// `targetRef.name` where that is a Pod, for people.
    pub pod: Option<Box<str>>,
}

/// `hints` of an endpoint: whom it is meant for (TOPO-01).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Hints {
    /// `forZones[].name`
    pub zones: Vec<String>,
    /// `forNodes[].name`
    pub nodes: Vec<String>,
}

impl Hints {
    /// As an endpoint has them: `None` where there are none.
    pub fn shared(self) -> Option<Arc<Self>> {
        (!self.zones.is_empty() || !self.nodes.is_empty()).then(|| Arc::new(self))
    }
}

impl Endpoint {
    /// `hints.forZones[].name`
    pub fn zone_hints(&self) -> &[String] {
        self.hints.as_deref().map(|hints| hints.zones.as_slice()).unwrap_or_default()
    }

    /// `hints.forNodes[].name`
    pub fn node_hints(&self) -> &[String] {
        self.hints.as_deref().map(|hints| hints.nodes.as_slice()).unwrap_or_default()
    }
}

/// An EndpointSlice of one address family that belongs to a Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EndpointSlice {
    /// Whose it is.
    pub name: ObjectName,
    /// The label `kubernetes.io/service-name`: a Service of the same namespace.
    pub service: String,
    /// `addressType`
    pub family: Family,
    /// `ports` that have a name and a number (EPS-01).
    pub ports: Vec<SlicePort>,
    /// `endpoints` that have an address.
    pub endpoints: Vec<Endpoint>,
}

impl EndpointSlice {
    /// The Service whose endpoints these are.
    pub fn service_name(&self) -> ObjectName {
        ObjectName::new(self.name.namespace.clone(), self.service.clone())
    }
}

/// A shared text in JSON is a text.
mod shared_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        text: &Option<Arc<str>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        text.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<str>>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Into::into))
    }
}

/// Shared hints in JSON are hints.
mod shared_hints {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        hints: &Option<Arc<Hints>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        hints.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<Hints>>, D::Error> {
        Ok(Option::<Hints>::deserialize(deserializer)?.map(Arc::new))
    }
}
