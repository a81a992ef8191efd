//! `NODE`: what the packet path must know of the node. One element, mapped into userspace, for addresses may
//! change while programs run.

use crate::{Addr, FilterBit, Port};

/// What the node is and wants.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct NodeFlags(u32);

set_of_flags_or_none!(NodeFlags);

impl NodeFlags {
    /// Echo requests to Service addresses are answered (`--no-vip-ping` leaves it off).
    pub const VIP_PING: Self = Self(1 << 0);
    /// The kernel's `bpf_fib_lookup` tells the source address of a route (`BPF_FIB_LOOKUP_SRC`, Linux 6.7).
    pub const FIB_SOURCE: Self = Self(1 << 1);
    /// Pod-side devices have our programs too: only then can a pod of this node answer a masqueraded packet.
    pub const POD_DEVICES: Self = Self(1 << 2);
    /// `RANGES` has networks of pods.
    pub const POD_RANGES: Self = Self(1 << 3);
    /// `RANGES` has networks of ClusterIPs.
    pub const CLUSTER_IP_RANGES: Self = Self(1 << 4);
    /// The kernel gives the ports to masquerade with to sockets too: it leaves hardly any others. No program asks.
    pub const SHARED_PORTS: Self = Self(1 << 5);
}

/// A range of ports, both ends included, in host order: 4 bytes. `first` above `last` is no port.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// No port.
    pub const EMPTY: Self = Self { first: 1, last: 0 };

    /// `first` to `last`, both included.
    pub const fn new(first: u16, last: u16) -> Self {
        Self { first, last }
    }

    /// How many ports there are.
    #[inline(always)]
    pub const fn len(&self) -> u32 {
        (self.last as u32 + 1).saturating_sub(self.first as u32)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first port.
    pub const fn first(&self) -> u16 {
        self.first
    }

    /// The last port.
    pub const fn last(&self) -> u16 {
        self.last
    }
}

/// The one element of `NODE`: 48 bytes, a multiple of eight, so that it can be written by words.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// In place of clients that a remote backend may not see, where the route's own is not known.
    masquerade_v4: Addr,
    masquerade_v6: Addr,
    /// Ports that neither the kernel gives to sockets nor Kubernetes to Services.
    ports: [PortRange; 2],
    flags: NodeFlags,
    pad: u32,
}

impl NodeConfig {
    /// [`Addr::UNSPECIFIED`] where the node has no address of the family: nothing is masqueraded then.
    pub const fn new(
        masquerade_v4: Addr,
        masquerade_v6: Addr,
        ports: [PortRange; 2],
        flags: NodeFlags,
    ) -> Self {
        Self { masquerade_v4, masquerade_v6, ports, flags, pad: 0 }
    }

    /// The address put in place of clients, of the family of `like`.
    #[inline(always)]
    pub const fn masquerade(&self, like: Addr) -> Addr {
        if like.is_v4() { self.masquerade_v4 } else { self.masquerade_v6 }
    }

    /// How many ports there are to masquerade with.
    #[inline(always)]
    pub const fn port_count(&self) -> u32 {
        self.ports[0].len() + self.ports[1].len()
    }

    /// The port of that number, counted through both ranges; `number` is below [`Self::port_count`].
    #[inline(always)]
    pub const fn port(&self, number: u32) -> Port {
        let in_first = self.ports[0].len();
        if number < in_first {
            Port::new((self.ports[0].first as u32 + number) as u16)
        } else {
            Port::new((self.ports[1].first as u32 + (number - in_first)) as u16)
        }
    }

    /// The ranges.
    pub const fn ports(&self) -> [PortRange; 2] {
        self.ports
    }

    /// The bits of the filter by which answers to these ports are found; one may be there twice.
    pub fn port_bits(&self) -> impl Iterator<Item = FilterBit> {
        let ranges = self.ports.into_iter().filter(|range| !range.is_empty());
        let high_bytes = ranges.flat_map(|range| range.first >> 8..=range.last >> 8);
        high_bytes.map(|high| FilterBit::masquerade_port(Port::new(high << 8)))
    }

    /// Whether it was written: an element that was not is all zero, and port 0 is nobody's.
    pub const fn is_told(&self) -> bool {
        self.ports[0].first != 0
    }

    /// See [`NodeFlags`].
    #[inline(always)]
    pub const fn flags(&self) -> NodeFlags {
        self.flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(ports: [PortRange; 2]) -> NodeConfig {
        NodeConfig::new(Addr::UNSPECIFIED, Addr::UNSPECIFIED, ports, NodeFlags::empty())
    }

    #[test]
    fn ports_are_numbered_through_both_ranges() {
        let config = config([PortRange::new(1024, 29_999), PortRange::new(61_000, 65_535)]);
        assert_eq!(config.port_count(), 28_976 + 4_536);
        for (number, port) in [(0, 1024), (28_975, 29_999), (28_976, 61_000), (33_511, 65_535)] {
            assert_eq!(config.port(number), Port::new(port));
            assert!(config.port_bits().any(|bit| bit == FilterBit::masquerade_port(Port::new(port))));
        }
    }

    #[test]
    fn an_empty_range_has_no_port() {
        let config = config([PortRange::EMPTY, PortRange::EMPTY]);
        assert_eq!((config.port_count(), config.port_bits().count()), (0, 0));
    }
}
