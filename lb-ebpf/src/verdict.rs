//! What a hook decided, and the only conversion to what the kernel takes.

use aya_ebpf::{EbpfContext, helpers::generated::bpf_set_retval};
use lb_common::Counter;

use crate::maps;

/// The kernel goes on with the call.
pub const ALLOW: i32 = 1;
/// The kernel fails the call: with EPERM, unless an errno was set.
const DENY: i32 = 0;

const EADDRINUSE: i32 = 98;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

/// Counts the refusal and fails the call with the errno that its reason has.
///
/// A bare denial would be EPERM, on which some clients in the kernel (NFS, SMB) spin, and which the kernel's
/// own packet paths never give.
#[inline(always)]
pub fn refuse(_ctx: &impl EbpfContext, reason: Counter) -> i32 {
    maps::count(reason);
    let errno = match reason {
        Counter::NodePortTaken => EADDRINUSE,
        Counter::NoLocalEndpoint | Counter::SourceRefused | Counter::UnallocatedAddress => EHOSTUNREACH,
        _ => ECONNREFUSED,
    };
    // SAFETY: a plain helper call without pointers (Linux 6.1 for hooks of sockets; elsewhere 5.18).
    unsafe { bpf_set_retval(-errno) };
    DENY
}

/// The packet goes on, whether rewritten or not: other programs on the hook, then the kernel (`TCX_NEXT`,
/// and `TC_ACT_UNSPEC` for a clsact filter).
pub const PASS: i32 = -1;
/// The packet ends here (`TC_ACT_SHOT`).
pub const DROP: i32 = 2;

/// Counts the reason and drops the packet.
#[inline(always)]
pub fn drop(reason: Counter) -> i32 {
    maps::count(reason);
    DROP
}
