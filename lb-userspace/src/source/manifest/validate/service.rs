//! Services (`pkg/apis/core/validation`, ValidateService).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{Rule, is_label, is_port_name, is_subdomain};
use super::{Faults, parse_address};
use crate::model::Family;
use crate::source::translate::parse_network;

/// A day: `MaxClientIPServiceAffinitySeconds` of the API.
const MAX_AFFINITY_SECONDS: i32 = 86_400;

pub(super) fn check(object: &Service, faults: &mut Faults) {
    faults.check_metadata(&object.metadata, Rule::Label);
    let Some(spec) = &object.spec else {
        return faults.add("spec", "is missing");
    };
    let kinds = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
    faults.check_one_of("spec.type", spec.type_.as_deref(), &kinds);
    faults.check_labels("spec.selector", spec.selector.as_ref());
    let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
    if kind == "ExternalName" {
        check_external_name(spec, faults);
    } else {
        check_cluster_ips(spec, kind, faults);
        check_families(spec, faults);
    }
    check_ports(spec, kind, faults);
    check_affinity(spec, faults);
    check_policies(spec, kind, faults);
    check_load_balancer(spec, kind, faults);
    for (index, text) in spec.external_ips.iter().flatten().enumerate() {
        faults.check_reachable(&format!("spec.externalIPs[{index}]"), text);
    }
    let status = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    for (index, ingress) in
        status.and_then(|status| status.ingress.as_ref()).into_iter().flatten().enumerate()
    {
        let field = |name| format!("status.loadBalancer.ingress[{index}].{name}");
        if ingress.ip.as_deref().is_some_and(|text| parse_address(text).is_none()) {
            faults.add(field("ip"), "is not an address");
        }
        faults.check_one_of(&field("ipMode"), ingress.ip_mode.as_deref(), &["VIP", "Proxy"]);
    }
}

fn check_external_name(spec: &ServiceSpec, faults: &mut Faults) {
    let name = spec.external_name.as_deref().unwrap_or_default();
    // A trailing dot makes a name absolute: RFC 1034 §3.1.
    if !is_subdomain(&name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()) {
        faults.add("spec.externalName", format!("{name:?} is not a DNS name"));
    }
    let given = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip).any(|text| !text.is_empty());
    if given {
        faults.add("spec.clusterIP", "may not be set for an ExternalName");
    }
}

fn check_cluster_ips(spec: &ServiceSpec, kind: &str, faults: &mut Faults) {
    let listed = spec.cluster_ips.as_deref().unwrap_or_default();
    let single = spec.cluster_ip.as_deref().filter(|text| !text.is_empty());
    match (single, listed.first()) {
        (None, Some(_)) => return faults.add("spec.clusterIPs", "may not be set without clusterIP"),
        (Some(single), Some(first)) if single != first => {
            faults.add("spec.clusterIPs[0]", format!("{first:?} is not clusterIP, which is {single:?}"));
        }
        _ => {}
    }
    let texts: Vec<&str> = if listed.is_empty() {
        single.into_iter().collect()
    } else {
        listed.iter().map(String::as_str).collect()
    };
    let field = |index: usize| {
        if listed.is_empty() { "spec.clusterIP".to_owned() } else { format!("spec.clusterIPs[{index}]") }
    };
    if texts.contains(&"None") {
        if texts.len() > 1 {
            faults.add("spec.clusterIPs", "may not hold an address besides None");
        }
        if kind != "ClusterIP" {
            faults.add(field(0), format!("None is not for a Service of type {kind}"));
        }
        return;
    }
    if texts.len() > 2 {
        faults.add("spec.clusterIPs", "may hold two addresses at most, one of a family");
    }
    let mut families = vec![];
    for (index, text) in texts.iter().enumerate() {
        let Some(family) = parse_address(text).map(Family::of) else {
            faults.add(field(index), format!("{text:?} is not an address"));
            continue;
        };
        if families.contains(&family) {
            faults.add(field(index), format!("{text} is a second {family} address"));
        }
        families.push(family);
        let wanted = spec.ip_families.as_ref().and_then(|wanted| wanted.get(index));
        if let Some(wanted) = wanted.filter(|wanted| **wanted != family.to_string()) {
            faults.add(field(index), format!("{text} is not {wanted}, which spec.ipFamilies[{index}] says"));
        }
    }
}

fn check_families(spec: &ServiceSpec, faults: &mut Faults) {
    let policies = ["SingleStack", "PreferDualStack", "RequireDualStack"];
    let policy = spec.ip_family_policy.as_deref();
    faults.check_one_of("spec.ipFamilyPolicy", policy, &policies);
    let families = spec.ip_families.as_deref().unwrap_or_default();
    for (index, family) in families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        faults.check_one_of(&field, Some(family), &["IPv4", "IPv6"]);
        if families[..index].contains(family) {
            faults.add(field, format!("{family} is there twice"));
        }
    }
    let addresses = spec.cluster_ips.as_ref().map_or(0, Vec::len);
    if policy == Some("SingleStack") && families.len().max(addresses) > 1 {
        faults.add("spec.ipFamilyPolicy", "SingleStack is not for two families");
    }
}

