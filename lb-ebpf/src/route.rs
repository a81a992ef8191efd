//! The node's routes, for packets that our programs send on by themselves, as a router would.

use core::mem;

use aya_ebpf::{
    bindings::{bpf_fib_lookup as FibParams, bpf_redir_neigh},
    helpers::generated::{bpf_fib_lookup, bpf_redirect_neigh},
};
use lb_common::{
    Addr, Counter, FilterBit, FlowKey, NodeFlags, Proto,
    packet::{Headers, L3, Packet},
};

use crate::{maps, skb::Skb};

/// `GSO_BY_FRAGS`
const BY_FRAGS: usize = 0xffff;

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

/// What the routes say of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There is a way.
    Way,
    /// There is one, for packets of so many bytes.
    TooBig(u32),
    /// There is none.
    Nothing,
}

/// A route, and where it leads.
pub struct Way {
    params: FibParams,
}

impl Way {
    /// Looks for the way of a packet of tuple `to` and `len` bytes of IP; 0 is any length.
    #[inline(always)]
    pub fn new(packet: Skb, to: &FlowKey, len: usize) -> Self {
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

    /// Asks the routes.
    #[inline(always)]
    pub fn find(&mut self, packet: Skb) -> Found {
        match self.lookup(packet, 0) {
            FOUND | FOUND_NO_NEIGHBOUR => Found::Way,
            // SAFETY: both members of the union are this number.
            TOO_BIG => Found::TooBig(u32::from(unsafe { self.params.__bindgen_anon_1.mtu_result })),
            _ => Found::Nothing,
        }
    }

    #[inline(always)]
    fn lookup(&mut self, packet: Skb, flags: u32) -> i64 {
        let size = size_of::<FibParams>() as i32;
        // SAFETY: the context is this program's own, the parameters are whole.
        unsafe { bpf_fib_lookup(packet.ctx().cast(), &raw mut self.params, size, flags) }
    }

    /// The device that it leads to.
    #[inline(always)]
    fn device(&self) -> u32 {
        self.params.ifindex
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
    pub fn go(&self, packet: Skb) -> i32 {
        packet.take_tag_off();
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

/// Puts the node's address toward the destination of `to` in place of its source: that of the route, where the
/// kernel tells it and answers to it are known for ours, else the configured one. False, and nothing changed,
/// where the destination is the node itself, or behind a device without programs: an answer to the node's address
/// would be nobody's, and one to the client goes out by a device that has them.
#[inline(always)]
pub fn set_source(packet: Skb, to: &mut FlowKey) -> Result<bool, Counter> {
    let node = maps::node().ok_or(Counter::Inconsistent)?;
    let mut way = Way::new(packet, to, 0);
    let with_source = node.flags().has(NodeFlags::FIB_SOURCE);
    match way.lookup(packet, if with_source { WITH_SOURCE } else { 0 }) {
        FOUND | FOUND_NO_NEIGHBOUR | TOO_BIG if maps::is_unseen(way.device()) => return Ok(false),
        // Whether the way takes so big a packet is asked when it is sent.
        FOUND | FOUND_NO_NEIGHBOUR | TOO_BIG => {}
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

/// Whether the destination of `to` is an address of the node.
#[inline(always)]
pub fn is_own(packet: Skb, to: &FlowKey) -> bool {
    // The bit may be set by chance. The routes know, but for an address that none leads to, whose owner could not be
    // answered in any case.
    maps::is_in_filter(FilterBit::node_address(to.dst()))
        && Way::new(packet, to, 0).lookup(packet, 0) == NOT_FORWARDED
}

/// Bytes of IP that the way must take at once: of one segment, where the packet is to be cut into such.
#[inline(always)]
pub fn segment_len(packet: Skb, headers: &Headers) -> usize {
    let segment = packet.segment_size();
    match segment {
        0 => return headers.total,
        // A list of packets, each as big as the way of its sender takes.
        BY_FRAGS => return 0,
        _ => {}
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
