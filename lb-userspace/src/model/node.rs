//! The node that this instance serves.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Family;

/// Which of the node's addresses accept NodePorts (NP-02).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NodePortAddresses {
    /// Every address of the node.
    #[default]
    All,
    /// The first address of each family.
    Primary,
    /// Addresses of the node inside these.
    Within(Vec<IpNet>),
}

/// Neither a word known nor networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not all, primary, or networks such as 192.168.0.0/16")]
pub struct UnknownNodePortAddresses(String);

impl FromStr for NodePortAddresses {
    type Err = UnknownNodePortAddresses;

    /// `all`, `primary`, or networks with commas between.
    fn from_str(text: &str) -> Result<Self, UnknownNodePortAddresses> {
        match text.trim() {
            "all" | "" => Ok(Self::All),
            "primary" => Ok(Self::Primary),
            networks => networks
                .split(',')
                .map(|network| network.trim().parse::<IpNet>())
                .collect::<Result<Vec<_>, _>>()
                .map(Self::Within)
                .map_err(|_| UnknownNodePortAddresses(text.to_owned())),
        }
    }
}

/// What says which networks pods have their addresses from (CFG-DL); values as kube-proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
pub enum DetectLocal {
    /// `--cluster-cidr`: pods of every node.
    #[default]
    #[value(name = "ClusterCIDR")]
    ClusterCidr,
    /// `spec.podCIDRs` of this Node: pods of this node alone.
    #[value(name = "NodeCIDR")]
    NodeCidr,
    /// By no network: what comes in by one bridge is a pod's.
    #[value(name = "BridgeInterface")]
    BridgeInterface,
    /// By no network: what comes in by devices whose names begin alike is a pod's.
    #[value(name = "InterfaceNamePrefix")]
    InterfaceNamePrefix,
}

impl DetectLocal {
    /// Whether pods are told by the device that they are behind, whatever their addresses are.
    pub fn is_by_device(self) -> bool {
        matches!(self, Self::BridgeInterface | Self::InterfaceNamePrefix)
    }
}

/// What the Node object of this node says. One that is gone has said it all the same, as long as this node
/// serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NodeObject {
    /// Label `topology.kubernetes.io/zone` (TOPO-06).
    pub zone: Option<String>,
    /// `status.addresses`: those of type InternalIP, then those of type ExternalIP (NOD-03).
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`: where pods of this node have their addresses from (CFG-DL).
    pub pod_cidrs: Vec<IpNet>,
    /// Whether it is about to go away (HLZ-04).
    pub is_leaving: bool,
}

/// What `compile` must know of the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeFacts {
    /// `metadata.name` of the Node.
    pub name: String,
    /// The node's addresses without loopback and link-local ones; the first of a family is the primary one.
    pub addresses: Vec<IpAddr>,
    /// Label `topology.kubernetes.io/zone` of the Node (TOPO-01).
    pub zone: Option<String>,
    /// `--bind-address`: the primary address of its family, whatever the Node object says (NOD-03).
    #[serde(default)]
    pub bind_address: Option<IpAddr>,
    /// `--detect-local-mode`: where `cluster_cidrs` come from.
    pub detect_local: DetectLocal,
    /// Where pods' addresses are from (`--cluster-cidr`, or `spec.podCIDRs` of the Node): how a packet that
    /// comes from a pod is told (CFG-DL). All of a family count. Empty: it can't be told.
    pub cluster_cidrs: Vec<IpNet>,
    /// `--nodeport-addresses`
    pub node_port_addresses: NodePortAddresses,
    /// `--masquerade=always`: also where the chosen backend would see the client's own address otherwise.
    pub masquerade_always: bool,
}

impl NodeFacts {
    /// Takes the addresses that the interfaces have, in the order of the Node object as far as it names them
    /// (NOD-03): which one is the primary one is the cluster's to say, but for the one that was given, and which
    /// there are is the kernel's.
    pub fn set_addresses(&mut self, interfaces: &[IpAddr], object: &[IpAddr]) {
        let named = self.bind_address.iter().chain(object).filter(|ip| interfaces.contains(ip));
        self.addresses.clear();
        for ip in named.chain(interfaces) {
            if !self.addresses.contains(ip) {
                self.addresses.push(*ip);
            }
        }
    }

    /// The first address of a family.
    pub fn primary(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|ip| Family::of(*ip) == family)
    }

    /// Whether a packet of a family that comes from a pod is told from others (CFG-DL).
    pub fn can_tell_pods(&self, family: Family) -> bool {
        self.detect_local.is_by_device()
            || self.cluster_cidrs.iter().any(|cidr| Family::of(cidr.addr()) == family)
    }

    /// The addresses of a family that accept NodePorts.
    pub fn node_port_addresses(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        let primary = self.primary(family);
        self.addresses.iter().copied().filter(move |ip| {
            Family::of(*ip) == family
                && match &self.node_port_addresses {
                    NodePortAddresses::All => true,
                    NodePortAddresses::Primary => Some(*ip) == primary,
                    NodePortAddresses::Within(nets) => nets.iter().any(|net| net.contains(ip)),
                }
        })
    }
}
