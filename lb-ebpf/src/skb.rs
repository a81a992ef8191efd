//! A packet at a tc hook: its context, and where its bytes are. What reads and writes them is in [`access`].
//!
//! Every access takes the bounds from the context anew, by volatile loads: helpers that change the packet
//! invalidate every pointer into it, and a bound that the compiler carried along would be one of those.

mod access;

use core::arch::asm;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_skb_pull_data, bpf_skb_vlan_pop},
};
use lb_common::packet::Packet;

/// Bytes at the front that are made readable: Ethernet, an IPv6 header with its extensions, or an ICMP error
/// with what it quotes, and a transport header.
const HEADERS: u32 = 256;

/// Offsets above this are refused: the verifier takes no pointer further than 64 kB into a packet.
const MOST: usize = 0x7fff;

/// Whose the Ethernet destination of a packet is (`PACKET_HOST` and the others of linux/if_packet.h).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Addressee {
    /// The device's.
    Device,
    /// Another host's on the same wire.
    OtherHost,
    /// That of many or all hosts there.
    Many,
}

/// A packet at a tc hook: the context of its program.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Skb(*mut __sk_buff);

impl Skb {
    /// The packet of a context.
    #[inline(always)]
    pub const fn new(ctx: *mut __sk_buff) -> Self {
        Self(ctx)
    }

    /// Its context, for helpers.
    #[inline(always)]
    pub const fn ctx(self) -> *mut __sk_buff {
        self.0
    }

    /// Makes the headers readable where parts of them lie outside the packet's first piece.
    ///
    /// Not of one that is yet to be cut: its headers are in the first piece, and where the others are packets of their
    /// own (SCTP's, `GSO_BY_FRAGS`; fraglist GRO) to pull from them makes the kernel's cut a BUG
    /// (`skb_segment`, seen on 6.1 and 6.12).
    #[inline(always)]
    pub fn make_readable(&mut self) {
        if self.segment_size() != 0 {
            return;
        }
        let wanted = if self.len() as u32 > HEADERS { HEADERS } else { self.len() as u32 };
        if self.start() + (wanted as usize) > self.end() {
            // SAFETY: the context is this program's own.
            unsafe { bpf_skb_pull_data(self.0, wanted) };
        }
    }

    /// Whether it belongs to a VLAN's own device. A tag with a priority alone has the number 0 (IEEE 802.1Q §6.9.3), and
    /// such a packet is the device's.
    #[inline(always)]
    pub fn is_tagged(&self) -> bool {
        const NUMBER: u32 = 0xfff;
        // SAFETY: a word of the context.
        self.has_tag() && unsafe { (&raw const (*self.0).vlan_tci).read_volatile() } & NUMBER != 0
    }

    /// Whether it has a tag beside its bytes, taken off by hardware or by the kernel.
    #[inline(always)]
    fn has_tag(&self) -> bool {
        // SAFETY: a word of the context.
        unsafe { (&raw const (*self.0).vlan_present).read_volatile() != 0 }
    }

    /// Takes the tag off that has a priority alone: the stack does so before it sends a packet on.
    #[inline(always)]
    pub fn take_tag_off(&self) {
        if self.has_tag() {
            // SAFETY: the context is this program's own.
            unsafe { bpf_skb_vlan_pop(self.0) };
        }
    }

    /// Whose its Ethernet destination is.
    #[inline(always)]
    pub fn addressee(&self) -> Addressee {
        // SAFETY: a word of the context.
        match unsafe { (&raw const (*self.0).pkt_type).read_volatile() } {
            0 => Addressee::Device,
            3 => Addressee::OtherHost,
            _ => Addressee::Many,
        }
    }

    /// The device that the packet is on.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: a word of the context.
        unsafe { (&raw const (*self.0).ifindex).read_volatile() }
    }

    /// Payload bytes of each segment that this packet is to be cut into; 0 where it is not to be cut.
    #[inline(always)]
    pub fn segment_size(&self) -> usize {
        // SAFETY: a word of the context.
        unsafe { (&raw const (*self.0).gso_size).read_volatile() as usize }
    }

    #[inline(always)]
    fn start(&self) -> usize {
        // SAFETY: a word of the context.
        unsafe { (&raw const (*self.0).data).read_volatile() as usize }
    }

    #[inline(always)]
    fn end(&self) -> usize {
        // SAFETY: a word of the context.
        unsafe { (&raw const (*self.0).data_end).read_volatile() as usize }
    }

    /// Where `count` bytes from `at` on are; `None` where they are not all readable.
    #[inline(always)]
    fn bytes(&self, at: usize, count: usize) -> Option<usize> {
        let mut at = at;
        // SAFETY: a move onto itself, behind which the compiler forgets what it knows of the offset, and doesn't
        // put that in place of the check: the verifier doesn't know it.
        unsafe { asm!("{at} = {at}", at = inout(reg) at, options(pure, nomem, nostack, preserves_flags)) };
        if at > MOST {
            return None;
        }
        let place = self.start() + at;
        if place + count > self.end() {
            return None;
        }
        Some(place)
    }
}
