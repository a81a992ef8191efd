//! EndpointSlices.

use std::net::IpAddr;

use lb_common::Proto;
use serde::{Deserialize, Serialize};

use super::{Family, ObjectName};

/// One of the `ports` of a slice: what a Service port finds its endpoints' port number by (SVC-05).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The first of `addresses` (EPS-02).
    pub address: IpAddr,
    /// `conditions.ready`, true where absent (EPS-03).
    pub ready: bool,
    /// `conditions.serving`, true where absent (EPS-03).
    pub serving: bool,
    /// `conditions.terminating`, false where absent (EPS-03).
    pub terminating: bool,
    /// `nodeName`
    pub node: Option<String>,
    /// `hints.forZones[].name`
    pub zone_hints: Vec<String>,
    /// `hints.forNodes[].name`
    pub node_hints: Vec<String>,
    /// `targetRef.name` where that is a Pod, for people.
    pub pod: Option<String>,
}

/// An EndpointSlice of one address family that belongs to a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
