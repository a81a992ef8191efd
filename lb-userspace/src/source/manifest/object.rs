//! Valid manifests as the plain values that the rest works on: what it costs to keep them is what they say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as api;
use lb_common::Proto;

use super::config::Config;
use super::decode::{Fault, Manifest};
use crate::model::{EndpointSlice, Family, NodeObject, ObjectName, Service, ServiceType, TrafficPolicy};
use crate::source::translate::{self, Translation, parse_address};

/// An object that is valid by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    Service(Arc<Draft>),
    /// `None` is a slice that is nobody's endpoints (EPS-00, SVC-02).
    Slice(Option<Arc<EndpointSlice>>),
    Pod(Arc<Pod>),
    Node(Arc<NodeObject>),
}

/// A Service as its file has it: numbers only where they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) service: Service,
    /// SVC-01: it has its numbers as any other, and is not served.
    pub(super) is_ours: bool,
    /// The families that it has an address of, in order; empty where it is headless or an ExternalName.
    pub(super) families: Vec<Family>,
    /// Ports without a node port are given one.
    pub(super) needs_node_ports: bool,
    /// HCN-01
    pub(super) needs_health_check_port: bool,
    /// `spec.selector`; empty where its slices are made by hand.
    pub(super) selector: BTreeMap<String, String>,
    /// EPS-14
    pub(super) publish_not_ready: bool,
}

/// What endpoints are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: ObjectName,
    /// Sorted by their keys. A map would cost ten times as much in each of a hundred thousand Pods.
    pub(super) labels: Box<[(String, String)]>,
    pub(super) ips: Vec<IpAddr>,
    pub(super) node: Option<String>,
    pub(super) is_ready: bool,
    pub(super) is_terminating: bool,
    /// Succeeded or failed: it will never answer again.
    pub(super) is_over: bool,
    /// Container ports that have a name, in the order in which a target port is looked for (SVC-06).
    pub(super) ports: Vec<(String, Proto, u16)>,
}

/// The value of a manifest that [`super::validate`] found nothing wrong with, and what is worth a word.
///
/// # Errors
///
/// What is wrong with it by the options.
pub(super) fn object(manifest: &Manifest, config: &Config) -> Result<(Object, Vec<Fault>), Vec<Fault>> {
    match manifest {
        Manifest::Service(service) => {
            draft(service, config).map(|draft| (Object::Service(Arc::new(draft)), vec![]))
        }
        Manifest::EndpointSlice(slice) => Ok(match translate::endpoint_slice(slice) {
            Ok(Translation { value, ignored }) => {
                let notes = ignored.into_iter().map(|note| Fault::new(note.field, note.message)).collect();
                (Object::Slice(Some(Arc::new(value))), notes)
            }
            Err(skipped) => (Object::Slice(None), vec![Fault::new("", format!("is not used: {skipped}"))]),
        }),
        Manifest::Pod(from) => {
            let pod = pod(from);
            let is_silent = pod.ips.is_empty() && !pod.is_over;
            let note = "has no status.podIPs: nothing can be sent to it";
            let notes = if is_silent { vec![Fault::new("", note)] } else { vec![] };
            Ok((Object::Pod(Arc::new(pod)), notes))
        }
        Manifest::Node(node) => Ok((Object::Node(Arc::new(translate::node(node))), vec![])),
    }
}

