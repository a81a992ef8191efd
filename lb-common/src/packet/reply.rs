//! Answers made of the packet that they answer, in its place.

use core::mem::offset_of;

use network_types::icmp::Icmpv4Hdr;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::tcp::TcpHdr;

use super::headers::{Headers, ICMP, ICMPV6};
use super::rewrite::{V4_CHECKSUM, checksum_field, ports};
use super::{ChecksumField, L3, MOST_QUOTED, Packet, Sum};
use crate::{Addr, FlowKey, Proto};

/// The TTL and hop limit of answers (RFC 1700's default).
const TTL: u8 = 64;

/// An ICMP error, by what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Message {
    /// Nobody serves this port (RFC 792, type 3 code 3; RFC 4443 §3.1, type 1 code 4).
    PortUnreachable,
    /// The packet's time is over (type 11; §3.3, type 3).
    TimeExceeded,
    /// The packet is too big for the way (type 3 code 4, RFC 1191; §3.2, type 2).
    TooBig,
}

impl Message {
    #[inline(always)]
    const fn number(self, v4: bool) -> [u8; 2] {
        match (self, v4) {
            (Self::PortUnreachable, true) => [3, 3],
            (Self::PortUnreachable, false) => [1, 4],
            (Self::TimeExceeded, true) => [11, 0],
            (Self::TimeExceeded, false) => [3, 0],
            (Self::TooBig, true) => [3, 4],
            (Self::TooBig, false) => [2, 0],
        }
    }
}

/// Makes of a TCP segment the RST that refuses it (RFC 9293 §3.10.7.1). `None`: of a RST nothing is made, nor of
/// an IPv6 packet with extension headers, which are not to be sent back.
#[inline(always)]
pub fn reset<P: Packet>(packet: &mut P, headers: &Headers) -> Option<()> {
    let v4 = headers.is_v4();
    if !v4 && headers.l4 != L3 + Ipv6Hdr::LEN {
        return None;
    }
    let segment = packet.words::<5>(headers.l4)?;
    let len = (L3 + headers.total).checked_sub(headers.l4)?;
    let to = headers.tuple.reversed();
    let words = reset_segment(&segment, len, &to)?;
    let end = headers.l4 + TcpHdr::LEN;
    packet.truncate(end)?;
    let field = checksum_field(Proto::TCP, headers.l4, v4)?;
    let partial = packet.is_checksum_partial(field.at);
    swap_ethernet(packet)?;
    if v4 {
        blank_options(packet, headers.l4)?;
        set_v4_header(packet, &to, headers.l4 - L3, end - L3)?;
    } else {
        set_v6_header(packet, &to, end - L3 - Ipv6Hdr::LEN)?;
    }
    packet.set_words(headers.l4, words)?;
    let pseudo = Sum::of_pseudo_header(to.src(), to.dst(), Proto::TCP, TcpHdr::LEN as u32);
    let whole = words.iter().fold(pseudo, |sum, word| sum.add_word(*word));
    packet.set_half(field.at, if partial { pseudo.to_u16() } else { whole.checksum() })
}

/// Makes of a packet an ICMP error about it, from `src`. `value` is the message's own: the MTU of
/// [`Message::TooBig`], else zero. `None`: it could not be made, and the packet is not to be sent.
#[inline(always)]
pub fn error<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    message: Message,
    value: u32,
    src: Addr,
) -> Option<()> {
    const V4_MOST: usize = 576 - Ipv4Hdr::LEN - Icmpv4Hdr::LEN;
    let v4 = headers.is_v4();
    // Whole words: every header is a multiple of four, and a payload may be cut anywhere.
    let most = if v4 { V4_MOST } else { MOST_QUOTED };
    let quoted = if headers.total < most { headers.total & !3 } else { most };
    packet.truncate(L3 + quoted)?;
    let quoted_sum = sum_quoted(packet, headers, quoted)?;
    let header = if v4 { Ipv4Hdr::LEN } else { Ipv6Hdr::LEN };
    packet.insert_after_ethernet(header + Icmpv4Hdr::LEN)?;
    swap_ethernet(packet)?;
    let to = FlowKey::new(
        src,
        headers.tuple.dport(),
        headers.tuple.src(),
        headers.tuple.sport(),
        if v4 { ICMP } else { ICMPV6 },
    );
    let len = Icmpv4Hdr::LEN + quoted;
    let pseudo = if v4 {
        set_v4_header(packet, &to, header, header + len)?;
        Sum::ZERO
    } else {
        set_v6_header(packet, &to, len)?;
        Sum::of_pseudo_header(to.src(), to.dst(), ICMPV6, len as u32)
    };
    let [number, code] = message.number(v4);
    let first = u32::from_ne_bytes([number, code, 0, 0]);
    let checksum = pseudo.add(quoted_sum).add_word(first).add_word(value.to_be()).checksum();
    packet.set_words(L3 + header, [first, value.to_be()])?;
    packet.set_half(L3 + header + offset_of!(Icmpv4Hdr, check), checksum)
}

