//! The slices of a Service that has a selector, from the Pods that it selects: what the endpoint controller
//! of a cluster does (`k8s.io/endpointslice`).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::object::{Draft, Pod};
use crate::model::{self, Family, ServicePort, TargetPort};
use crate::source::translate::{self, SERVICE_NAME};

/// Pods, found by their labels without looking at each.
pub(super) struct PodIndex<'a> {
    /// By namespace, key and value of a label.
    by_label: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Arc<Pod>>>,
}

impl<'a> PodIndex<'a> {
    pub(super) fn new(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Self {
        let mut by_label: HashMap<_, Vec<&Arc<Pod>>> = HashMap::new();
        for pod in pods {
            for (key, value) in &pod.labels {
                let label = (pod.name.namespace.as_str(), key.as_str(), value.as_str());
                by_label.entry(label).or_default().push(pod);
            }
        }
        Self { by_label }
    }

    fn with<'b>(&'b self, namespace: &'b str, key: &'b str, value: &'b str) -> &'b [&'a Arc<Pod>] {
        self.by_label.get(&(namespace, key, value)).map_or(&[], Vec::as_slice)
    }

    /// The Pods that a Service selects, in the order they were put in.
    fn selected(&self, draft: &Draft) -> Vec<&'a Arc<Pod>> {
        let namespace = draft.service.name.namespace.as_str();
        let fewest = draft.selector.iter().map(|(key, value)| self.with(namespace, key, value));
        let fewest = fewest.min_by_key(|pods| pods.len());
        let has = |pod: &Pod, key: &String, value: &String| {
            let place = pod.labels.binary_search_by(|(other, _)| other.cmp(key));
            place.is_ok_and(|place| pod.labels[place].1 == *value)
        };
        let has_all = |pod: &&&Arc<Pod>| draft.selector.iter().all(|(key, value)| has(pod, key, value));
        fewest.into_iter().flatten().filter(has_all).copied().collect()
    }
}

/// The slices of one Service, and what they were made from: as long as that is the same, so are they.
#[derive(Debug, Clone)]
pub(super) struct Derived {
    draft: Arc<Draft>,
    pods: Vec<Arc<Pod>>,
    pub(super) slices: Vec<Arc<model::EndpointSlice>>,
}

/// The slices of a Service that has a selector; none where it has no address that would need any.
pub(super) fn derived(draft: &Arc<Draft>, pods: &PodIndex, before: Option<&Derived>) -> Option<Derived> {
    if draft.selector.is_empty() || draft.families.is_empty() {
        return None;
    }
    let pods = pods.selected(draft);
    let is_same = |before: &&Derived| {
        Arc::ptr_eq(&before.draft, draft)
            && before.pods.len() == pods.len()
            && before.pods.iter().zip(&pods).all(|(before, pod)| Arc::ptr_eq(before, pod))
    };
    if let Some(before) = before.filter(is_same) {
        return Some(before.clone());
    }
    let pods: Vec<Arc<Pod>> = pods.into_iter().cloned().collect();
    // A derived slice is one that a translation takes.
    let translated =
        slices(draft, &pods).into_iter().filter_map(|slice| translate::endpoint_slice(&slice).ok());
    let slices = translated.map(|slice| Arc::new(slice.value)).collect();
    Some(Derived { draft: Arc::clone(draft), pods, slices })
}

/// Number of each Service port by its place, where the Pod has it.
type PortSet = Vec<(usize, u16)>;

/// One slice for each family and for each set of port numbers that Pods agree on (SVC-05, SVC-06).
///
/// Its name tells which; no object of a cluster can have such a one, so hand-written slices of the same
/// Service stand beside it.
fn slices(draft: &Draft, pods: &[Arc<Pod>]) -> Vec<EndpointSlice> {
    let mut groups: BTreeMap<(Family, PortSet), Vec<Endpoint>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.is_over) {
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
