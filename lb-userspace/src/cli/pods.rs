//! Flags that say by which networks pods are told from clients outside (CFG-DL).

use ipnet::IpNet;

use crate::model::{Change, DetectLocal};
use crate::source::SourceEvent;

/// Where pods are.
#[derive(Debug, clap::Args)]
pub(super) struct PodNetworks {
    /// Where the pods of the cluster have their addresses; comma-separated, for both families. By it a pod
    /// is told from a client outside.
    #[arg(long, env = "SHUNT_CLUSTER_CIDR", value_name = "CIDR", value_delimiter = ',')]
    cluster_cidr: Vec<IpNet>,

    /// By which networks a pod is told from a client outside: those of --cluster-cidr (ClusterCIDR), or
    /// spec.podCIDRs of this Node (NodeCIDR), which take the place of --cluster-cidr.
    #[arg(
        long,
        env = "SHUNT_DETECT_LOCAL_MODE",
        value_enum,
        ignore_case = true,
        value_name = "MODE",
        default_value = "ClusterCIDR"
    )]
    pub(super) detect_local_mode: DetectLocal,
}

impl PodNetworks {
    /// Whether they are what the source says of this Node.
    pub(super) fn is_of_node(&self) -> bool {
        self.detect_local_mode == DetectLocal::NodeCidr
    }

    /// What they are before a source says anything.
    pub(super) fn known(&self) -> Vec<IpNet> {
        if !self.is_of_node() {
            return self.cluster_cidr.clone();
        }
        if !self.cluster_cidr.is_empty() {
            tracing::warn!("--cluster-cidr is not looked at with --detect-local-mode NodeCIDR");
        }
        vec![]
    }
}

/// What an event says of where pods of this node are, if anything.
pub(super) fn told(event: &SourceEvent) -> Option<&[IpNet]> {
    event.changes.iter().rev().find_map(|change| match change {
        Change::PodCidrs(cidrs) => Some(cidrs.as_slice()),
        _ => None,
    })
}
