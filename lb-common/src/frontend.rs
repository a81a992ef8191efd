//! Frontends: the addresses that clients dial. The map `FRONTENDS` answers «whose is this address and port?»

use core::fmt;

use crate::{Addr, Port, Proto, ServiceId};

/// What a packet or a dial is looked up by: 20 bytes, no padding.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrontendKey {
    addr: Addr,
    port: Port,
    proto: Proto,
    /// Always zero.
    pad: u8,
}

impl FrontendKey {
    /// The key of a frontend.
    #[inline(always)]
    pub const fn new(addr: Addr, port: Port, proto: Proto) -> Self {
        Self { addr, port, proto, pad: 0 }
    }

    /// The entry that says «this address belongs to Services whatever the port», so that a wrong port on a
    /// ClusterIP is refused at once instead of being sent where no host is (CIP-03).
    #[inline(always)]
    pub const fn address_guard(addr: Addr) -> Self {
        Self::new(addr, Port::new(0), Proto::ANY)
    }

    /// The entry that says «this port of the node is a NodePort», so that no process takes it (NP-01).
    #[inline(always)]
    pub const fn port_guard(port: Port, proto: Proto) -> Self {
        Self::new(Addr::UNSPECIFIED, port, proto)
    }

    /// The address dialled.
    #[inline(always)]
    pub const fn addr(&self) -> Addr {
        self.addr
    }

    /// The port dialled; zero in an address guard.
    #[inline(always)]
    pub const fn port(&self) -> Port {
        self.port
    }

    /// The protocol; [`Proto::ANY`] in an address guard.
    #[inline(always)]
    pub const fn proto(&self) -> Proto {
        self.proto
    }
}

impl fmt::Display for FrontendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addr.is_v4() {
            write!(f, "{}:{}/{}", self.addr, self.port, self.proto)
        } else {
            write!(f, "[{}]:{}/{}", self.addr, self.port, self.proto)
        }
    }
}

impl fmt::Debug for FrontendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which way in a frontend is; in the low byte of its flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum FrontendKind {
    /// A ClusterIP and its port.
    ClusterIp = 1,
    /// One of `spec.externalIPs`.
    ExternalIp = 2,
    /// One of `status.loadBalancer.ingress` in VIP mode.
    LoadBalancer = 3,
    /// An address of this node and a NodePort.
    NodePort = 4,
    /// Not a frontend: see [`FrontendKey::address_guard`].
    AddressGuard = 5,
    /// Not a frontend: see [`FrontendKey::port_guard`].
    PortGuard = 6,
}

impl FrontendKind {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::ClusterIp,
        Self::ExternalIp,
        Self::LoadBalancer,
        Self::NodePort,
        Self::AddressGuard,
        Self::PortGuard,
    ];

    /// The word for it in tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClusterIp => "cluster",
            Self::ExternalIp => "external",
            Self::LoadBalancer => "load-balancer",
            Self::NodePort => "node-port",
            Self::AddressGuard => "address-guard",
            Self::PortGuard => "port-guard",
        }
    }
}

impl fmt::Display for FrontendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the kernel must know of a frontend besides its Service; the low byte is the [`FrontendKind`].
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FrontendFlags(u32);

set_of_flags!(FrontendFlags);

impl FrontendFlags {
    /// A client on this node (a pod or a process of the node) is sent to the local list.
    pub const INSIDE_LOCAL: Self = Self(1 << 8);
    /// A client outside this node is sent to the local list.
    pub const OUTSIDE_LOCAL: Self = Self(1 << 9);
    /// A process of the node itself is not in the source ranges (LSR-01).
    pub const NODE_REFUSED: Self = Self(1 << 10);
    /// A pod of this node is not, or cannot be shown to be, in the source ranges (LSR-01).
    pub const PODS_REFUSED: Self = Self(1 << 11);
    /// A client outside is checked against `SOURCE_RANGES` (LSR-01).
    pub const SOURCE_RANGES: Self = Self(1 << 12);
    /// Clients outside this node are masqueraded whichever backend is chosen (§0 step 1, 4).
    pub const OUTSIDE_MASQUERADE: Self = Self(1 << 13);
    /// Clients on this node are masqueraded whichever backend is chosen (§0 step 1, 4).
    pub const INSIDE_MASQUERADE: Self = Self(1 << 14);

    /// Of an address guard: echo requests to the address are answered, and nothing else is decided by it, for
    /// other ports of an external address may be somebody else's.
    pub const PING_ONLY: Self = Self(1 << 15);

    /// The flags of a kind and nothing else.
    pub const fn of(kind: FrontendKind) -> Self {
        Self(kind as u32)
    }

    /// The kind; `None` for a number no version of this layout writes.
    pub fn kind(self) -> Option<FrontendKind> {
        FrontendKind::ALL.into_iter().find(|kind| *kind as u32 == self.0 & 0xff)
    }
}

impl fmt::Debug for FrontendFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().map_or("unknown", FrontendKind::name))?;
        for (flag, name) in [
            (Self::INSIDE_LOCAL, "inside-local"),
            (Self::OUTSIDE_LOCAL, "outside-local"),
            (Self::NODE_REFUSED, "node-refused"),
            (Self::PODS_REFUSED, "pods-refused"),
            (Self::SOURCE_RANGES, "source-ranges"),
            (Self::OUTSIDE_MASQUERADE, "outside-masquerade"),
            (Self::INSIDE_MASQUERADE, "inside-masquerade"),
            (Self::PING_ONLY, "ping-only"),
        ] {
            if self.has(flag) {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// The value of a frontend: 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Frontend {
    service: u32,
    flags: FrontendFlags,
}

impl Frontend {
    /// A frontend of `service`; guards that belong to no single Service carry [`ServiceId::NONE`].
    pub const fn new(service: ServiceId, flags: FrontendFlags) -> Self {
        Self { service: service.number(), flags }
    }

    /// The Service port that this frontend leads to.
    #[inline(always)]
    pub const fn service(&self) -> ServiceId {
        ServiceId::from_number(self.service)
    }

    /// Kind and policy.
    #[inline(always)]
    pub const fn flags(&self) -> FrontendFlags {
        self.flags
    }
}
