//! Packets that don't go on by themselves: sent out by the node's routes, as a router would.

use core::mem;

use aya_ebpf::{
    bindings::{bpf_fib_lookup as FibParams, bpf_redir_neigh},
    helpers::generated::{bpf_fib_lookup, bpf_redirect_neigh},
};
use lb_common::{
    Addr, Counter, FilterBit, FlowKey, NodeFlags, Proto,
    packet::{
        Headers, L3, Packet,
        icmp::{self, Quoted},
        reply::Message,
        rewrite,
    },
};

use crate::{answer::answer, maps, skb::Skb, verdict::drop};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A way was found; its next hop may still have to be resolved (`BPF_FIB_LKUP_RET_SUCCESS`, `_NO_NEIGH`).
const FOUND: i64 = 0;
const FOUND_NO_NEIGHBOUR: i64 = 7;
/// The address is the node's own, or not one to send to (`_NOT_FWDED`).
const NOT_FORWARDED: i64 = 4;
/// `_FRAG_NEEDED`
const TOO_BIG: i64 = 8;
/// `BPF_FIB_LOOKUP_SRC`
const WITH_SOURCE: u32 = 1 << 4;

/// Rewrites a packet and sends it out by the node's route to its new destination: with one hop less to live,
/// and no bigger than the way allows.
#[inline(always)]
pub fn send(packet: &mut Skb, headers: &Headers, to: &FlowKey, counter: Counter) -> i32 {
    if headers.ttl <= 1 {
        return answer(packet, headers, Message::TimeExceeded, 0);
    }
    match send_within_mtu(packet, headers, to, counter) {
        Ok(verdict) => verdict as i32,
        Err(mtu) => answer(packet, headers, Message::TooBig, mtu),
    }
}

/// The verdict, or the MTU that the packet is too big for. A function of its own for its stack's sake.
#[inline(never)]
fn send_within_mtu(packet: &mut Skb, headers: &Headers, to: &FlowKey, counter: Counter) -> Result<u32, u32> {
    let mut way = Way::new(packet, to, segment_len(packet, headers));
    match way.find(packet, 0) {
        FOUND | FOUND_NO_NEIGHBOUR => {}
        TOO_BIG => return Err(way.mtu()),
        _ => return Ok(drop(Counter::NoRoute) as u32),
    }
    let sent = rewrite::rewrite(packet, headers, to).and_then(|()| rewrite::decrement_ttl(packet, headers));
    if sent.is_none() {
        return Ok(drop(Counter::Malformed) as u32);
    }
    maps::count(counter);
    Ok(way.go() as u32)
}

/// Rewrites an ICMP error and sends it out likewise. Nothing is answered to an error (RFC 1122 §3.2.2).
#[inline(never)]
pub fn send_error(packet: &mut Skb, headers: &Headers, quoted: &Quoted, to: &FlowKey, src: Addr) -> i32 {
    if headers.ttl <= 1 {
        return drop(Counter::TtlExpired);
    }
    let mut way = Way::new(packet, to, 0);
    match way.find(packet, 0) {
        FOUND | FOUND_NO_NEIGHBOUR => {}
        _ => return drop(Counter::NoRoute),
    }
    let sent = icmp::rewrite(packet, headers, quoted, to, src)
        .and_then(|()| rewrite::decrement_ttl(packet, headers));
    if sent.is_none() {
        return drop(Counter::Malformed);
    }
    maps::count(Counter::IcmpError);
    way.go()
}

/// Puts the node's address toward the destination of `to` in place of its source: that of the route, where the
/// kernel tells it and answers to it are known for ours, else the configured one. False, and nothing changed,
/// where the destination is the node itself: there is nobody to masquerade for.
#[inline(never)]
pub fn set_source(packet: &Skb, to: &mut FlowKey) -> Result<bool, Counter> {
    let node = maps::node().ok_or(Counter::Inconsistent)?;
    let mut way = Way::new(packet, to, 0);
    let with_source = node.flags().has(NodeFlags::FIB_SOURCE);
    match way.find(packet, if with_source { WITH_SOURCE } else { 0 }) {
        FOUND | FOUND_NO_NEIGHBOUR => {}
        NOT_FORWARDED if maps::is_in_filter(FilterBit::node_address(to.dst())) => return Ok(false),
        _ => return Err(Counter::NoRoute),
    }
    let mut source = node.masquerade(to.dst());
    if with_source {
        let told = way.source(to);
        if maps::is_in_filter(FilterBit::node_address(told)) {
            source = told;
        }
    }
    if source == Addr::UNSPECIFIED {
        return Err(Counter::NoRoute);
    }
    *to = FlowKey::new(source, to.sport(), to.dst(), to.dport(), to.proto());
    Ok(true)
}

