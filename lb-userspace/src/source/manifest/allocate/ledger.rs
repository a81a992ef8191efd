//! Who has which number.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::{Family, ObjectName};

/// A number that a Service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held<T> {
    /// The address or the port.
    pub number: T,
    /// It was given; else its manifest says it.
    pub automatic: bool,
}

/// The numbers of one Service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Numbers {
    /// ClusterIPs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", rename = "clusterIPs")]
    pub cluster_ips: BTreeMap<Family, Held<IpAddr>>,
    /// Node ports by the names of their ports, as the API server knows them again when a Service changes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_ports: BTreeMap<String, Held<u16>>,
    /// The port of the health check (HCN-01).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_node_port: Option<Held<u16>>,
}

impl Numbers {
    pub(in crate::source::manifest) fn is_empty(&self) -> bool {
        self.cluster_ips.is_empty() && self.node_ports.is_empty() && self.health_check_node_port.is_none()
    }
}

/// The numbers of all Services, those included whose manifest can't be read at the moment.
pub type Ledger = BTreeMap<ObjectName, Numbers>;