/// Makes of an echo request its answer (RFC 792, RFC 4443 §4.2).
#[inline(always)]
pub fn echo<P: Packet>(packet: &mut P, headers: &Headers) -> Option<()> {
    let v4 = headers.is_v4();
    let to = headers.tuple.reversed();
    swap_ethernet(packet)?;
    if v4 {
        blank_options(packet, headers.l4)?;
        set_v4_header(packet, &to, headers.l4 - L3, headers.total)?;
    } else {
        if headers.l4 != L3 + Ipv6Hdr::LEN {
            return None;
        }
        set_v6_header(packet, &to, headers.total - Ipv6Hdr::LEN)?;
    }
    let old = packet.half(headers.l4)?;
    let [_, code] = old.to_ne_bytes();
    let new = u16::from_ne_bytes([if v4 { 0 } else { 129 }, code]);
    packet.set_half(headers.l4, new)?;
    // Addresses change places, which is nothing to a sum.
    let at = headers.l4 + offset_of!(Icmpv4Hdr, check);
    let field = ChecksumField { at, optional: false, v6: !v4 };
    packet.fix_checksum(field, Sum::ZERO, Sum::ZERO.replace_half(old, new))
}

/// The header that refuses a segment of `len` bytes, without its checksum.
#[inline(always)]
fn reset_segment(segment: &[u32; 5], len: usize, to: &FlowKey) -> Option<[u32; 5]> {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    let [_, sequence, acknowledged, fourth, _] = *segment;
    let [offset, flags, ..] = fourth.to_ne_bytes();
    if flags & RST != 0 {
        return None;
    }
    let data = len.checked_sub(usize::from(offset >> 4) * 4)? as u32;
    let (sequence, acknowledged, answer) = if flags & ACK != 0 {
        (acknowledged, 0, RST)
    } else {
        let phantom = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let next = u32::from_be(sequence).wrapping_add(data).wrapping_add(phantom);
        (0, next.to_be(), RST | ACK)
    };
    Some([ports(to), sequence, acknowledged, u32::from_ne_bytes([5 << 4, answer, 0, 0]), 0])
}

/// The sum of the `quoted` bytes from the IP header on, as the receiver will see them.
///
/// A checksum that the device is still to complete makes everything from the transport header on sum to the
/// complement of what it holds now, whatever that everything is: so it is taken for that («local checksum
/// offload», Documentation/networking/checksum-offloads.rst).
#[inline(always)]
fn sum_quoted<P: Packet>(packet: &mut P, headers: &Headers, quoted: usize) -> Option<Sum> {
    if let Some(field) = checksum_field(headers.tuple.proto(), headers.l4, headers.is_v4())
        && field.at + 2 <= L3 + quoted
        && packet.is_checksum_partial(field.at)
    {
        let pseudo = packet.half(field.at)?;
        return Some(packet.sum(L3, headers.l4 - L3)?.add_half(!pseudo));
    }
    packet.sum(L3, quoted)
}

/// Back to where it came from.
#[inline(always)]
fn swap_ethernet<P: Packet>(packet: &mut P) -> Option<()> {
    let [first, second, third] = packet.words::<3>(0)?;
    let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) =
        (first.to_ne_bytes(), second.to_ne_bytes(), third.to_ne_bytes());
    let swapped = [[g, h, i, j], [k, l, a, b], [c, d, e, f]].map(u32::from_ne_bytes);
    packet.set_words(0, swapped)
}

/// Overwrites IPv4's options, which are not to be sent back, by no-operations (RFC 791 §3.1).
#[inline(always)]
fn blank_options<P: Packet>(packet: &mut P, l4: usize) -> Option<()> {
    let mut at = L3 + Ipv4Hdr::LEN;
    for _ in 0..10 {
        if at >= l4 {
            break;
        }
        packet.set_words(at, [0x0101_0101])?;
        at += 4;
    }
    Some(())
}

/// A header of `header` bytes, of a packet of `total`; what stands in place of options is kept, and summed.
#[inline(always)]
fn set_v4_header<P: Packet>(packet: &mut P, to: &FlowKey, header: usize, total: usize) -> Option<()> {
    const DONT_FRAGMENT: u8 = 0x40;
    let [high, low] = (total as u16).to_be_bytes();
    let words = [
        u32::from_ne_bytes([4 << 4 | (header / 4) as u8, 0, high, low]),
        u32::from_ne_bytes([0, 0, DONT_FRAGMENT, 0]),
        u32::from_ne_bytes([TTL, to.proto().number(), 0, 0]),
        to.src().v4_word(),
        to.dst().v4_word(),
    ];
    let mut sum = words.iter().fold(Sum::ZERO, |sum, word| sum.add_word(*word));
    for number in 0..10 {
        if header > Ipv4Hdr::LEN + number * 4 {
            sum = sum.add_word(0x0101_0101);
        }
    }
    packet.set_words(L3, words)?;
    packet.set_half(L3 + V4_CHECKSUM, sum.checksum())
}

/// A header before `payload` bytes.
#[inline(always)]
fn set_v6_header<P: Packet>(packet: &mut P, to: &FlowKey, payload: usize) -> Option<()> {
    let [high, low] = (payload as u16).to_be_bytes();
    let [a, b, c, d] = to.src().words();
    let [e, f, g, h] = to.dst().words();
    let first = u32::from_ne_bytes([6 << 4, 0, 0, 0]);
    let second = u32::from_ne_bytes([high, low, to.proto().number(), TTL]);
    packet.set_words(L3, [first, second, a, b, c, d, e, f, g, h])
}
