//! Flags of the packet path.

use std::net::IpAddr;

use anyhow::Context;
use clap::ValueEnum;
use ipnet::IpNet;
use lb_common::{PortRange, RangeSet};

use super::{Allocation, pods};
use crate::datapath::{self, DeviceHooks, DeviceStatus, Found, Keeper, Pending};
use crate::model::NodePortAddresses;
use crate::node::devices::{DevicePattern, DeviceRules};
use crate::node::links::Link;
use crate::node::path::{PathFacts, path};
use crate::node::ports::{local_ports, remark};
use crate::reconcile::NodePath;
use crate::source::SourceEvent;

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

    /// Addresses of the node that answer on node ports: «all», «primary» for the first one of each family, or
    /// those in networks such as 192.168.0.0/16, comma-separated.
    #[arg(long, env = "SHUNT_NODEPORT_ADDRESSES", value_name = "WHICH", default_value = "all")]
    pub(super) nodeport_addresses: NodePortAddresses,

    /// Attach to devices by clsact filters also where the kernel has TCX (Linux 6.6).
    #[arg(long, env = "SHUNT_NO_TCX")]
    pub(super) no_tcx: bool,
}

impl PacketPath {
    /// Which devices to attach to.
    pub(super) fn rules(&self, cluster_cidrs: &[IpNet], also_pods: Option<DevicePattern>) -> DeviceRules {
        DeviceRules {
            external: self.devices.clone(),
            pods: self.pod_devices.iter().cloned().chain(also_pods).collect(),
            all_pods: self.masquerade_always(),
            cluster_cidrs: cluster_cidrs.to_vec(),
        }
    }

    /// What the packet path is to know.
    pub(super) fn path(
        &self,
        node_ips: &[IpAddr],
        cluster_cidrs: &[IpNet],
        allocation: &Allocation,
    ) -> PathFacts {
        let node_ports = allocation.node_port_range;
        PathFacts {
            node_ips: node_ips.to_vec(),
            cluster_cidrs: cluster_cidrs.to_vec(),
            service_cidrs: allocation.service_cidrs(),
            node_ports: PortRange::new(node_ports.first, node_ports.last),
            vip_ping: !self.no_vip_ping,
            fib_source: datapath::has_fib_source(),
        }
    }

    pub(super) fn masquerade_always(&self) -> bool {
        self.masquerade == Masquerade::Always
    }
}

/// The packet programs, kept where packets of clients arrive.
#[derive(Debug)]
pub(super) struct Devices {
    pub(super) hooks: DeviceHooks,
    pub(super) keeper: Keeper,
    /// Programs of another layout serve: ours are attached when all is known.
    pub(super) pending: Option<Pending>,
    pub(super) rules: DeviceRules,
    pub(super) path: PathFacts,
    /// The devices of the node, as they were last heard of.
    pub(super) links: Option<Vec<Link>>,
    /// Where ClusterIPs are from is what the source says.
    pub(super) takes_service_cidrs: bool,
    /// Where pods are is what the source says of this Node (CFG-DL).
    pub(super) takes_pod_cidrs: bool,
    /// What was said last of the ports to masquerade with.
    pub(super) said_of_ports: Option<String>,
}

impl Devices {
    /// Until the source says something, networks that it is to tell are those that an earlier run was told.
    pub(super) fn begin_with(&mut self, networks: impl Fn(RangeSet) -> Vec<IpNet>) {
        if self.takes_service_cidrs {
            self.path.service_cidrs = networks(RangeSet::CLUSTER_IPS);
        }
        if self.takes_pod_cidrs {
            self.path.cluster_cidrs = networks(RangeSet::PODS);
            self.rules.cluster_cidrs.clone_from(&self.path.cluster_cidrs);
        }
    }

    /// Attaches to these devices of the node, says what is new, and returns what the packet path is to know
    /// of the node then.
    pub(super) fn follow(&mut self, links: Vec<Link>) -> NodePath {
        let links = self.links.insert(links);
        let devices = self.rules.choose(links);
        if self.pending.is_none() {
            match self.hooks.apply(&devices) {
                Ok(changed) => changed.iter().for_each(tell),
                Err(error) => tracing::error!("devices are not followed: {:#}", anyhow::Error::from(error)),
            }
            self.keeper.refresh();
        }
        let path = path(&self.path, links, &devices, local_ports());
        let of_ports = remark(&path.config);
        if let Some(remark) = of_ports.as_ref().filter(|_| of_ports != self.said_of_ports) {
            tracing::warn!("ports to masquerade with: {remark}");
        }
        self.said_of_ports = of_ports;
        path
    }

    /// Takes over from programs of another layout, where there are any and devices are known: call it when all
    /// that is known is in force.
    pub(super) fn take_over(&mut self) -> anyhow::Result<()> {
        if let Some(links) = &self.links
            && let Some(pending) = self.pending.take()
        {
            let changed = pending.activate(&mut self.hooks, &self.rules.choose(links));
            changed.context("cannot take over from the programs that serve")?.iter().for_each(tell);
            self.keeper.refresh();
        }
        Ok(())
    }

    /// Looks whether pins and the cgroup are there, puts right what is not, and says it where `said` is not that.
    pub(super) fn look(&mut self, said: &mut String) {
        if self.pending.is_some() {
            return;
        }
        let now = match self.keeper.look(&mut self.hooks) {
            Ok(None) => String::new(),
            Ok(Some(Found::PinnedAgain(count))) => {
                return tracing::error!("{count} pins were gone, and are there again");
            }
            Ok(Some(Found::CgroupBack)) => {
                said.clear();
                return tracing::info!("the cgroup is back: its sockets are served again");
            }
            Ok(Some(Found::NoCgroup)) => {
                "the cgroup is gone: no socket is served until it is back".to_owned()
            }
            Err(error) => format!("not as it was left, and not put right: {:#}", anyhow::Error::from(error)),
        };
        if now != *said && !now.is_empty() {
            tracing::error!("{now}");
        }
        *said = now;
    }

    /// Takes in what a source says of networks, and returns what the packet path is to know of the node then:
    /// devices are chosen by them too (CFG-DL). Nothing where devices are not known yet, or nothing is said.
    pub(super) fn hear(&mut self, event: &SourceEvent) -> Option<NodePath> {
        let service_cidrs = event.service_cidrs.as_ref().filter(|_| self.takes_service_cidrs);
        let pod_cidrs = pods::told(event).filter(|_| self.takes_pod_cidrs);
        if service_cidrs.is_none() && pod_cidrs.is_none() {
            return None;
        }
        if let Some(cidrs) = service_cidrs {
            self.path.service_cidrs.clone_from(cidrs);
        }
        if let Some(cidrs) = pod_cidrs {
            self.path.cluster_cidrs = cidrs.to_vec();
            self.rules.cluster_cidrs = cidrs.to_vec();
        }
        let links = self.links.take()?;
        Some(self.follow(links))
    }
}

fn tell(status: &DeviceStatus) {
    let DeviceStatus { device, role, ingress, egress, why, .. } = status;
    let why = why.as_deref().unwrap_or_default();
    match role {
        None => tracing::debug!("device {device} is left alone: {why}"),
        Some(role) if status.is_complete() => {
            tracing::info!(
                role,
                ingress = ingress.name(),
                egress = egress.name(),
                "attached to device {device}"
            );
        }
        Some(role) => tracing::error!(
            role,
            ingress = ingress.name(),
            egress = egress.name(),
            "cannot attach to device {device}: {why}"
        ),
    }
}
