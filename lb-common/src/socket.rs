//! What a socket dialled before the dial was rewritten, so that the application sees what it dialled.

use crate::{Addr, BackendId, Port};

/// How long an unconnected UDP socket keeps its backend after the last datagram: what the kernel's conntrack
/// gives a UDP stream (`nf_conntrack_udp_timeout_stream`; LBA-02).
pub const UDP_FLOW_NS: u64 = 120 * 1_000_000_000;

/// How often a translation in use is written anew, so that neither half of it grows old in the table.
const REFRESH_NS: u64 = 1_000_000_000;

/// One half of a translation: the address to put in place of another, and whose it is. 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketFlow {
    addr: Addr,
    port: Port,
    pad: u16,
    backend: u32,
    generation: u32,
    pad2: u32,
    last_ns: u64,
}

impl SocketFlow {
    /// `addr` and `port` in place of what was named; `backend` and its `generation` are those of the choice
    /// behind it; `now_ns` is `CLOCK_MONOTONIC_COARSE`.
    #[inline(always)]
    pub const fn new(addr: Addr, port: Port, backend: BackendId, generation: u32, now_ns: u64) -> Self {
        Self { addr, port, pad: 0, backend: backend.number(), generation, pad2: 0, last_ns: now_ns }
    }

    /// The address to put in place.
    #[inline(always)]
    pub const fn addr(&self) -> Addr {
        self.addr
    }

    /// The port to put in place.
    #[inline(always)]
    pub const fn port(&self) -> Port {
        self.port
    }

    /// The backend that was chosen.
    #[inline(always)]
    pub const fn backend(&self) -> BackendId {
        BackendId::from_number(self.backend)
    }

    /// Which owner of that id was meant.
    #[inline(always)]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The same, used at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn at(mut self, now_ns: u64) -> Self {
        self.last_ns = now_ns;
        self
    }

    /// The other half: an answer of this one's backend is shown as coming from `addr` and `port`.
    #[inline(always)]
    #[must_use]
    pub const fn back_to(mut self, addr: Addr, port: Port) -> Self {
        self.addr = addr;
        self.port = port;
        self
    }

    /// Whether the last datagram is longer ago than [`UDP_FLOW_NS`].
    #[inline(always)]
    pub const fn is_expired(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_ns) >= UDP_FLOW_NS
    }

    /// Whether it is time to write it anew.
    #[inline(always)]
    pub const fn wants_refresh(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_ns) >= REFRESH_NS
    }
}

/// The translation kept in the socket's own storage: 64 bytes. The first Service that a socket speaks to has
/// it; further ones of an unconnected UDP socket are in `SOCKET_FLOWS`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dialled {
    frontend: Addr,
    frontend_port: Port,
    pad: u16,
    /// One of the constants below.
    kind: u32,
    to_backend: SocketFlow,
}

/// The socket speaks to no Service now.
const NONE: u32 = 0;
/// By connect(2).
const CONNECTED: u32 = 1;
/// By sendto(2) on an unconnected UDP socket.
const DATAGRAM: u32 = 2;

impl Dialled {
    /// The socket speaks to no Service now.
    pub const NONE: Self = Self {
        frontend: Addr::UNSPECIFIED,
        frontend_port: Port::new(0),
        pad: 0,
        kind: NONE,
        to_backend: SocketFlow::new(Addr::UNSPECIFIED, Port::new(0), BackendId::NONE, 0, 0),
    };

    /// connect(2) to a frontend, rewritten to a backend.
    #[inline(always)]
    pub const fn connected(frontend: Addr, frontend_port: Port, to_backend: SocketFlow) -> Self {
        Self { frontend, frontend_port, pad: 0, kind: CONNECTED, to_backend }
    }

    /// A datagram to a frontend, rewritten to a backend.
    #[inline(always)]
    pub const fn datagram(frontend: Addr, frontend_port: Port, to_backend: SocketFlow) -> Self {
        Self { frontend, frontend_port, pad: 0, kind: DATAGRAM, to_backend }
    }

    /// The address that the application named.
    #[inline(always)]
    pub const fn frontend(&self) -> Addr {
        self.frontend
    }

    /// The port that the application named.
    #[inline(always)]
    pub const fn frontend_port(&self) -> Port {
        self.frontend_port
    }

    /// The backend in its place.
    #[inline(always)]
    pub const fn to_backend(&self) -> &SocketFlow {
        &self.to_backend
    }

    /// Whether the storage is free for another Service.
    #[inline(always)]
    pub const fn is_none(&self) -> bool {
        self.kind == NONE
    }

    /// Whether an unconnected socket's datagrams are translated by this.
    #[inline(always)]
    pub const fn is_datagram(&self) -> bool {
        self.kind == DATAGRAM
    }

    /// Whether this is the translation of datagrams to `frontend`.
    #[inline(always)]
    pub fn is_datagram_to(&self, frontend: Addr, port: Port) -> bool {
        self.kind == DATAGRAM && self.frontend == frontend && self.frontend_port.wire() == port.wire()
    }

    /// Whether what comes from `backend` is to be shown as coming from the frontend.
    #[inline(always)]
    pub fn is_answered_by(&self, backend: Addr, port: Port) -> bool {
        self.kind != NONE && self.to_backend.addr == backend && self.to_backend.port.wire() == port.wire()
    }
}

/// Which half of a translation a [`SocketFlowKey`] looks up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum SocketDirection {
    /// By the frontend that the application names; the value is its backend.
    ToBackend = 1,
    /// By the backend that answers; the value is the frontend that was named.
    ToFrontend = 2,
}

/// A socket and an address it names or hears from: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketFlowKey {
    cookie: u64,
    addr: Addr,
    port: Port,
    direction: u8,
    pad: u8,
    pad2: u32,
}

impl SocketFlowKey {
    /// `cookie` is the socket's (`bpf_get_socket_cookie`).
    #[inline(always)]
    pub const fn new(cookie: u64, addr: Addr, port: Port, direction: SocketDirection) -> Self {
        Self { cookie, addr, port, direction: direction as u8, pad: 0, pad2: 0 }
    }
}
