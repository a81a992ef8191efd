//! Session affinity (AFF-01 to AFF-05).

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use lb_common::{Addr, Affinity, AffinityKey, BackendFlags, Counter, List, ServiceId};

use super::choose::{Choice, choose_any};
use crate::maps;

/// Who dials, as far as the hook can tell.
pub enum Client {
    /// By its network namespace's cookie, where it has no address yet.
    Namespace(u64),
    /// By its packet's source address.
    Address(Addr),
}

impl Client {
    #[inline(always)]
    fn key(&self, service: ServiceId, epoch: u32) -> AffinityKey {
        match self {
            Self::Namespace(cookie) => AffinityKey::of_namespace(*cookie, service, epoch),
            Self::Address(addr) => AffinityKey::of_address(*addr, service, epoch),
        }
    }
}

/// The backend that the client had last, if it is in the list now (`flag`) and the client is remembered
/// still; else any, remembered from now on. Each new flow begins the timeout anew (AFF-02).
#[inline(always)]
pub fn choose(
    service: ServiceId,
    epoch: u32,
    seconds: u32,
    flag: BackendFlags,
    list: List,
    client: &Client,
) -> Result<Choice, Counter> {
    let now = now_ns();
    let key = client.key(service, epoch);
    let remembered = maps::lookup_affinity(&key);
    let choice = match remembered.and_then(|affinity| recall(&affinity, service, seconds, flag, now)) {
        Some(choice) => choice,
        None => choose_any(list)?,
    };
    let affinity = Affinity::new(choice.id, choice.backend.generation(), now);
    if maps::record_affinity(&key, &affinity, remembered.is_none()) {
        return Ok(choice);
    }
    // Another flow of the same client was first, between the lookup and the record: go where it went.
    let first = maps::lookup_affinity(&key).and_then(|first| recall(&first, service, seconds, flag, now));
    Ok(first.unwrap_or(choice))
}

/// The backend remembered, where it may be used.
#[inline(always)]
fn recall(
    affinity: &Affinity,
    service: ServiceId,
    seconds: u32,
    flag: BackendFlags,
    now: u64,
) -> Option<Choice> {
    if affinity.is_expired(now, seconds) {
        return None;
    }
    let id = affinity.backend();
    let backend = maps::lookup_backend(id)?;
    let same = backend.generation() == affinity.generation() && backend.service() == service;
    (same && backend.flags().has(flag)).then_some(Choice { id, backend })
}

/// `CLOCK_MONOTONIC_COARSE`, nanoseconds; a tick behind at most.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: a helper call without arguments (Linux 5.11).
    unsafe { bpf_ktime_get_coarse_ns() }
}
