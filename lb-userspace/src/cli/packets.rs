//! Flags of the packet path.

use std::net::IpAddr;
use std::str::FromStr;

use clap::ValueEnum;
use ipnet::IpNet;

use crate::model::NodePortAddresses;
use crate::node::devices::{DevicePattern, DeviceRules};

/// When a client's address is replaced by the node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Masquerade {
    /// When the chosen endpoint is on another node: its answer has to come back this way.
    Remote,
    /// Always.
    Always,
}

/// How packets of clients outside are served.
#[derive(Debug, clap::Args)]
pub(super) struct PacketPath {
    /// Devices by which clients outside and other nodes are reached: names, with * for any text and ? for any
    /// character; comma-separated [default: those with an address of the node or a default route, as they
    /// come and go]
    #[arg(long, env = "SHUNT_DEVICES", value_name = "PATTERN", value_delimiter = ',')]
    devices: Vec<DevicePattern>,

    /// Devices behind which there are pods whose sockets can't be hooked (gVisor, Kata, virtual machines);
    /// names as for --devices [default: none]
    #[arg(long, env = "SHUNT_POD_DEVICES", value_name = "PATTERN", value_delimiter = ',')]
    pod_devices: Vec<DevicePattern>,

    /// When a client outside is masqueraded: when the chosen endpoint is on another node, or always. What is
    /// masqueraded comes to the endpoint from this node's address, not from the client's.
    #[arg(long, env = "SHUNT_MASQUERADE", value_enum, value_name = "WHEN", default_value = "remote")]
    masquerade: Masquerade,

    /// Don't answer a ping of a Service's address.
    #[arg(long, env = "SHUNT_NO_VIP_PING")]
    no_vip_ping: bool,

    /// Addresses of the node that answer on node ports: CIDRs, comma-separated, or «primary» for the first
    /// address of each family [default: all of them]
    #[arg(long, env = "SHUNT_NODEPORT_ADDRESSES", value_name = "CIDR|primary", value_delimiter = ',')]
    nodeport_addresses: Vec<NodePortAddress>,

    /// Attach to devices by clsact filters also where the kernel has TCX (Linux 6.6).
    #[arg(long, env = "SHUNT_NO_TCX")]
    pub(super) no_tcx: bool,
}

impl PacketPath {
    /// Which devices to attach to.
    pub(super) fn rules(&self, cluster_cidrs: &[IpNet]) -> DeviceRules {
        DeviceRules {
            external: self.devices.clone(),
            pods: self.pod_devices.clone(),
            cluster_cidrs: cluster_cidrs.to_vec(),
        }
    }

    pub(super) fn masquerade_always(&self) -> bool {
        self.masquerade == Masquerade::Always
    }

    /// Which addresses accept NodePorts (NP-02).
    pub(super) fn node_port_addresses(&self) -> NodePortAddresses {
        let mut nets = Vec::new();
        for address in &self.nodeport_addresses {
            match address {
                // As kube-proxy has it: «primary» stands alone.
                NodePortAddress::Primary => return NodePortAddresses::Primary,
                NodePortAddress::Within(net) => nets.push(*net),
            }
        }
        if nets.is_empty() { NodePortAddresses::All } else { NodePortAddresses::Within(nets) }
    }
}

/// One word of `--nodeport-addresses`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodePortAddress {
    Primary,
    Within(IpNet),
}

impl FromStr for NodePortAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "primary" {
            return Ok(Self::Primary);
        }
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(Self::Within).map_err(|_| format!("neither a CIDR nor «primary»: {text}"))
    }
}
