//! A source for what a backend is sent: one that no other flow to it has.
//!
//! The reverse entry of a flow is its reservation: inserting it where none is *is* the allocation, so that two
//! processors never give one port away twice, and no port is taken without the entry that answers need.
//!
//! Where many are taken, one is given up for the new one: see [`taken`].

use core::ffi::c_void;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_get_prandom_u32, generated::bpf_loop},
};
use lb_common::{Flow, FlowKey, Moment, Port, select::pick};

use super::{is_over, taken};
use crate::{
    maps,
    maps::flows,
    work::{Search, Work, take_up},
};

/// How many ports are tried. With nine of ten taken, one flow in 700,000 finds none of this many free.
const PROBES: u32 = 128;

/// After this many, the oldest found is given up where it has had its time for a handshake, or was closed.
const ENOUGH: u32 = 8;

/// Seconds that the port of a closed connection rests at least: the last acknowledgments are through by then.
const REST: u32 = 1;

/// Where ports begin for clients that keep their address but can't keep their port.
const FIRST_UNPRIVILEGED: u32 = 1024;

/// Reserves the source of `work.to`, changing its port where that must be, by inserting `work.reverse`. Returns
/// 1, or 0 where no port is free.
///
/// A client that keeps its address keeps its port too, unless it has another flow to the same backend by that
/// port already: one client, two frontends, one backend.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_reserve(skb: *mut __sk_buff) -> u32 {
    let Some((_, taken)) = take_up(skb) else {
        return 0;
    };
    let Some(node) = maps::node() else {
        return 0;
    };
    let masqueraded = taken.reverse.is_masqueraded();
    // SAFETY: a helper call without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    let count = if masqueraded { node.port_count() } else { 65_536 - FIRST_UNPRIVILEGED };
    if count == 0 {
        return 0;
    }
    let search = &mut taken.search;
    search.random = random;
    search.count = count;
    search.now = flows::now();
    search.oldest_created = Moment::NEVER;
    search.closed_last = Moment::NEVER;
    search.found = 0;
    let mut attempt = skb;
    let callback: extern "C" fn(u32, *mut c_void) -> i64 = attempt_port;
    // SAFETY: the callback takes what it is given here.
    unsafe { bpf_loop(PROBES, callback as *mut c_void, (&raw mut attempt).cast(), 0) };
    let Some((_, work)) = take_up(skb) else {
        return 0;
    };
    u32::from(work.search.found != 0 || taken::take_closed(work) || taken::take_over(work))
}

/// Tries one source; 1 where there is no need of another.
#[inline(never)]
extern "C" fn attempt_port(round: u32, skb: *mut c_void) -> i64 {
    // SAFETY: what `shunt_reserve` has given.
    let skb = unsafe { skb.cast::<*mut __sk_buff>().read() };
    let Some((packet, work)) = take_up(skb) else {
        return 1;
    };
    let masqueraded = work.reverse.is_masqueraded();
    if masqueraded || round > 0 {
        let Some(port) = next_port(&mut work.search, masqueraded) else {
            return 1;
        };
        let to = &work.to;
        work.to = FlowKey::new(to.src(), port, to.dst(), to.dport(), to.proto());
    }
    work.search.answer = work.to.reversed();
    let Work { headers, search, reverse, .. } = work;
    let (key, answer) = (&headers.tuple, &search.answer);
    if let Some(other) = flows::lookup_assured(answer) {
        if answer.counterpart(other) == *key {
            // Half of a flow that had this tuple before, or this flow, which another processor has just moved.
            if flows::lookup_assured(key).is_none() {
                flows::remove_assured(answer);
            }
        } else {
            note_closed(search, other);
            return is_enough(round, search);
        }
    }
    if flows::insert_new(answer, reverse) {
        if masqueraded && taken::is_socket(packet, answer) {
            flows::remove_new(answer);
            return 0;
        }
        search.found = 1;
        return 1;
    }
    let Some(other) = flows::lookup_new(answer) else {
        return 0;
    };
    // Taken: by a packet of this very flow?
    if !masqueraded && answer.counterpart(other) == *key {
        search.found = 1;
        return 1;
    }
    let created = other.created();
    if created < search.oldest_created {
        search.oldest_created = created;
        search.oldest = *answer;
    }
    is_enough(round, search)
}

/// Remembers an assured flow that has the source that is tried, where it is closed and none before was sooner.
#[inline(always)]
fn note_closed(search: &mut Search, other: &Flow) {
    let last = other.last();
    let rests = search.now.seconds_since(last) >= REST;
    if last < search.closed_last && rests && is_over(&search.answer, other) {
        search.closed_last = last;
        search.closed = search.answer;
    }
}

/// 1 where one was found that may be given up, and enough were tried.
#[inline(always)]
fn is_enough(round: u32, search: &Search) -> i64 {
    let is_there = search.closed_last != Moment::NEVER || search.oldest_created < search.now;
    i64::from(round >= ENOUGH && is_there)
}

/// A port, each as likely as another: steps of one width would meet a part of the range only where they share a
/// factor with its length.
#[inline(always)]
fn next_port(search: &mut Search, masqueraded: bool) -> Option<Port> {
    let number = pick(search.random, search.count);
    // A linear congruence (Knuth; «Numerical Recipes»), of which `pick` takes the high bits, the good ones.
    search.random = search.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    if masqueraded {
        return maps::node().map(|node| node.port(number));
    }
    Some(Port::new((FIRST_UNPRIVILEGED + number) as u16))
}
