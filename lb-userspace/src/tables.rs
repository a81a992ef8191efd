//! What should be in the kernel, before it has ids: the output of [`crate::compile`], the input of
//! [`crate::reconcile`].

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use lb_common::{Addr, FrontendFlags, FrontendKey, Port, Proto};

use crate::model::{Family, ObjectName, ServiceType};
use crate::text;

/// One load-balancing group: a Service port in one address family (SVC-04, SVC-07).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// The Service.
    pub service: ObjectName,
    /// The name of its port; may be empty.
    pub port_name: String,
    /// The protocol of its port.
    pub protocol: Proto,
    /// The address family.
    pub family: Family,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        if !self.port_name.is_empty() {
            write!(f, ":{}", text::name(&self.port_name))?;
        }
        write!(f, " {} {}", self.protocol, self.family)
    }
}

/// A backend of one Service port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendKey {
    /// The pod's address.
    pub addr: Addr,
    /// The target port.
    pub port: Port,
}

impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addr.is_v4() {
            write!(f, "{}:{}", self.addr, self.port)
        } else {
            write!(f, "[{}]:{}", self.addr, self.port)
        }
    }
}

/// What the kernel is to know of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BackendState {
    /// In the cluster list.
    pub in_cluster: bool,
    /// In the local list.
    pub in_local: bool,
    /// On this node.
    pub on_node: bool,
}

/// Everything the kernel is to know of one Service port. Of a Service of several ports and families there
/// are several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTable {
    /// Whose it is.
    pub key: ServiceKey,
    /// `spec.type`, for people.
    pub kind: ServiceType,
    /// `spec.ports[].port`, for people.
    pub port: u16,
    /// `spec.ports[].targetPort`, for people.
    pub target_port: String,
    /// `spec.ports[].nodePort`, for people; 0 is none.
    pub node_port: u16,
    /// `metadata.creationTimestamp`: see [`crate::model::Service::created`].
    pub created: Option<i64>,
    /// Ways in, guards included.
    pub frontends: BTreeMap<FrontendKey, FrontendFlags>,
    /// Every endpoint that serves, whether a list has it or not: flows to it live for as long as it is here.
    pub backends: BTreeMap<BackendKey, BackendState>,
    /// Affinity timeout in seconds; 0 is no affinity.
    pub affinity_seconds: u32,
    /// Source ranges for clients outside, of this family; `None` is no restriction.
    pub source_ranges: Option<Vec<IpNet>>,
}

impl ServiceTable {
    /// Where a policy leaves nothing on this node, though there are endpoints elsewhere.
    pub fn unserved(&self) -> Unserved {
        let has = |is_in: fn(&BackendState) -> bool| self.backends.values().any(is_in);
        if !has(|backend| backend.in_cluster) || has(|backend| backend.in_local) {
            return Unserved::default();
        }
        let (inside, outside) = (FrontendFlags::INSIDE_LOCAL, FrontendFlags::OUTSIDE_LOCAL);
        let flags = || self.frontends.values();
        Unserved {
            internal: usize::from(flags().any(|flags| flags.has(inside))),
            external: usize::from(flags().any(|flags| flags.has(outside) && !flags.has(inside))),
        }
    }
}

/// How many Service ports have endpoints, but none on this node where a policy wants such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unserved {
    /// By `internalTrafficPolicy`.
    pub internal: usize,
    /// By `externalTrafficPolicy`.
    pub external: usize,
}

impl Unserved {
    /// Of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { internal: self.internal + other.internal, external: self.external + other.external }
    }
}
