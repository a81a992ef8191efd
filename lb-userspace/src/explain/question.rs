//! The packet that is asked about, and where it comes from.

use std::net::IpAddr;

use lb_common::{Addr, Proto};

use crate::model::{Family, NodeFacts};

/// The first packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Who sends.
    pub src: IpAddr,
    /// By which protocol.
    pub proto: Proto,
    /// The address dialled.
    pub dst: IpAddr,
    /// The port dialled; of no meaning to a protocol without ports.
    pub dport: u16,
}

/// No packet goes from one family to the other.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the source {src} and the destination {dst} are of different address families")]
pub struct MixedFamilies {
    src: IpAddr,
    dst: IpAddr,
}

/// Not a protocol that a packet to a Service can be of.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the protocol {0:?} is not one of TCP, UDP, SCTP, ICMP")]
pub struct UnknownProtocol(String);

impl Question {
    /// An IPv4 address in IPv6 clothes counts as what it is.
    ///
    /// # Errors
    ///
    /// The addresses are of two families.
    pub fn new(src: IpAddr, proto: Proto, dst: IpAddr, dport: u16) -> Result<Self, MixedFamilies> {
        let (src, dst) = (src.to_canonical(), dst.to_canonical());
        if Family::of(src) != Family::of(dst) {
            return Err(MixedFamilies { src, dst });
        }
        Ok(Self { src, proto, dst, dport })
    }

    /// The family of both addresses.
    pub fn family(&self) -> Family {
        Family::of(self.dst)
    }

    /// `172.20.0.10:80`, `[fd00::1]:80`
    pub fn place(&self) -> String {
        std::net::SocketAddr::new(self.dst, self.dport).to_string()
    }
}

/// A protocol by its name: those of a Service port, and the ones of ping, which a ClusterIP refuses (CIP-03).
///
/// # Errors
///
/// The name is of no such protocol.
pub(super) fn protocol(name: &str) -> Result<Proto, UnknownProtocol> {
    const ICMP: Proto = Proto::from_number(1);
    const ICMPV6: Proto = Proto::from_number(58);
    match name.to_ascii_lowercase().as_str() {
        "icmp" => Ok(ICMP),
        "icmpv6" => Ok(ICMPV6),
        other => other.parse().map_err(|_| UnknownProtocol(name.to_owned())),
    }
}

/// Where a packet comes from, as this node sees it (§0, CFG-DL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The node itself: from one of its addresses, or from loopback.
    Node,
    /// A pod: from an address of the cluster's pods.
    Pod,
    /// Anything else; a pod too, where pods can't be told.
    Outside,
}

impl Source {
    /// Where `src` is from.
    pub fn of(src: IpAddr, node: &NodeFacts) -> Self {
        if Addr::from(src).is_own_host() || node.addresses.contains(&src) {
            Self::Node
        } else if node.cluster_cidrs.iter().any(|cidr| cidr.contains(&src)) {
            Self::Pod
        } else {
            Self::Outside
        }
    }
}
