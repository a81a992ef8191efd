//! Objects to start a test from: each test changes the one field that it is about.

use std::sync::Arc;

use ipnet::IpNet;
use lb_common::{Addr, FrontendFlags, FrontendKey, Port, Proto};

use crate::compile::compile;
use crate::model::{
    DetectLocal, Endpoint, EndpointSlice, Family, Hints, Ingress, IngressMode, NodeFacts, ObjectName,
    Service, ServicePort, ServiceType, SlicePort, TargetPort, TrafficPolicy,
};
use crate::tables::{BackendState, ServiceTable};

pub(crate) const CLUSTER_IP: &str = "172.20.0.10";
pub(crate) const CLUSTER_IP6: &str = "fd00:172:20::10";

pub(crate) fn ip(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// Hints for these zones.
pub(crate) fn zones(names: &[&str]) -> Option<Arc<Hints>> {
    let zones = names.iter().map(|name| (*name).to_owned()).collect();
    Hints { zones, nodes: vec![] }.shared()
}

/// `default/web`: ClusterIP, one port without a name, 8080 to 80, TCP.
pub(crate) fn service() -> Service {
    Service {
        name: ObjectName::new("default", "web"),
        uid: None,
        created: None,
        kind: ServiceType::ClusterIP,
        cluster_ips: vec![ip(CLUSTER_IP)],
        ports: vec![port("", Proto::TCP, 8080)],
        external_ips: vec![],
        ingress: vec![],
        source_ranges: None,
        affinity_seconds: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        health_check_node_port: None,
    }
}

/// The same with NodePort 31111.
pub(crate) fn node_port_service() -> Service {
    let mut service = Service { kind: ServiceType::NodePort, ..service() };
    service.ports[0].node_port = Some(31111);
    service
}

/// The same with NodePort 31111 and the load balancer's address 198.51.100.7.
pub(crate) fn load_balancer_service() -> Service {
    let ingress = vec![Ingress { ip: ip("198.51.100.7"), mode: IngressMode::Vip }];
    Service { kind: ServiceType::LoadBalancer, ingress, ..node_port_service() }
}

pub(crate) fn port(name: &str, protocol: Proto, port: u16) -> ServicePort {
    ServicePort { name: name.into(), protocol, port, target_port: TargetPort::Number(80), node_port: None }
}

/// A slice of `default/web` in the family of its endpoints: one port without a name, 80, TCP.
pub(crate) fn slice(endpoints: Vec<Endpoint>) -> EndpointSlice {
    EndpointSlice {
        name: ObjectName::new("default", "web-abc"),
        service: "web".into(),
        family: endpoints.first().map_or(Family::V4, |endpoint| Family::of(endpoint.address)),
        ports: vec![SlicePort { name: String::new(), protocol: Proto::TCP, port: 80 }],
        endpoints,
    }
}

/// A ready endpoint on node `n2`.
pub(crate) fn remote(address: &str) -> Endpoint {
    Endpoint {
        address: ip(address),
        ready: true,
        serving: true,
        terminating: false,
        node: Some("n2".into()),
        hints: None,
        pod: None,
    }
}

/// A ready endpoint on the node that is asked about.
pub(crate) fn local(address: &str) -> Endpoint {
    Endpoint { node: Some("n1".into()), ..remote(address) }
}

/// Shutting down, still answering.
pub(crate) fn terminating(endpoint: Endpoint) -> Endpoint {
    Endpoint { ready: false, serving: true, terminating: true, ..endpoint }
}

/// Neither ready nor serving.
pub(crate) fn down(endpoint: Endpoint) -> Endpoint {
    Endpoint { ready: false, serving: false, terminating: false, ..endpoint }
}

/// Node `n1` with two IPv4 addresses and one IPv6 address, in a cluster whose pods are told by address.
pub(crate) fn node() -> NodeFacts {
    NodeFacts {
        name: "n1".into(),
        addresses: vec![ip("192.168.0.2"), ip("192.168.0.3"), ip("fd00:192:168::2")],
        zone: Some("a".into()),
        detect_local: DetectLocal::ClusterCidr,
        cluster_cidrs: vec![net("10.244.0.0/16"), net("fd00:10:244::/48")],
        ..NodeFacts::default()
    }
}

/// The only table of a Service of one port and one family.
#[track_caller]
pub(crate) fn only(service: &Service, slices: &[&EndpointSlice], node: &NodeFacts) -> ServiceTable {
    let mut tables = compile(service, slices, node);
    assert_eq!(tables.len(), 1, "{tables:?}");
    tables.remove(0)
}

/// The backends of a table that a list has, sorted.
pub(crate) fn listed(table: &ServiceTable, list: fn(&BackendState) -> bool) -> Vec<String> {
    table.backends.iter().filter(|(_, state)| list(state)).map(|(key, _)| key.to_string()).collect()
}

pub(crate) fn cluster(table: &ServiceTable) -> Vec<String> {
    listed(table, |state| state.in_cluster)
}

pub(crate) fn local_list(table: &ServiceTable) -> Vec<String> {
    listed(table, |state| state.in_local)
}

pub(crate) fn key(address: &str, port: u16) -> FrontendKey {
    FrontendKey::new(Addr::from(ip(address)), Port::new(port), Proto::TCP)
}

/// The flags of a frontend, as text; empty where there is no such frontend.
pub(crate) fn flags(table: &ServiceTable, key: FrontendKey) -> String {
    table.frontends.get(&key).map_or_else(String::new, |flags: &FrontendFlags| format!("{flags:?}"))
}
