//! Which backend does a new flow go to?

use aya_ebpf::helpers::bpf_get_prandom_u32;
use lb_common::{Backend, BackendFlags, BackendId, Counter, List, ServiceId, select};

use super::affinity::{self, Client};
use crate::maps;

/// A backend and its id.
#[derive(Clone, Copy)]
pub struct Choice {
    /// Its id.
    pub id: BackendId,
    /// Where to send.
    pub backend: &'static Backend,
}

/// Chooses for a new flow to `service` from the local list or the cluster list: the backend that the client
/// had last, where there is affinity and it is still in the list, else any (LBA-01).
#[inline(always)]
pub fn choose(service: ServiceId, local: bool, client: &Client) -> Result<Choice, Counter> {
    let list = maps::lookup_list(service, local).unwrap_or(List::EMPTY);
    if list.is_empty() {
        return Err(why_empty(service, local));
    }
    let (seconds, epoch) = maps::lookup_affinity_policy(service);
    if seconds == 0 {
        return choose_any(list);
    }
    let flag = if local { BackendFlags::IN_LOCAL } else { BackendFlags::IN_CLUSTER };
    affinity::choose(service, epoch, seconds, flag, list, client)
}

/// Any backend of the list, each as likely as another.
#[inline(always)]
pub fn choose_any(list: List) -> Result<Choice, Counter> {
    // SAFETY: a helper call without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    let slot = list.first().wrapping_add(select::pick(random, list.len()));
    let id = maps::lookup_slot(slot).ok_or(Counter::Inconsistent)?;
    let backend = maps::lookup_backend(id).ok_or(Counter::Inconsistent)?;
    Ok(Choice { id, backend })
}

/// An empty list is a refusal where there is no endpoint at all (NOE-01), a drop where there is one that
/// policy leaves out (NOE-02).
#[inline(always)]
fn why_empty(service: ServiceId, local: bool) -> Counter {
    let elsewhere = local && !maps::lookup_list(service, false).unwrap_or(List::EMPTY).is_empty();
    if elsewhere { Counter::NoLocalEndpoint } else { Counter::NoEndpoint }
}
