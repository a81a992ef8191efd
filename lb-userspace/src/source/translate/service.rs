//! Services.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use lb_common::Proto;

use super::{Notes, SERVICE_PROXY_NAME, Skipped, Translation, has_label, name, parse_address, parse_network};
use crate::model::{
    Family, Ingress, IngressMode, Service, ServicePort, ServiceType, TargetPort, TrafficPolicy,
};

/// Three hours: `DefaultClientIPServiceAffinitySeconds` of the API.
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

/// A Service as the model has it. A headless one and an ExternalName have no `cluster_ips` (SVC-03).
///
/// # Errors
///
/// Why it is none of ours; then there is no Service of this name.
pub fn service(object: &api::Service) -> Result<Translation<Service>, Skipped> {
    if is_of_another_proxy(object) {
        return Err(Skipped::AnotherProxy);
    }
    let mut notes = Notes::default();
    let spec = object.spec.as_ref();
    let kind = spec
        .and_then(|spec| spec.type_.as_deref())
        .map_or(Ok(ServiceType::ClusterIP), str::parse)
        .unwrap_or_else(|error| {
            notes.ignore("spec.type", format!("it is {error}: taken for ClusterIP"));
            ServiceType::ClusterIP
        });
    let empty = api::ServiceSpec::default();
    let spec = spec.unwrap_or(&empty);
    let value = Service {
        name: name(&object.metadata)?,
        uid: object.metadata.uid.as_deref().and_then(|uid| uid.parse().ok()),
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()),
        kind,
        cluster_ips: if kind == ServiceType::ExternalName { vec![] } else { cluster_ips(spec, &mut notes) },
        ports: ports(spec, &mut notes),
        external_ips: notes.parse_each(
            "spec.externalIPs",
            spec.external_ips.as_deref().unwrap_or_default(),
            "an address",
            parse_address,
        ),
        ingress: ingress(object, &mut notes),
        source_ranges: spec.load_balancer_source_ranges.as_deref().filter(|texts| !texts.is_empty()).map(
            |texts| {
                notes.parse_each("spec.loadBalancerSourceRanges", texts, "a CIDR", |text| {
                    parse_network(text.trim())
                })
            },
        ),
        affinity_seconds: affinity_seconds(spec),
        internal_policy: policy(spec.internal_traffic_policy.as_deref()),
        external_policy: policy(spec.external_traffic_policy.as_deref()),
        health_check_node_port: port(spec.health_check_node_port),
    };
    Ok(Translation { value, ignored: notes.0 })
}

/// SVC-01: the label counts, whatever its value.
pub fn is_of_another_proxy(object: &api::Service) -> bool {
    has_label(&object.metadata, SERVICE_PROXY_NAME)
}

/// SVC-07: `clusterIPs` are those of `ipFamilies`, place by place; without `ipFamilies` only `clusterIP`
/// counts.
fn cluster_ips(spec: &api::ServiceSpec, notes: &mut Notes) -> Vec<IpAddr> {
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let listed = spec.cluster_ips.as_deref().filter(|ips| !ips.is_empty());
    let single: Vec<String> = spec.cluster_ip.iter().cloned().collect();
    let texts = match listed {
        Some(listed) if !families.is_empty() => &listed[..listed.len().min(families.len())],
        Some(listed) if single.is_empty() => &listed[..1],
        _ => &single,
    };
    if texts.iter().any(|text| text == "None" || text.is_empty()) {
        return vec![];
    }
    let mut ips: Vec<IpAddr> = vec![];
    for ip in notes.parse_each("spec.clusterIPs", texts, "an address", parse_address) {
        if !ips.iter().any(|other| Family::of(*other) == Family::of(ip)) {
            ips.push(ip);
        }
    }
    ips
}

fn ports(spec: &api::ServiceSpec, notes: &mut Notes) -> Vec<ServicePort> {
    let mut ports = vec![];
    for (index, from) in spec.ports.iter().flatten().enumerate() {
        let protocol = match from.protocol.as_deref().unwrap_or("TCP").parse::<Proto>() {
            Ok(protocol) => protocol,
            Err(error) => {
                notes.ignore(format!("spec.ports[{index}].protocol"), error.to_string());
                continue;
            }
        };
        let Some(number) = port(Some(from.port)) else {
            notes.ignore(format!("spec.ports[{index}].port"), format!("{} is not a port", from.port));
            continue;
        };
        ports.push(ServicePort {
            name: from.name.clone().unwrap_or_default(),
            protocol,
            port: number,
            target_port: target_port(from.target_port.as_ref(), number),
            node_port: port(from.node_port),
        });
    }
    ports
}

/// 0, the empty name and nothing are all the API's «same as `port`».
fn target_port(from: Option<&IntOrString>, service_port: u16) -> TargetPort {
    match from {
        Some(IntOrString::String(name)) if !name.is_empty() => TargetPort::Name(name.clone()),
        Some(IntOrString::Int(number)) => TargetPort::Number(port(Some(*number)).unwrap_or(service_port)),
        _ => TargetPort::Number(service_port),
    }
}

/// LB-01, LB-02: only an entry with an address can be a frontend, and only where it is not a proxy's; an
/// `ipMode` not known here is taken for one, as kube-proxy does.
fn ingress(object: &api::Service, notes: &mut Notes) -> Vec<Ingress> {
    let status = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let mut ingress = vec![];
    for (index, from) in
        status.and_then(|status| status.ingress.as_deref()).iter().copied().flatten().enumerate()
    {
        let Some(text) = from.ip.as_deref().filter(|text| !text.is_empty()) else { continue };
        let Some(ip) = parse_address(text) else {
            let field = format!("status.loadBalancer.ingress[{index}].ip");
            notes.ignore(field, format!("{text:?} is not an address"));
            continue;
        };
        let mode = match from.ip_mode.as_deref() {
            None | Some("VIP") => IngressMode::Vip,
            Some(_) => IngressMode::Proxy,
        };
        ingress.push(Ingress { ip, mode });
    }
    ingress
}

fn affinity_seconds(spec: &api::ServiceSpec) -> Option<u32> {
    (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        config
            .and_then(|client_ip| client_ip.timeout_seconds)
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or(DEFAULT_AFFINITY_SECONDS)
    })
}

fn policy(text: Option<&str>) -> TrafficPolicy {
    if text == Some("Local") { TrafficPolicy::Local } else { TrafficPolicy::Cluster }
}

/// A port, where the number is one; 0 is the API's «none».
fn port(number: Option<i32>) -> Option<u16> {
    number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)
}

#[cfg(test)]
mod tests;
