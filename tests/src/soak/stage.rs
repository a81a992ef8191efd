//! The nodes, pods and clients, and the paths that are dialled.

use anyhow::Result;

use crate::manifest::{Service, service};
use crate::wire::Transport;
use crate::{Network, Node, Outside, Pod, Process, serve};

/// The pods, in the order by which endpoints move on: each second one is on the other node.
const PODS: usize = 6;
const ALL: &[usize] = &[0, 1, 2, 3, 4, 5];
const HERE: &[usize] = &[0, 2, 4];
const THERE: &[usize] = &[1, 3, 5];

/// A Service, and by what it is dialled.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// Its name.
    pub name: &'static str,
    /// What is dialled.
    pub target: &'static str,
    /// From a pod of the node, whose sockets are hooked; else from outside, by packets.
    pub from_pod: bool,
    /// How.
    pub transport: Transport,
    /// Which pods are its endpoints by turns.
    pub pods: &'static [usize],
    /// How many of them at a time.
    pub at_once: usize,
    /// The port of the pods.
    pub(super) port: u16,
}

const fn path(name: &'static str, target: &'static str, pods: &'static [usize]) -> Path {
    Path { name, target, from_pod: false, transport: Transport::Tcp, pods, at_once: 1, port: 80 }
}

/// What is dialled all the while.
pub const PATHS: [Path; 6] = [
    Path { from_pod: true, at_once: 2, ..path("pod-tcp", "10.96.0.10:80", ALL) },
    Path { from_pod: true, transport: Transport::Udp, port: 5000, ..path("pod-udp", "10.96.0.11:5000", ALL) },
    Path { from_pod: true, ..path("pod-node-port", "192.168.49.11:31001", ALL) },
    path("outside-here", "192.168.49.11:31002", HERE),
    path("outside-there", "192.168.49.11:31003", THERE),
    Path {
        transport: Transport::Udp,
        port: 5000,
        at_once: 2,
        ..path("outside-udp", "192.168.49.11:31004", ALL)
    },
];

/// What is downloaded by.
pub const TRANSFERS: [Path; 3] = [
    Path { from_pod: true, port: 8081, at_once: 2, ..path("bulk-pod", "10.96.0.20:80", ALL) },
    Path { port: 8082, ..path("bulk-here", "192.168.49.11:31011", HERE) },
    Path { port: 8083, ..path("bulk-there", "192.168.49.11:31012", THERE) },
];

impl Path {
    /// Whether a pod is an endpoint in a version of the world: endpoints move on by one pod with each.
    pub fn has(&self, version: usize, pod: usize) -> bool {
        let len = self.pods.len();
        (0..self.at_once).any(|index| self.pods[(version + index) % len] == pod)
    }

    /// The Service behind it.
    pub(super) fn service(&self) -> Service {
        let service = service(self.name).selecting(self.name, "yes");
        let (ip, port) = self.target.rsplit_once(':').unwrap_or_default();
        let number = port.parse().unwrap_or_default();
        let is_node_port = ip.starts_with("192.");
        let mut service = service.port(if is_node_port { 80 } else { number }).target(self.port);
        if self.transport != Transport::Tcp {
            service = service.udp();
        }
        if !is_node_port {
            return service.cluster_ip(ip);
        }
        // In a cluster nobody allocates one here.
        service.node_port(number).cluster_ip(&format!("10.96.3.{}", number % 256))
    }
}

/// Two nodes with three pods each, one of the nodes for an instance, and clients. The fields are dropped in this
/// order.
#[derive(Debug)]
pub struct Stage {
    _servers: Vec<Process>,
    /// Every second one on the other node.
    pub pods: Vec<Pod>,
    /// A pod of the node that serves nothing.
    pub client: Pod,
    /// A client that no hook sees.
    pub outside: Outside,
    /// Where the instance runs.
    pub node: Node,
    _other: Node,
    _network: Network,
}

impl Stage {
    /// Everything but the instance.
    ///
    /// # Errors
    ///
    /// Where there is no root, or the machine can't.
    pub fn set() -> Result<Self> {
        let network = Network::create()?;
        let (node, other) = (network.node("node-1")?, network.node("node-2")?);
        let outside = network.outside("outside")?;
        let mut pods = Vec::new();
        let mut servers = Vec::new();
        for number in 0..PODS {
            let host = if HERE.contains(&number) { &node } else { &other };
            let pod = host.pod(&format!("pod-{number}"))?;
            let ports =
                TRANSFERS.iter().fold(serve().http(80).udp(5000), |serve, path| serve.http(path.port));
            servers.push(ports.at(&pod)?);
            pods.push(pod);
        }
        let client = node.pod("client")?;
        Ok(Self { _servers: servers, pods, client, outside, node, _other: other, _network: network })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_move_on_with_each_version_and_there_is_always_one() {
        for path in PATHS.iter().chain(&TRANSFERS) {
            for version in 0..20 {
                let now: Vec<_> = (0..PODS).filter(|pod| path.has(version, *pod)).collect();
                let next: Vec<_> = (0..PODS).filter(|pod| path.has(version + 1, *pod)).collect();
                assert_eq!(now.len(), path.at_once);
                assert_ne!(now, next, "{} at {version}", path.name);
                assert!(now.iter().all(|pod| path.pods.contains(pod)));
            }
        }
    }
}