fn check_ports(spec: &ServiceSpec, kind: &str, faults: &mut Faults) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let headless = spec.cluster_ip.as_deref() == Some("None");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        faults.add("spec.ports", "is missing");
    }
    let (mut names, mut numbers, mut node_ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        check_port(port, index, ports.len() > 1, faults);
        let field = |name: &str| format!("spec.ports[{index}].{name}");
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() && !names.insert(name) {
            faults.add(field("name"), format!("{name:?} is another port's name too"));
        }
        if !numbers.insert((port.port, protocol)) {
            faults.add(field("port"), format!("{}/{protocol} is another port's too", port.port));
        }
        let Some(node_port) = port.node_port.filter(|number| *number != 0) else { continue };
        faults.check_port(&field("nodePort"), node_port);
        if !matches!(kind, "NodePort" | "LoadBalancer") {
            faults.add(field("nodePort"), format!("may not be set for a Service of type {kind}"));
        }
        if !node_ports.insert((node_port, protocol)) {
            faults.add(field("nodePort"), format!("{node_port}/{protocol} is another port's too"));
        }
    }
}

fn check_port(port: &ServicePort, index: usize, is_one_of_many: bool, faults: &mut Faults) {
    let field = |name: &str| format!("spec.ports[{index}].{name}");
    match port.name.as_deref().unwrap_or_default() {
        "" if is_one_of_many => faults.add(field("name"), "is missing: only a single port needs none"),
        "" => {}
        name if !is_label(name) => {
            faults.add(field("name"), format!("{name:?} is not {}", Rule::Label.description()));
        }
        _ => {}
    }
    faults.check_port(&field("port"), port.port);
    faults.check_protocol(&field("protocol"), port.protocol.as_deref());
    match &port.target_port {
        Some(IntOrString::Int(number)) if *number != 0 => faults.check_port(&field("targetPort"), *number),
        Some(IntOrString::String(name)) if !name.is_empty() && !is_port_name(name) => faults.add(
            field("targetPort"),
            format!("{name:?} is not a port's name: lower-case letters, digits and '-', 15 at most"),
        ),
        _ => {}
    }
}

fn check_affinity(spec: &ServiceSpec, faults: &mut Faults) {
    faults.check_one_of("spec.sessionAffinity", spec.session_affinity.as_deref(), &["None", "ClientIP"]);
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let Some(seconds) = config.and_then(|config| config.timeout_seconds) else { return };
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        faults.add("spec.sessionAffinityConfig", "may not be set without sessionAffinity ClientIP");
    }
    if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) {
        faults.add(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            format!("{seconds} is not in 1 to {MAX_AFFINITY_SECONDS}"),
        );
    }
}

fn check_policies(spec: &ServiceSpec, kind: &str, faults: &mut Faults) {
    let policies = ["Cluster", "Local"];
    faults.check_one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy.as_deref(), &policies);
    let external = spec.external_traffic_policy.as_deref().filter(|policy| !policy.is_empty());
    faults.check_one_of("spec.externalTrafficPolicy", external, &policies);
    let is_external = matches!(kind, "NodePort" | "LoadBalancer")
        || kind == "ClusterIP" && spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    if external.is_some() && !is_external {
        faults.add(
            "spec.externalTrafficPolicy",
            "may only be set for a Service that is reachable from outside",
        );
    }
    faults.check_one_of(
        "spec.trafficDistribution",
        spec.traffic_distribution.as_deref(),
        &["PreferClose", "PreferSameZone", "PreferSameNode"],
    );
}

fn check_load_balancer(spec: &ServiceSpec, kind: &str, faults: &mut Faults) {
    let is_load_balancer = kind == "LoadBalancer";
    let is_local = spec.external_traffic_policy.as_deref() == Some("Local");
    if let Some(port) = spec.health_check_node_port.filter(|port| *port != 0) {
        faults.check_port("spec.healthCheckNodePort", port);
        if !(is_load_balancer && is_local) {
            faults.add(
                "spec.healthCheckNodePort",
                "may only be set for type LoadBalancer and externalTrafficPolicy Local",
            );
        }
    }
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    let only_for_it = [
        ("spec.loadBalancerSourceRanges", !ranges.is_empty()),
        ("spec.allocateLoadBalancerNodePorts", spec.allocate_load_balancer_node_ports.is_some()),
        ("spec.loadBalancerClass", spec.load_balancer_class.is_some()),
    ];
    for (field, is_set) in only_for_it {
        if is_set && !is_load_balancer {
            faults.add(field, "may only be set for type LoadBalancer");
        }
    }
    for (index, text) in ranges.iter().enumerate() {
        if parse_network(text.trim()).is_none() {
            faults.add(format!("spec.loadBalancerSourceRanges[{index}]"), format!("{text:?} is not a CIDR"));
        }
    }
}
