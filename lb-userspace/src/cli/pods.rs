//! Flags that say by what pods are told from clients outside (CFG-DL).

use anyhow::Context;
use ipnet::IpNet;

use crate::model::{Change, DetectLocal};
use crate::node::devices::DevicePattern;
use crate::source::SourceEvent;

/// Where pods are.
#[derive(Debug, clap::Args)]
pub(super) struct PodNetworks {
    /// Where the pods of the cluster have their addresses; comma-separated, for both families. By it a pod
    /// is told from a client outside.
    #[arg(long, env = "SHUNT_CLUSTER_CIDR", value_name = "CIDR", value_delimiter = ',')]
    cluster_cidr: Vec<IpNet>,

    /// By what a pod is told from a client outside: the networks of --cluster-cidr (ClusterCIDR), those of
    /// spec.podCIDRs of this Node, which take their place (NodeCIDR), or the device that its packets come in by
    /// (BridgeInterface, InterfaceNamePrefix), which gets programs as --pod-devices does. Sockets of pods are told
    /// by themselves.
    #[arg(
        long,
        env = "SHUNT_DETECT_LOCAL_MODE",
        value_enum,
        ignore_case = true,
        value_name = "MODE",
        default_value = "ClusterCIDR"
    )]
    pub(super) detect_local_mode: DetectLocal,

    /// Bridge of the pods of this node; for --detect-local-mode BridgeInterface.
    #[arg(long, env = "SHUNT_POD_BRIDGE_INTERFACE", value_name = "NAME")]
    pod_bridge_interface: Option<String>,

    /// What the names of devices to pods of this node begin with; for --detect-local-mode InterfaceNamePrefix.
    #[arg(long, env = "SHUNT_POD_INTERFACE_NAME_PREFIX", value_name = "PREFIX")]
    pod_interface_name_prefix: Option<String>,
}

impl PodNetworks {
    /// Whether they are what the source says of this Node.
    pub(super) fn is_of_node(&self) -> bool {
        self.detect_local_mode == DetectLocal::NodeCidr
    }

    /// What they are before a source says anything.
    pub(super) fn known(&self) -> Vec<IpNet> {
        if self.detect_local_mode == DetectLocal::ClusterCidr {
            return self.cluster_cidr.clone();
        }
        if !self.cluster_cidr.is_empty() {
            tracing::warn!("--cluster-cidr is looked at with --detect-local-mode ClusterCIDR alone");
        }
        vec![]
    }

    /// The devices that pods are behind, where they are told by these.
    pub(super) fn devices(&self) -> anyhow::Result<Option<DevicePattern>> {
        let text = match self.detect_local_mode {
            DetectLocal::ClusterCidr | DetectLocal::NodeCidr => return Ok(None),
            DetectLocal::BridgeInterface => given(self.pod_bridge_interface.as_ref()).context(
                "--detect-local-mode BridgeInterface: which bridge? name it by --pod-bridge-interface",
            )?,
            DetectLocal::InterfaceNamePrefix => {
                let prefix = given(self.pod_interface_name_prefix.as_ref());
                prefix.map(|prefix| format!("{prefix}*")).context(
                    "--detect-local-mode InterfaceNamePrefix: which devices? say by --pod-interface-name-prefix what \
                     their names begin with",
                )?
            }
        };
        Ok(Some(text.parse()?))
    }
}

/// Configurations as kubeadm writes them say nothing by an empty text.
fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

/// What an event says of where pods of this node are, if anything.
pub(super) fn told(event: &SourceEvent) -> Option<&[IpNet]> {
    event.changes.iter().rev().find_map(|change| match change {
        Change::Node(node) => Some(node.pod_cidrs.as_slice()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        pods: PodNetworks,
    }

    fn devices(arguments: &[&str]) -> Result<Option<String>, String> {
        let line =
            Line::try_parse_from([&["shunt"], arguments].concat()).map_err(|error| error.to_string())?;
        let devices = line.pods.devices().map_err(|error| error.to_string())?;
        Ok(devices.map(|pattern| pattern.to_string()))
    }

    #[test]
    fn pods_are_behind_the_devices_that_the_mode_names_cfg_dl() {
        let prefix = ["--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "cali"];
        assert_eq!(devices(&prefix), Ok(Some("cali*".to_owned())));
        let bridge = ["--detect-local-mode", "BridgeInterface", "--pod-bridge-interface", "cni0"];
        assert_eq!(devices(&bridge), Ok(Some("cni0".to_owned())));
        assert_eq!(devices(&["--pod-bridge-interface", "cni0"]), Ok(None), "the mode decides");
    }

    #[test]
    fn a_mode_by_devices_without_their_name_is_refused_with_the_flag_to_give_cfg_dl() {
        for (mode, flag) in [
            ("BridgeInterface", "--pod-bridge-interface"),
            ("InterfaceNamePrefix", "--pod-interface-name-prefix"),
        ] {
            let error = devices(&["--detect-local-mode", mode]).expect_err("no device");
            assert!(error.contains(mode) && error.contains(flag), "{error}");
        }
    }
}
