//! What an API server would refuse, as far as Shunt reads it.
//!
//! The rules are those of Kubernetes 1.36 for an object that is made anew. What depends on other objects or
//! on options (numbers taken or out of range) is [`super::allocate`]'s.

mod names;
mod pod;
mod service;
mod slice;

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use self::names::Rule;
use super::decode::{Fault, Manifest};
use crate::model::why_not_dialled;
use crate::source::translate::parse_address;

/// Everything that is wrong with an object by itself.
pub(super) fn faults(manifest: &Manifest) -> Vec<Fault> {
    let mut faults = Faults::default();
    match manifest {
        Manifest::Service(object) => service::check(object, &mut faults),
        Manifest::EndpointSlice(object) => slice::check(object, &mut faults),
        Manifest::Pod(object) => pod::check(object, &mut faults),
        Manifest::Node(object) => faults.check_metadata(&object.metadata, Rule::Subdomain),
    }
    faults.0
}

/// Collects faults on the way.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault::new(field, message));
    }

    fn check_metadata(&mut self, meta: &ObjectMeta, rule: Rule) {
        let names = [
            ("metadata.name", meta.name.as_deref(), rule),
            ("metadata.namespace", meta.namespace.as_deref(), Rule::Label),
        ];
        for (field, name, rule) in names {
            if let Some(name) = name.filter(|name| !rule.allows(name)) {
                self.add(field, format!("{name:?} is not {}", rule.description()));
            }
        }
        self.check_labels("metadata.labels", meta.labels.as_ref());
    }

    fn check_labels(&mut self, field: &str, labels: Option<&BTreeMap<String, String>>) {
        for (key, value) in labels.into_iter().flatten() {
            if !names::is_label_key(key) {
                self.add(field, format!("{key:?} is not a label's key"));
            }
            if !names::is_label_value(value) {
                self.add(format!("{field}[{key}]"), format!("{value:?} is not a label's value"));
            }
        }
    }

    /// A port's number, 1 to 65535.
    fn check_port(&mut self, field: &str, number: i32) {
        if !(1..=65535).contains(&number) {
            self.add(field, format!("{number} is not a port: 1 to 65535"));
        }
    }

    fn check_one_of(&mut self, field: &str, value: Option<&str>, allowed: &[&str]) {
        if let Some(value) = value.filter(|value| !allowed.contains(value)) {
            self.add(field, format!("{value:?} is not one of {}", allowed.join(", ")));
        }
    }

    fn check_protocol(&mut self, field: &str, protocol: Option<&str>) {
        self.check_one_of(field, protocol, &["TCP", "UDP", "SCTP"]);
    }

    /// An address that a packet from elsewhere can have as its destination.
    fn check_reachable(&mut self, field: &str, text: &str) -> Option<IpAddr> {
        let Some(ip) = parse_address(text) else {
            self.add(field, format!("{text:?} is not an address"));
            return None;
        };
        if let Some(what) = why_not_dialled(ip) {
            self.add(field, format!("{text} is {what}"));
            return None;
        }
        Some(ip)
    }
}

#[cfg(test)]
mod tests;
