//! Services.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use lb_common::Proto;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Uid;
use crate::text;

/// `metadata.namespace` and `metadata.name`. A clone is the same text: there are many of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(Arc<NameParts>);

/// Both halves of an [`ObjectName`].
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameParts {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
}

impl ObjectName {
    /// From both halves.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self(Arc::new(NameParts { namespace: namespace.into(), name: name.into() }))
    }
}

impl Deref for ObjectName {
    type Target = NameParts;

    fn deref(&self) -> &NameParts {
        &self.0
    }
}

impl Serialize for ObjectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ObjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NameParts::deserialize(deserializer).map(|parts| Self(Arc::new(parts)))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", text::name(&self.namespace), text::name(&self.name))
    }
}

/// Address family; a Service port is balanced in each one by itself (SVC-07).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// IPv4
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6
    #[serde(rename = "IPv6")]
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address. Sources read a mapped IPv4 address as IPv4, so that none comes here.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// 4 or 6.
    pub fn number(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }

    /// The family of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.number() == number)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPv{}", self.number())
    }
}

/// `spec.type`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ServiceType {
    /// Reachable inside the cluster.
    ClusterIP,
    /// And on a port of every node.
    NodePort,
    /// And through a load balancer outside.
    LoadBalancer,
    /// A name for another name: resolved by DNS, nothing to proxy (SVC-03).
    ExternalName,
}

impl ServiceType {
    /// All of them; each one's place is its number in a [`lb_common::ServiceLabel`].
    pub const ALL: [Self; 4] = [Self::ClusterIP, Self::NodePort, Self::LoadBalancer, Self::ExternalName];

    /// As written in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
        }
    }

    /// The number that stands for it in a [`lb_common::ServiceLabel`].
    pub fn number(self) -> u8 {
        match self {
            Self::ClusterIP => 0,
            Self::NodePort => 1,
            Self::LoadBalancer => 2,
            Self::ExternalName => 3,
        }
    }

    /// The type of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Not one of the four types.
#[derive(Debug, thiserror::Error)]
#[error("not one of ClusterIP, NodePort, LoadBalancer, ExternalName")]
pub struct UnknownServiceType;

impl FromStr for ServiceType {
    type Err = UnknownServiceType;

    fn from_str(text: &str) -> Result<Self, UnknownServiceType> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownServiceType)
    }
}

/// `spec.internalTrafficPolicy`, `spec.externalTrafficPolicy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// To any usable endpoint.
    #[default]
    Cluster,
    /// To endpoints on this node only.
    Local,
}

/// `spec.ports[].targetPort`: of meaning to people and to whoever makes the slices; no packet is sent by it
/// (SVC-05).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// The name of a container port.
    Name(String),
}

impl fmt::Display for TargetPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Name(name) => f.pad(name),
        }
    }
}

/// One of `spec.ports`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServicePort {
    /// Empty where the Service has a single, nameless port.
    pub name: String,
    /// TCP, UDP or SCTP.
    #[serde(with = "super::protocol")]
    pub protocol: Proto,
    /// What clients dial on a ClusterIP, external or load-balancer address.
    pub port: u16,
    /// What the app listens on.
    pub target_port: TargetPort,
    /// What clients dial on an address of a node.
    pub node_port: Option<u16>,
}

/// `status.loadBalancer.ingress[].ipMode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IngressMode {
    /// Packets arrive with this destination: it is a frontend on every node (LB-01).
    Vip,
    /// The load balancer is a proxy: not a frontend (LB-02).
    Proxy,
}

/// One of `status.loadBalancer.ingress` that has an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ingress {
    /// The load balancer's address.
    pub ip: IpAddr,
    /// What becomes of packets to it.
    pub mode: IngressMode,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Service {
    /// Whose it is.
    pub name: ObjectName,
    /// `metadata.uid`, where it is of a cluster.
    #[serde(default)]
    pub uid: Option<Uid>,
    /// `metadata.creationTimestamp`, seconds since 1970: of two that claim one address, the older has it
    /// (SVC-14). `None` counts as younger than any.
    pub created: Option<i64>,
    /// `spec.type`
    pub kind: ServiceType,
    /// `spec.clusterIPs`, one of a family at most; empty where it is headless or an ExternalName.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.ports`
    pub ports: Vec<ServicePort>,
    /// `spec.externalIPs`
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress`
    pub ingress: Vec<Ingress>,
    /// `spec.loadBalancerSourceRanges`; `None` where there is no restriction. A list of which nothing could
    /// be read is `Some(vec![])`: nobody.
    pub source_ranges: Option<Vec<IpNet>>,
    /// `spec.sessionAffinityConfig.clientIP.timeoutSeconds` where `spec.sessionAffinity` is ClientIP.
    pub affinity_seconds: Option<u32>,
    /// `spec.internalTrafficPolicy`
    pub internal_policy: TrafficPolicy,
    /// `spec.externalTrafficPolicy`
    pub external_policy: TrafficPolicy,
    /// `spec.healthCheckNodePort`
    pub health_check_node_port: Option<u16>,
}

impl Service {
    /// The ClusterIP of a family.
    pub fn cluster_ip(&self, family: Family) -> Option<IpAddr> {
        self.cluster_ips.iter().copied().find(|ip| Family::of(*ip) == family)
    }
}