/// Bytes of IP that the way must take at once: of one segment, where the packet is to be cut into such.
#[inline(always)]
fn segment_len(packet: &Skb, headers: &Headers) -> usize {
    let segment = packet.segment_size();
    if segment == 0 {
        return headers.total;
    }
    let transport = match headers.tuple.proto() {
        Proto::TCP => match packet.half(headers.l4 + 12) {
            Some(offset) => usize::from(offset.to_ne_bytes()[0] >> 4) * 4,
            None => 20,
        },
        _ => 8,
    };
    headers.l4 - L3 + transport + segment
}

/// A route, and where it leads.
struct Way {
    params: FibParams,
}

impl Way {
    /// A way for a packet of tuple `to` and `len` bytes of IP; 0 is any length.
    #[inline(always)]
    fn new(packet: &Skb, to: &FlowKey, len: usize) -> Self {
        // SAFETY: integers and unions of integers.
        let mut params: FibParams = unsafe { mem::zeroed() };
        params.l4_protocol = to.proto().number();
        params.sport = to.sport().wire();
        params.dport = to.dport().wire();
        params.__bindgen_anon_1.tot_len = len as u16;
        params.ifindex = packet.ifindex();
        if to.dst().is_v4() {
            params.family = AF_INET;
            params.__bindgen_anon_3.ipv4_src = to.src().v4_word();
            params.__bindgen_anon_4.ipv4_dst = to.dst().v4_word();
        } else {
            params.family = AF_INET6;
            params.__bindgen_anon_3.ipv6_src = to.src().words();
            params.__bindgen_anon_4.ipv6_dst = to.dst().words();
        }
        Self { params }
    }

    #[inline(always)]
    fn find(&mut self, packet: &Skb, flags: u32) -> i64 {
        let size = size_of::<FibParams>() as i32;
        // SAFETY: the context is this program's own, the parameters are whole.
        unsafe { bpf_fib_lookup(packet.ctx().skb.skb.cast(), &raw mut self.params, size, flags) }
    }

    /// The biggest packet that the way takes, where it was too small.
    #[inline(always)]
    fn mtu(&self) -> u32 {
        // SAFETY: both members of the union are this number.
        u32::from(unsafe { self.params.__bindgen_anon_1.mtu_result })
    }

    /// The node's address on this way.
    #[inline(always)]
    fn source(&self, to: &FlowKey) -> Addr {
        if to.dst().is_v4() {
            // SAFETY: the member that was written.
            Addr::from_v4_word(unsafe { self.params.__bindgen_anon_3.ipv4_src })
        } else {
            // SAFETY: the member that was written.
            Addr::from_words(unsafe { self.params.__bindgen_anon_3.ipv6_src })
        }
    }

    /// The packet goes this way; its next hop is resolved where it isn't yet.
    #[inline(always)]
    fn go(&self) -> i32 {
        // SAFETY: integers and a union of integers.
        let mut next: bpf_redir_neigh = unsafe { mem::zeroed() };
        // An IPv4 route may lead over an IPv6 next hop (RFC 5549): the lookup says so.
        next.nh_family = self.params.family.into();
        // SAFETY: the longer member has all bytes of either.
        next.__bindgen_anon_1.ipv6_nh = unsafe { self.params.__bindgen_anon_4.ipv6_dst };
        let size = size_of::<bpf_redir_neigh>() as i32;
        // SAFETY: the parameters are whole.
        unsafe { bpf_redirect_neigh(self.params.ifindex, &raw mut next, size, 0) as i32 }
    }
}
