//! Flows: what the packet path remembers of a connection. A flow is two entries, one for each direction, each
//! with the complete rewrite of the packets of its own direction.
//!
//! The key of the one is computed from the other, never stored: a forward entry `K → T` (packets of tuple `K`
//! become `T`) belongs to the reverse entry `T.reversed() → K.reversed()`. [`FlowKey::counterpart`] says it
//! once for both directions.
//!
//! Assured flows are in `FLOWS`, a hash that never forgets by itself; flows that only one side has been heard
//! of are in `NEW_FLOWS`, an LRU that a flood may churn without touching an assured one.

use core::fmt;

use crate::flow_state::Seen;
use crate::{Addr, BackendId, Port, Proto, ServiceId};

/// A packet's own tuple: 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    src: Addr,
    dst: Addr,
    sport: Port,
    dport: Port,
    proto: Proto,
    pad: [u8; 3],
}

impl FlowKey {
    /// The tuple of a packet.
    #[inline(always)]
    pub const fn new(src: Addr, sport: Port, dst: Addr, dport: Port, proto: Proto) -> Self {
        Self { src, dst, sport, dport, proto, pad: [0; 3] }
    }

    /// The tuple of the answer.
    #[must_use]
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self::new(self.dst, self.dport, self.src, self.sport, self.proto)
    }

    /// The key of the other direction of the flow that has `flow` under this key.
    #[must_use]
    #[inline(always)]
    pub const fn counterpart(&self, flow: &Flow) -> Self {
        flow.rewritten(self.proto).reversed()
    }

    /// Where the packet comes from.
    #[inline(always)]
    pub const fn src(&self) -> Addr {
        self.src
    }

    /// The port that it comes from.
    #[inline(always)]
    pub const fn sport(&self) -> Port {
        self.sport
    }

    /// Where the packet goes to.
    #[inline(always)]
    pub const fn dst(&self) -> Addr {
        self.dst
    }

    /// The port that it goes to.
    #[inline(always)]
    pub const fn dport(&self) -> Port {
        self.dport
    }

    /// The protocol.
    #[inline(always)]
    pub const fn proto(&self) -> Proto {
        self.proto
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.src.is_v4() {
            write!(f, "{} {}:{} > {}:{}", self.proto, self.src, self.sport, self.dst, self.dport)
        } else {
            write!(f, "{} [{}]:{} > [{}]:{}", self.proto, self.src, self.sport, self.dst, self.dport)
        }
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A moment of `CLOCK_MONOTONIC_COARSE`, in units of 2^27 ns (134 ms): 32 bits last for 18 years, so that a
/// difference never wraps.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Moment(u32);

impl Moment {
    /// After every other.
    pub const NEVER: Self = Self(u32::MAX);

    /// From the clock, in nanoseconds.
    #[inline(always)]
    pub const fn from_ns(ns: u64) -> Self {
        Self((ns >> 27) as u32)
    }

    /// Whole seconds since `earlier`; 0 where that is later, for another processor's clock may be ahead.
    #[inline(always)]
    pub const fn seconds_since(self, earlier: Self) -> u32 {
        ((self.0.saturating_sub(earlier.0) as u64) << 27).wrapping_div(1_000_000_000) as u32
    }
}

/// What a flow is; never changes in its life.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FlowFlags(u16);

set_of_flags_or_none!(FlowFlags);

impl FlowFlags {
    /// From the backend to the client. Without it: from the client to the backend.
    pub const REVERSE: Self = Self(1 << 0);
    /// The backend sees an address and port of the node in place of the client's: packets of both directions
    /// are sent on by their hook instead of going up the stack.
    pub const MASQUERADED: Self = Self(1 << 1);

    /// As a number.
    #[inline(always)]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From [`FlowFlags::bits`].
    #[inline(always)]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

impl fmt::Debug for FlowFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.has(Self::REVERSE) { "reverse" } else { "forward" })?;
        if self.has(Self::MASQUERADED) { f.write_str(" masqueraded") } else { Ok(()) }
    }
}

/// The complete rewrite of one direction of a flow, and its state: 60 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    src: Addr,
    dst: Addr,
    sport: Port,
    dport: Port,
    backend: u32,
    generation: u32,
    service: u32,
    created: Moment,
    last: Moment,
    flags: FlowFlags,
    seen: Seen,
    pad: u8,
}

impl Flow {
    /// An entry whose packets become `to`, made at `now`; nothing seen yet.
    #[inline(always)]
    pub const fn new(to: &FlowKey, flags: FlowFlags, owner: Owner, now: Moment) -> Self {
        Self {
            src: to.src,
            dst: to.dst,
            sport: to.sport,
            dport: to.dport,
            backend: owner.backend.number(),
            generation: owner.generation,
            service: owner.service.number(),
            created: now,
            last: now,
            flags,
            seen: Seen::NOTHING,
            pad: 0,
        }
    }

    /// The same with what was seen of this direction.
    #[must_use]
    #[inline(always)]
    pub const fn with_seen(mut self, seen: Seen) -> Self {
        self.seen = seen;
        self
    }

    /// What a packet of this direction becomes.
    #[inline(always)]
    pub const fn rewritten(&self, proto: Proto) -> FlowKey {
        FlowKey::new(self.src, self.sport, self.dst, self.dport, proto)
    }

    /// The other direction's entry, of the flow that has this under `key`; nothing seen of it yet.
    #[must_use]
    #[inline(always)]
    pub const fn counterpart(&self, key: &FlowKey, now: Moment) -> Self {
        let owner = Owner { backend: self.backend(), generation: self.generation, service: self.service() };
        Self::new(&key.reversed(), FlowFlags(self.flags.0 ^ FlowFlags::REVERSE.0), owner, now)
    }

