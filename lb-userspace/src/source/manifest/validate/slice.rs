//! EndpointSlices (`pkg/apis/discovery/validation`).

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::names::{Rule, is_label, is_subdomain};
use super::{Faults, parse_address};
use crate::model::Family;

/// The API's limits.
const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;

pub(super) fn check(object: &EndpointSlice, faults: &mut Faults) {
    faults.check_metadata(&object.metadata, Rule::Subdomain);
    faults.check_one_of("addressType", Some(&object.address_type), &["IPv4", "IPv6", "FQDN"]);
    let mut names = BTreeSet::new();
    for (index, port) in object.ports.iter().flatten().enumerate() {
        let field = |name: &str| format!("ports[{index}].{name}");
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() && !is_label(name) {
            faults.add(field("name"), format!("{name:?} is not {}", Rule::Label.description()));
        }
        if !names.insert(name) {
            faults.add(field("name"), format!("{name:?} is another port's name too"));
        }
        if let Some(number) = port.port {
            faults.check_port(&field("port"), number);
        }
        faults.check_protocol(&field("protocol"), port.protocol.as_deref());
    }
    let endpoints = object.endpoints.as_deref().unwrap_or_default();
    if endpoints.len() > MAX_ENDPOINTS {
        faults.add("endpoints", format!("has {} items, more than {MAX_ENDPOINTS}", endpoints.len()));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        check_endpoint(endpoint, index, &object.address_type, faults);
    }
}

fn check_endpoint(endpoint: &Endpoint, index: usize, address_type: &str, faults: &mut Faults) {
    let count = endpoint.addresses.len();
    if !(1..=MAX_ADDRESSES).contains(&count) {
        faults.add(
            format!("endpoints[{index}].addresses"),
            format!("has {count} items, not 1 to {MAX_ADDRESSES}"),
        );
    }
    for (place, text) in endpoint.addresses.iter().enumerate() {
        let field = format!("endpoints[{index}].addresses[{place}]");
        let family = parse_address(text).map(Family::of);
        if address_type == "FQDN" {
            if !is_subdomain(text) {
                faults.add(field, format!("{text:?} is not a DNS name"));
            }
        } else if family.is_some_and(|family| family.to_string() == address_type) {
            faults.check_reachable(&field, text);
        } else {
            faults.add(field, format!("{text:?} is not an {address_type} address"));
        }
    }
    if let Some(node) = endpoint.node_name.as_deref().filter(|node| !is_subdomain(node)) {
        faults.add(
            format!("endpoints[{index}].nodeName"),
            format!("{node:?} is not {}", Rule::Subdomain.description()),
        );
    }
}
