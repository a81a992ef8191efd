//! The slices of a Service that has a selector, from the Pods that it selects: what the endpoint controller
//! of a cluster does (`k8s.io/endpointslice`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::object::{Draft, Pod};
use crate::model::{Family, ServicePort, TargetPort};
use crate::source::translate::SERVICE_NAME;

/// Pods, found by their labels without looking at each.
pub(super) struct PodIndex<'a> {
    /// By namespace, key and value of a label.
    by_label: BTreeMap<(&'a str, &'a str, &'a str), Vec<&'a Pod>>,
}

impl<'a> PodIndex<'a> {
    pub(super) fn new(pods: impl Iterator<Item = &'a Pod>) -> Self {
        let mut by_label: BTreeMap<_, Vec<&Pod>> = BTreeMap::new();
        for pod in pods {
            for (key, value) in &pod.labels {
                by_label
                    .entry((pod.name.namespace.as_str(), key.as_str(), value.as_str()))
                    .or_default()
                    .push(pod);
            }
        }
        Self { by_label }
    }

    fn with<'b>(&'b self, namespace: &'b str, key: &'b str, value: &'b str) -> &'b [&'a Pod] {
        self.by_label.get(&(namespace, key, value)).map_or(&[], Vec::as_slice)
    }

    /// Pods of a namespace that have all these labels, in the order they were put in.
    fn selected(&self, namespace: &str, selector: &BTreeMap<String, String>) -> Vec<&'a Pod> {
        let fewest = selector
            .iter()
            .map(|(key, value)| self.with(namespace, key, value))
            .min_by_key(|pods| pods.len());
        let has_all = |pod: &&&Pod| selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        fewest.into_iter().flatten().filter(has_all).copied().collect()
    }
}

/// Number of each Service port by its place, where the Pod has it.
type PortSet = Vec<(usize, u16)>;

/// One slice for each family and for each set of port numbers that Pods agree on (SVC-05, SVC-06).
///
/// Its name tells which; no object of a cluster can have such a one, so hand-written slices of the same
/// Service stand beside it.
pub(super) fn slices(draft: &Draft, pods: &PodIndex) -> Vec<EndpointSlice> {
    if draft.selector.is_empty() || draft.families.is_empty() {
        return vec![];
    }
    let name = &draft.service.name;
    let mut groups: BTreeMap<(Family, PortSet), Vec<Endpoint>> = BTreeMap::new();
    for pod in pods.selected(&name.namespace, &draft.selector).into_iter().filter(|pod| !pod.is_over) {
        let ports = port_set(draft, pod);
        if ports.is_empty() {
            continue;
        }
        for family in &draft.families {
            if let Some(ip) = pod.ips.iter().find(|ip| Family::of(**ip) == *family) {
                groups.entry((*family, ports.clone())).or_default().push(endpoint(draft, pod, *ip));
            }
        }
    }
    groups.into_iter().map(|((family, ports), endpoints)| slice(draft, family, &ports, endpoints)).collect()
}

fn port_set(draft: &Draft, pod: &Pod) -> PortSet {
    let ports = draft.service.ports.iter().enumerate();
    ports.filter_map(|(index, port)| Some((index, container_port(port, pod)?))).collect()
}

fn container_port(port: &ServicePort, pod: &Pod) -> Option<u16> {
    match &port.target_port {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(wanted) => pod
            .ports
            .iter()
            .find(|(name, protocol, _)| name == wanted && *protocol == port.protocol)
            .map(|(_, _, number)| *number),
    }
}

fn endpoint(draft: &Draft, pod: &Pod, ip: IpAddr) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            // EPS-14
            ready: Some(draft.publish_not_ready || pod.is_ready && !pod.is_terminating),
            serving: Some(pod.is_ready),
            terminating: Some(pod.is_terminating),
        }),
        node_name: pod.node.clone(),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.name.namespace.clone()),
            name: Some(pod.name.name.clone()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

fn slice(draft: &Draft, family: Family, ports: &PortSet, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let service = &draft.service.name;
    let of = |index: &usize| &draft.service.ports[*index];
    let words: Vec<String> = ports
        .iter()
        .map(|(index, number)| match of(index).name.as_str() {
            "" => number.to_string(),
            name => format!("{name}={number}"),
        })
        .collect();
    let ports = ports.iter().map(|(index, number)| EndpointPort {
        name: Some(of(index).name.clone()),
        port: Some(i32::from(*number)),
        protocol: Some(of(index).protocol.to_string()),
        app_protocol: None,
    });
    EndpointSlice {
        address_type: family.to_string(),
        metadata: ObjectMeta {
            name: Some(format!("{}:{family}:{}", service.name, words.join(","))),
            namespace: Some(service.namespace.clone()),
            labels: Some(BTreeMap::from([(SERVICE_NAME.to_owned(), service.name.clone())])),
            ..ObjectMeta::default()
        },
        ports: Some(ports.collect()),
        endpoints: Some(endpoints),
    }
}
