//! Session affinity: which backend a client had last. `AFFINITY` is a cache that the kernel writes.

use crate::{Addr, BackendId, ServiceId};

/// Who is remembered, and for which Service port: 28 bytes. All frontends of the port share it (AFF-01).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AffinityKey {
    client: Addr,
    service: u32,
    /// [`crate::Service::epoch`]: an id used again, or affinity turned off and on, remembers nobody.
    epoch: u32,
    /// 0 where `client` is an address, 1 where it is a network namespace.
    kind: u32,
}

impl AffinityKey {
    /// A client known by its packet's source address.
    #[inline(always)]
    pub const fn of_address(client: Addr, service: ServiceId, epoch: u32) -> Self {
        Self { client, service: service.number(), epoch, kind: 0 }
    }

    /// A client known by its network namespace: at connect(2) a socket has no address yet, and a pod is one
    /// namespace.
    #[inline(always)]
    pub const fn of_namespace(cookie: u64, service: ServiceId, epoch: u32) -> Self {
        let client = Addr::from_words([0, 0, (cookie >> 32) as u32, cookie as u32]);
        Self { client, service: service.number(), epoch, kind: 1 }
    }
}

/// The backend a client had last, and when: 16 bytes, each word written at once.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Affinity {
    /// Backend id in the low half, its generation in the high one.
    backend: u64,
    /// `CLOCK_MONOTONIC_COARSE`, nanoseconds: the last new connection (AFF-02: sliding).
    last_ns: u64,
}

impl Affinity {
    /// A client that was given `backend` at `now_ns`.
    #[inline(always)]
    pub const fn new(backend: BackendId, generation: u32, now_ns: u64) -> Self {
        Self { backend: backend.number() as u64 | (generation as u64) << 32, last_ns: now_ns }
    }

    /// The backend remembered.
    #[inline(always)]
    pub const fn backend(&self) -> BackendId {
        BackendId::from_number(self.backend as u32)
    }

    /// Which owner of that id is meant.
    #[inline(always)]
    pub const fn generation(&self) -> u32 {
        (self.backend >> 32) as u32
    }

    /// Whether the last connection is longer ago than `timeout_seconds`.
    #[inline(always)]
    pub const fn is_expired(&self, now_ns: u64, timeout_seconds: u32) -> bool {
        now_ns.saturating_sub(self.last_ns) >= timeout_seconds as u64 * 1_000_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_slides_and_ends_at_its_timeout() {
        let affinity = Affinity::new(BackendId::from_number(7), 3, 5_000_000_000);
        assert_eq!((affinity.backend(), affinity.generation()), (BackendId::from_number(7), 3));
        assert!(!affinity.is_expired(14_999_999_999, 10));
        assert!(affinity.is_expired(15_000_000_000, 10));
        assert!(!affinity.is_expired(4_000_000_000, 10), "another processor's clock may lag behind");
    }

    #[test]
    fn a_namespace_is_never_taken_for_an_address() {
        let service = ServiceId::from_number(1);
        let address = AffinityKey::of_address(Addr::from_words([0, 0, 0, 9]), service, 1);
        assert_ne!(address, AffinityKey::of_namespace(9, service, 1));
    }
}
