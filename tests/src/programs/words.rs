//! What a node serves, in words.

use std::net::{IpAddr, SocketAddr};

use lb_common::{FrontendFlags, FrontendKind, Proto};

/// One address, port and protocol that clients dial.
#[derive(Debug, Clone, Copy)]
pub struct Frontend {
    pub(super) addr: SocketAddr,
    pub(super) proto: Proto,
    pub(super) flags: FrontendFlags,
}

/// A frontend.
pub fn frontend(addr: SocketAddr, proto: Proto) -> Frontend {
    Frontend { addr, proto, flags: FrontendFlags::of(FrontendKind::ClusterIp) }
}

impl Frontend {
    /// The same with a policy.
    #[must_use]
    pub fn with(mut self, flags: FrontendFlags) -> Self {
        self.flags = self.flags.with(flags);
        self
    }
}

/// A Service port: its frontends, and the backends that it leads to.
#[derive(Debug, Clone, Default)]
pub struct Service {
    pub(super) frontends: Vec<Frontend>,
    pub(super) backends: Vec<SocketAddr>,
    pub(super) affinity_seconds: u32,
    pub(super) sources: Vec<(IpAddr, u8)>,
}

/// A Service port with one frontend.
pub fn service(frontend: Frontend) -> Service {
    Service { frontends: vec![frontend], ..Service::default() }
}

impl Service {
    /// With one more frontend.
    #[must_use]
    pub fn and(mut self, frontend: Frontend) -> Self {
        self.frontends.push(frontend);
        self
    }

    /// With one more backend: on this node, where it has an address of the node's pods.
    #[must_use]
    pub fn to(mut self, backend: SocketAddr) -> Self {
        self.backends.push(backend);
        self
    }

    /// Clients have the backend again that they had last.
    #[must_use]
    pub fn affinity(mut self, seconds: u32) -> Self {
        self.affinity_seconds = seconds;
        self
    }

    /// Clients outside must be of one of these networks: all frontends ask for it.
    #[must_use]
    pub fn sources(mut self, networks: &[&str]) -> Self {
        for network in networks {
            let (addr, bits) = network.split_once('/').expect("a network and its bits");
            let addr = addr.parse().expect("an address");
            self.sources.push((addr, bits.parse().expect("a number of bits")));
        }
        for frontend in &mut self.frontends {
            *frontend = frontend.with(FrontendFlags::SOURCE_RANGES);
        }
        self
    }
}
