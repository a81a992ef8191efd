//! Backends: where traffic is sent to. `BACKENDS` holds them by id; a slot of a list is such an id.

use core::fmt;

use crate::{Addr, Port, ServiceId};

/// Index into `BACKENDS`: one endpoint address and port of one Service port. 0 is no backend; a number is
/// stable for as long as its endpoint serves, and is not given to another at once.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BackendId(u32);

impl BackendId {
    /// No backend.
    pub const NONE: Self = Self(0);

    /// From the number in a map.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number in a map.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a backend is on this node.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BackendFlags(u16);

set_of_flags_or_none!(BackendFlags);

impl BackendFlags {
    /// In the cluster list now, so that a client remembered for it may have it again (AFF-03).
    pub const IN_CLUSTER: Self = Self(1 << 0);
    /// In the local list now (AFF-03).
    pub const IN_LOCAL: Self = Self(1 << 1);
    /// Its endpoint is on this node (EPS-04).
    pub const ON_NODE: Self = Self(1 << 2);

    /// Its endpoint no longer serves: no flow may go on to it (CT-01). The id rests before it is another's.
    pub const GONE: Self = Self(1 << 3);
}

impl fmt::Debug for BackendFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, name) in [
            (Self::IN_CLUSTER, "cluster"),
            (Self::IN_LOCAL, "local"),
            (Self::ON_NODE, "on-node"),
            (Self::GONE, "gone"),
        ] {
            if self.has(flag) {
                write!(f, "{separator}{name}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

/// One backend: 32 bytes. A backend with port 0 is a free id.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Backend {
    addr: Addr,
    port: Port,
    flags: BackendFlags,
    /// Grows each time the id is given away, so that what remembers an id can tell that it is another's.
    generation: u32,
    service: u32,
    pad: u32,
}

impl Backend {
    /// A free id, with the generation that its next owner comes after.
    pub const fn free(generation: u32) -> Self {
        Self::new(Addr::UNSPECIFIED, Port::new(0), BackendFlags::empty(), generation, ServiceId::NONE)
    }

    /// A backend of `service`.
    pub const fn new(
        addr: Addr,
        port: Port,
        flags: BackendFlags,
        generation: u32,
        service: ServiceId,
    ) -> Self {
        Self { addr, port, flags, generation, service: service.number(), pad: 0 }
    }

    /// The same backend with other flags.
    #[must_use]
    pub const fn with_flags(mut self, flags: BackendFlags) -> Self {
        self.flags = flags;
        self
    }

    /// The pod's address.
    #[inline(always)]
    pub const fn addr(&self) -> Addr {
        self.addr
    }

    /// The target port.
    #[inline(always)]
    pub const fn port(&self) -> Port {
        self.port
    }

    /// See [`BackendFlags`].
    #[inline(always)]
    pub const fn flags(&self) -> BackendFlags {
        self.flags
    }

    /// Which owner of the id this is.
    #[inline(always)]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The Service port it belongs to.
    #[inline(always)]
    pub const fn service(&self) -> ServiceId {
        ServiceId::from_number(self.service)
    }

    /// Whether nobody has this id.
    #[inline(always)]
    pub const fn is_free(&self) -> bool {
        self.port.wire() == 0
    }
}
