//! `RANGES`: sets of networks, by longest prefix. A Service's source ranges are one set; what the node must
//! know of the cluster's networks are others, and one is of devices, each a network of one address.

use crate::{Addr, ServiceId};

/// A set of networks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RangeSet(u32);

impl RangeSet {
    /// Where pods' addresses are from (`--cluster-cidr`): a client in it is inside (CFG-DL).
    pub const PODS: Self = Self(u32::MAX);
    /// Where ClusterIPs are from (`--service-cidr`): what no Service has there is dropped (CIP-04).
    pub const CLUSTER_IPS: Self = Self(u32::MAX - 1);
    /// Devices without programs: an answer that comes in by one of them to the node's own address is not seen.
    pub const UNSEEN_DEVICES: Self = Self(u32::MAX - 2);

    /// Who may dial the load-balancer addresses of a Service port (LSR-01).
    #[inline(always)]
    pub const fn sources(service: ServiceId) -> Self {
        Self(service.number())
    }
}

/// The data of an LPM trie's key, after its prefix length: 20 bytes.
///
/// All 32 bits of the set are part of every prefix, so that sets never meet.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RangeKey {
    set: u32,
    addr: Addr,
}

impl RangeKey {
    /// Prefix length of a lookup.
    pub const FULL: u32 = 32 + 128;

    /// An address in a set.
    #[inline(always)]
    pub const fn new(set: RangeSet, addr: Addr) -> Self {
        Self { set: set.0, addr }
    }

    /// A device in a set of devices, by its number.
    #[inline(always)]
    pub const fn device(set: RangeSet, ifindex: u32) -> Self {
        Self::new(set, Addr::from_words([0, 0, 0, ifindex.to_be()]))
    }

    /// The length in the trie of a prefix of `bits` bits, counted in the address's own family (0 to 32, 0 to
    /// 128).
    pub const fn prefix_len(addr: Addr, bits: u8) -> u32 {
        let mapped = if addr.is_v4() { 96 } else { 0 };
        32 + mapped + bits as u32
    }

    /// The network's address.
    pub const fn addr(&self) -> Addr {
        self.addr
    }

    /// The set.
    pub const fn set(&self) -> RangeSet {
        RangeSet(self.set)
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    #[test]
    fn a_prefix_of_an_ipv4_network_counts_its_mapped_form() {
        let addr = |text: &str| Addr::from(text.parse::<IpAddr>().expect(text));
        assert_eq!(RangeKey::prefix_len(addr("10.0.0.0"), 8), 32 + 96 + 8);
        assert_eq!(RangeKey::prefix_len(addr("10.0.0.0"), 32), RangeKey::FULL);
        assert_eq!(RangeKey::prefix_len(addr("fd00::"), 8), 40);
        assert_eq!(RangeKey::prefix_len(addr("fd00::"), 128), RangeKey::FULL);
    }
}
