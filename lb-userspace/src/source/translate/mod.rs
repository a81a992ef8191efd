//! From Kubernetes' objects to [`crate::model`]: pure, and the same for every source.
//!
//! Objects are taken to have passed an API server. What such an object may hold and a Service proxy still
//! can't use (an address with a typo, from before addresses were checked) is left out and reported as
//! [`Ignored`], never guessed. Fields that a proxy has no business with (SVC-12) are not read.

mod address;
mod service;
mod slice;

pub use address::{parse_address, parse_network};
pub use service::{is_of_another_proxy, service};
pub use slice::endpoint_slice;

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::{NodeObject, ObjectName};

/// Label of a Service that is another proxy's (SVC-01) and that of its slices.
pub const SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Label of the slices of a headless Service (SVC-02).
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// Label of a slice that says whose it is (EPS-00).
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label of a node that says where it is (TOPO-01).
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// Annotation of a slice: when the change that it was written for happened (EPS-15).
pub const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Taint of a node that the cluster autoscaler takes out, whatever its effect (HLZ-04).
pub const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// A field left out because of its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ignored {
    /// As in `spec.externalIPs[1]`.
    pub field: String,
    /// Why.
    pub message: String,
}

/// A value, and what of the object did not become part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation<T> {
    /// The value.
    pub value: T,
    /// To be logged.
    pub ignored: Vec<Ignored>,
}

/// Why an object is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// It has no `metadata.name` or no `metadata.namespace`.
    #[error("it has no name or no namespace")]
    Nameless,
    /// SVC-01.
    #[error("its label {SERVICE_PROXY_NAME} gives it to another proxy")]
    AnotherProxy,
    /// SVC-02.
    #[error("its label {HEADLESS} makes it a headless Service's")]
    Headless,
    /// EPS-00.
    #[error("it has no label {SERVICE_NAME}, so it is no Service's")]
    NoService,
    /// EPS-00.
    #[error("its addressType {0:?} is not IPv4 or IPv6")]
    AddressType(String),
}

impl Skipped {
    /// Whether whoever made the object may have meant otherwise.
    pub fn is_surprising(&self) -> bool {
        !matches!(self, Self::AnotherProxy | Self::Headless)
    }
}

/// What a Node says.
pub fn node(node: &Node) -> NodeObject {
    NodeObject {
        zone: zone(node),
        addresses: node_addresses(node),
        pod_cidrs: pod_cidrs(node),
        is_leaving: is_leaving(node),
    }
}

/// The zone a node is in (TOPO-01).
fn zone(node: &Node) -> Option<String> {
    label(&node.metadata, ZONE).filter(|zone| !zone.is_empty()).map(str::to_owned)
}

/// Whether a node is about to go away: it is being deleted, or an autoscaler will take it out (HLZ-04).
fn is_leaving(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    node.metadata.deletion_timestamp.is_some() || taints.iter().any(|taint| taint.key == TO_BE_DELETED)
}

/// Where pods of a node have their addresses from (CFG-DL): `spec.podCIDRs`, or `spec.podCIDR` where an object
/// older than that has it alone.
fn pod_cidrs(node: &Node) -> Vec<IpNet> {
    let Some(spec) = &node.spec else { return vec![] };
    let several = spec.pod_cidrs.as_deref().filter(|texts| !texts.is_empty());
    let texts = several.unwrap_or(spec.pod_cidr.as_slice());
    texts.iter().filter_map(|text| parse_network(text)).collect()
}

/// `status.addresses`: the internal ones, then the external ones (NOD-03).
fn node_addresses(node: &Node) -> Vec<IpAddr> {
    let listed = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let of_type = |kind: &'static str| {
        let listed = listed.clone().filter(move |address| address.type_ == kind);
        listed.filter_map(|address| parse_address(&address.address))
    };
    of_type("InternalIP").chain(of_type("ExternalIP")).collect()
}

/// When what a slice says came to be, where whoever wrote it says so (EPS-15).
pub fn trigger_time(slice: &EndpointSlice) -> Option<Timestamp> {
    slice.metadata.annotations.as_ref()?.get(TRIGGER_TIME)?.parse().ok()
}

/// The name of a namespaced object.
fn name(meta: &ObjectMeta) -> Result<ObjectName, Skipped> {
    match (&meta.namespace, &meta.name) {
        (Some(namespace), Some(name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(ObjectName::new(namespace, name))
        }
        _ => Err(Skipped::Nameless),
    }
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn has_label(meta: &ObjectMeta, key: &str) -> bool {
    label(meta, key).is_some()
}

/// Collects [`Ignored`] on the way.
#[derive(Default)]
struct Notes(Vec<Ignored>);

impl Notes {
    fn ignore(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Ignored { field: field.into(), message: message.into() });
    }

    /// The parsed items of a list of texts; those that don't parse are noted.
    fn parse_each<T>(
        &mut self,
        field: &str,
        texts: &[String],
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match parse(text) {
                Some(value) => values.push(value),
                None => self.ignore(format!("{field}[{index}]"), format!("{text:?} is not {what}")),
            }
        }
        values
    }
}

#[cfg(test)]
mod tests;
