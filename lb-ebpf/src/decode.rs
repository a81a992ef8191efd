//! From a packet to its headers, where it is one to look at any further.

use core::ffi::c_void;

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_loop};
use lb_common::packet::{Parsed, options, parse};

use crate::{skb::Skb, work::take_up};

/// Takes up the packet and decodes it into [`Work::headers`]. `None` where it is not IP, contradicts itself, or is
/// routed by its sender: those go on untouched.
///
/// [`Work::headers`]: crate::work::Work::headers
#[inline(always)]
pub fn begin(packet: Skb) -> Option<*mut __sk_buff> {
    (shunt_parse(packet.ctx()) != 0).then_some(packet.ctx())
}

/// Decodes the packet; 0 where there is nothing to do with it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shunt_parse(skb: *mut __sk_buff) -> u32 {
    let Some((mut packet, work)) = take_up(skb) else {
        return 0;
    };
    packet.make_readable();
    let Parsed::Ip(headers) = parse(&packet) else {
        return 0;
    };
    work.headers = headers;
    // An IPv6 packet that is routed by its sender is not parsed at all.
    u32::from(!headers.has_options() || shunt_source_routed(skb) == 0)
}

/// Whether an IPv4 packet with options is routed by its sender. Few packets have any: a loop of the kernel's, of which
/// the verifier walks one round, for it knows nothing of what lies in `work`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn shunt_source_routed(skb: *mut __sk_buff) -> u32 {
    let Some((_, taken)) = take_up(skb) else {
        return 1;
    };
    taken.options = options::Walk::new(taken.headers.l4);
    let mut packet = skb;
    let callback: extern "C" fn(u32, *mut c_void) -> i64 = option;
    // SAFETY: the callback takes what it is given here.
    unsafe { bpf_loop(options::MOST, callback as *mut c_void, (&raw mut packet).cast(), 0) };
    let Some((_, taken)) = take_up(skb) else {
        return 1;
    };
    u32::from(taken.options.is_source_routed)
}

/// Looks at one option; 1 where there is no need of another.
#[inline(never)]
extern "C" fn option(_round: u32, skb: *mut c_void) -> i64 {
    // SAFETY: what `shunt_source_routed` has given.
    let skb = unsafe { skb.cast::<*mut __sk_buff>().read() };
    let Some((packet, work)) = take_up(skb) else {
        return 1;
    };
    i64::from(!work.options.step(&packet))
}