fn draft(object: &api::Service, config: &Config) -> Result<Draft, Vec<Fault>> {
    let is_ours = !translate::is_of_another_proxy(object);
    let mut unlabelled = object.clone();
    if let Some(labels) = &mut unlabelled.metadata.labels {
        labels.remove(translate::SERVICE_PROXY_NAME);
    }
    // Nothing of a valid Service is left out by its translation but what LSR-02 says is no restriction.
    let Translation { value: mut service, .. } =
        translate::service(&unlabelled).map_err(|skipped| vec![Fault::new("", skipped.to_string())])?;
    let empty = api::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&empty);
    // The translation believes `ipFamilies`, which the API server fills in; here they may still be absent.
    let texts = spec.cluster_ips.as_deref().filter(|texts| !texts.is_empty());
    let texts = texts.map_or_else(|| spec.cluster_ip.iter().cloned().collect(), <[String]>::to_vec);
    let is_headless = texts.iter().any(|text| text == "None");
    if service.kind != ServiceType::ExternalName {
        service.cluster_ips = texts.iter().filter_map(|text| parse_address(text)).collect();
    }
    let is_load_balancer = service.kind == ServiceType::LoadBalancer;
    let has_address = !is_headless && service.kind != ServiceType::ExternalName;
    Ok(Draft {
        is_ours,
        families: if has_address { families(&service, spec, config)? } else { vec![] },
        needs_node_ports: match service.kind {
            ServiceType::NodePort => true,
            ServiceType::LoadBalancer => spec.allocate_load_balancer_node_ports != Some(false),
            ServiceType::ClusterIP | ServiceType::ExternalName => false,
        },
        needs_health_check_port: is_load_balancer && service.external_policy == TrafficPolicy::Local,
        selector: spec.selector.clone().unwrap_or_default(),
        publish_not_ready: spec.publish_not_ready_addresses == Some(true),
        service,
    })
}

/// As the API server decides it (`pkg/registry/core/service/storage`, defaultOnCreate): what is named comes
/// first, in its order; two families named without a policy are both required.
fn families(service: &Service, spec: &api::ServiceSpec, config: &Config) -> Result<Vec<Family>, Vec<Fault>> {
    let by_text = |text: &String| Family::ALL.into_iter().find(|family| family.to_string() == *text);
    let named: Vec<Family> = spec.ip_families.iter().flatten().filter_map(by_text).collect();
    let given: Vec<Family> = service.cluster_ips.iter().map(|ip| Family::of(*ip)).collect();
    let mut families = if named.len() >= given.len() { named } else { given };
    if families.is_empty() {
        families.push(config.primary_family());
    }
    let policy = spec.ip_family_policy.as_deref().unwrap_or("SingleStack");
    let other = Family::ALL.into_iter().find(|family| !families.contains(family));
    if let Some(other) = other {
        match (policy, config.cidr(other)) {
            ("PreferDualStack" | "RequireDualStack", Some(_)) => families.push(other),
            ("RequireDualStack", None) => {
                let message = format!("RequireDualStack, and there is no {other} service CIDR");
                return Err(vec![Fault::new("spec.ipFamilyPolicy", message)]);
            }
            _ => {}
        }
    }
    // A given address is checked against the service CIDRs with the others.
    let missing = families.iter().enumerate().find(|(index, family)| {
        config.cidr(**family).is_none()
            && !service.cluster_ips.iter().any(|ip| Family::of(*ip) == **family)
            && spec.ip_families.as_ref().is_some_and(|named| *index < named.len())
    });
    match missing {
        Some((index, family)) => {
            let message = format!("there is no {family} service CIDR");
            Err(vec![Fault::new(format!("spec.ipFamilies[{index}]"), message)])
        }
        None => Ok(families),
    }
}

fn pod(object: &api::Pod) -> Pod {
    let (spec, status) = (object.spec.as_ref(), object.status.as_ref());
    let several = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
    let single = status.and_then(|status| status.pod_ip.as_deref());
    let texts = if several.is_empty() {
        single.into_iter().collect()
    } else {
        several.iter().map(|ip| ip.ip.as_str()).collect::<Vec<_>>()
    };
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let meta = &object.metadata;
    Pod {
        name: ObjectName::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        ),
        labels: meta.labels.clone().unwrap_or_default().into_iter().collect(),
        ips: texts.into_iter().filter_map(parse_address).collect(),
        node: spec.and_then(|spec| spec.node_name.clone()),
        // Nobody writes the conditions of a Pod by hand: one without any is taken for ready.
        is_ready: conditions.is_empty()
            || conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        is_terminating: meta.deletion_timestamp.is_some(),
        is_over: matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed")),
        ports: spec.map_or_else(Vec::new, named_ports),
    }
}

/// SVC-06: regular containers, then init containers that stay (`restartPolicy: Always`).
fn named_ports(spec: &api::PodSpec) -> Vec<(String, Proto, u16)> {
    let stays = |container: &&api::Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(stays);
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP").parse().ok()?;
            Some((port.name.clone()?, protocol, u16::try_from(port.container_port).ok()?))
        })
        .collect()
}