    /// Notes a packet of this direction; whether it is the first of its moment. Only what changes is written,
    /// so that a busy flow's entry stays shared between the processors' caches.
    #[inline(always)]
    pub fn touch(&mut self, seen: Seen, now: Moment) -> bool {
        let first = self.last != now;
        if first {
            self.last = now;
        }
        let seen = self.seen.then(seen);
        if self.seen != seen {
            self.seen = seen;
        }
        first
    }

    /// The backend of the flow.
    #[inline(always)]
    pub const fn backend(&self) -> BackendId {
        BackendId::from_number(self.backend)
    }

    /// Which owner of that id is meant.
    #[inline(always)]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The Service port that the client dialled.
    #[inline(always)]
    pub const fn service(&self) -> ServiceId {
        ServiceId::from_number(self.service)
    }

    /// When the flow began.
    #[inline(always)]
    pub const fn created(&self) -> Moment {
        self.created
    }

    /// When the last packet of this direction passed.
    #[inline(always)]
    pub const fn last(&self) -> Moment {
        self.last
    }

    /// See [`FlowFlags`].
    #[inline(always)]
    pub const fn flags(&self) -> FlowFlags {
        self.flags
    }

    /// What was seen of this direction.
    #[inline(always)]
    pub const fn seen(&self) -> Seen {
        self.seen
    }

    /// Whether this is the backend's direction.
    #[inline(always)]
    pub const fn is_reverse(&self) -> bool {
        self.flags.has(FlowFlags::REVERSE)
    }

    /// Whether the backend sees the node in place of the client.
    #[inline(always)]
    pub const fn is_masqueraded(&self) -> bool {
        self.flags.has(FlowFlags::MASQUERADED)
    }
}

/// Whose a flow is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The backend chosen.
    pub backend: BackendId,
    /// Which owner of that id is meant.
    pub generation: u32,
    /// The Service port dialled.
    pub service: ServiceId,
}

/// Which datagram a fragment is of: 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentKey {
    src: Addr,
    dst: Addr,
    id: u32,
    proto: Proto,
    pad: [u8; 3],
}

impl FragmentKey {
    /// `id` is the header's field as it stands in memory (16 bits in IPv4, RFC 791; 32 in IPv6, RFC 8200 §4.5).
    #[inline(always)]
    pub const fn new(src: Addr, dst: Addr, id: u32, proto: Proto) -> Self {
        Self { src, dst, id, proto, pad: [0; 3] }
    }
}

/// The ports of a datagram, which only its first fragment has: 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    sport: Port,
    dport: Port,
    seen: Moment,
}

impl Fragment {
    /// Ports of a first fragment that passed at `now`.
    #[inline(always)]
    pub const fn new(sport: Port, dport: Port, now: Moment) -> Self {
        Self { sport, dport, seen: now }
    }

    /// The source port.
    #[inline(always)]
    pub const fn sport(&self) -> Port {
        self.sport
    }

    /// The destination port.
    #[inline(always)]
    pub const fn dport(&self) -> Port {
        self.dport
    }

    /// Whether the first fragment is too long ago for `now`'s to be of the same datagram: the kernel itself
    /// gives up reassembling after 30 s (`ipfrag_time`), 60 s in IPv6.
    #[inline(always)]
    pub const fn is_expired(&self, now: Moment) -> bool {
        now.seconds_since(self.seen) >= 60
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().expect(text).into()
    }

    fn key(src: &str, sport: u16, dst: &str, dport: u16) -> FlowKey {
        FlowKey::new(addr(src), Port::new(sport), addr(dst), Port::new(dport), Proto::TCP)
    }

    const OWNER: Owner =
        Owner { backend: BackendId::from_number(1), generation: 1, service: ServiceId::from_number(1) };

    #[test]
    fn each_direction_of_a_flow_finds_the_other() {
        let dialled = key("192.0.2.9", 40_000, "10.0.0.1", 31_111);
        let sent = key("10.0.0.1", 61_000, "10.1.0.5", 80);
        let now = Moment::from_ns(0);
        let forward = Flow::new(&sent, FlowFlags::MASQUERADED, OWNER, now);
        let reverse =
            Flow::new(&dialled.reversed(), FlowFlags::MASQUERADED.with(FlowFlags::REVERSE), OWNER, now);
        assert_eq!(dialled.counterpart(&forward), sent.reversed());
        assert_eq!(sent.reversed().counterpart(&reverse), dialled);
    }

    #[test]
    fn a_moment_counts_whole_seconds_and_never_backwards() {
        let then = Moment::from_ns(10_000_000_000);
        assert_eq!(Moment::from_ns(40_200_000_000).seconds_since(then), 30);
        assert_eq!(then.seconds_since(Moment::from_ns(40_000_000_000)), 0);
        assert_eq!(
            Moment::from_ns(86_400_000_000_000).seconds_since(Moment::from_ns(0)),
            86_399,
            "within a unit"
        );
    }

    #[test]
    fn a_flow_prints_as_people_write_it() {
        assert_eq!(key("192.0.2.9", 4, "10.0.0.1", 80).to_string(), "TCP 192.0.2.9:4 > 10.0.0.1:80");
        assert_eq!(key("fd00::9", 4, "fd00::1", 80).to_string(), "TCP [fd00::9]:4 > [fd00::1]:80");
    }
}
