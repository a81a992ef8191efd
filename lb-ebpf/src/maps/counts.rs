//! What is counted, and what is limited by its count. Each processor has its own; the programs alone write.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use lb_common::{Counter, limit::Answers};

use crate::service::affinity::now_ns;

/// How many ICMP errors each processor has sent of late.
#[map]
static ANSWERS: PerCpuArray<Answers> = PerCpuArray::with_max_entries(1, 0);

/// By [`Counter`].
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::ALL.len() as u32, 0);

/// Adds one.
#[inline(always)]
pub fn count(counter: Counter) {
    count_index(counter.index());
}

/// Adds one to the counter of that index.
#[inline(always)]
pub fn count_index(index: u32) {
    if let Some(value) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: this processor's own element, and programs of one kind don't interrupt each other on it;
        // a count lost to another kind's interrupt would be a count lost, nothing more.
        unsafe { *value += 1 };
    }
}

/// Whether this processor may send one more ICMP error; it counts as sent.
#[inline(always)]
pub fn may_answer() -> bool {
    let Some(answers) = ANSWERS.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: this processor's own element, and programs on devices don't interrupt each other.
    unsafe { (*answers).may_send(now_ns()) }
}
