//! EndpointSlices.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1 as api;
use lb_common::Proto;

use super::{HEADLESS, Notes, SERVICE_NAME, Skipped, Translation, has_label, label, name, parse_address};
use crate::model::{Endpoint, EndpointSlice, Family, Hints, SlicePort, why_not_dialled};

/// A slice as the model has it (EPS-00 to EPS-04).
///
/// # Errors
///
/// Why it is none of ours; then there is no slice of this name.
pub fn endpoint_slice(object: &api::EndpointSlice) -> Result<Translation<EndpointSlice>, Skipped> {
    if has_label(&object.metadata, HEADLESS) {
        return Err(Skipped::Headless);
    }
    let name = name(&object.metadata)?;
    let family = match object.address_type.as_str() {
        "IPv4" => Family::V4,
        "IPv6" => Family::V6,
        other => return Err(Skipped::AddressType(other.to_owned())),
    };
    let service =
        label(&object.metadata, SERVICE_NAME).filter(|name| !name.is_empty()).ok_or(Skipped::NoService)?;
    let mut notes = Notes::default();
    let value = EndpointSlice {
        name,
        service: service.to_owned(),
        family,
        ports: ports(object, &mut notes),
        endpoints: endpoints(object, family, &mut notes),
    };
    Ok(Translation { value, ignored: notes.0 })
}

/// EPS-01: a port without a name or a number is left out; the API server's default for a name is the empty
/// one, which is a name.
fn ports(object: &api::EndpointSlice, notes: &mut Notes) -> Vec<SlicePort> {
    let mut ports = vec![];
    for (index, from) in object.ports.iter().flatten().enumerate() {
        let Some(name) = from.name.clone() else {
            notes.ignore(format!("ports[{index}].name"), "it is absent");
            continue;
        };
        let Some(port) = from.port.and_then(|number| u16::try_from(number).ok()).filter(|port| *port != 0)
        else {
            notes.ignore(format!("ports[{index}].port"), "it is absent or not a port");
            continue;
        };
        match from.protocol.as_deref().unwrap_or("TCP").parse::<Proto>() {
            Ok(protocol) => ports.push(SlicePort { name, protocol, port }),
            Err(error) => notes.ignore(format!("ports[{index}].protocol"), error.to_string()),
        }
    }
    ports
}

fn endpoints(object: &api::EndpointSlice, family: Family, notes: &mut Notes) -> Vec<Endpoint> {
    let mut endpoints = Vec::with_capacity(object.endpoints.as_ref().map_or(0, Vec::len));
    for (index, from) in object.endpoints.iter().flatten().enumerate() {
        // EPS-02: further addresses are the same endpoint's, and only the first one is dialled.
        let Some(text) = from.addresses.first() else { continue };
        let field = || format!("endpoints[{index}].addresses[0]");
        let Some(address) = parse_address(text).filter(|ip| Family::of(*ip) == family) else {
            notes.ignore(field(), format!("{text:?} is not an {family} address"));
            continue;
        };
        match why_not_dialled(address) {
            // An API server lets none through; this is told also of one that does.
            Some(what) => notes.ignore(field(), format!("{text} is {what}")),
            None => endpoints.push(endpoint(from, address)),
        }
    }
    endpoints
}

fn endpoint(from: &api::Endpoint, address: IpAddr) -> Endpoint {
    let conditions = from.conditions.as_ref();
    let pod = from.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
    Endpoint {
        address,
        // EPS-03: what is not said is true, but for `terminating`.
        ready: conditions.and_then(|conditions| conditions.ready).unwrap_or(true),
        serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(true),
        terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
        node: from.node_name.as_deref().map(Into::into),
        hints: from.hints.as_ref().and_then(|from| hints(from).shared()),
        pod: pod.and_then(|pod| pod.name.as_deref()).map(Into::into),
    }
}

fn hints(from: &api::EndpointHints) -> Hints {
    Hints {
        zones: from.for_zones.iter().flatten().map(|zone| zone.name.clone()).collect(),
        nodes: from.for_nodes.iter().flatten().map(|node| node.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;
