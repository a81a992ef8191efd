//! Another tuple for a packet, and one hop less to live.

use core::mem::offset_of;

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::sctp::SctpHdr;
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;

use super::headers::{Headers, Part};
use super::{ChecksumField, L3, Packet, Sum};
use crate::{FlowKey, Proto};

/// Where IPv4's checksum is in its header.
pub(super) const V4_CHECKSUM: usize = offset_of!(Ipv4Hdr, check);

/// Gives the packet the tuple `to`, of the same protocol and family. `None`: it ends before its headers do, or
/// is an SCTP fragment, whose checksum covers what is not here.
#[inline(always)]
pub fn rewrite<P: Packet>(packet: &mut P, headers: &Headers, to: &FlowKey) -> Option<()> {
    let from = &headers.tuple;
    let sctp = from.proto() == Proto::SCTP;
    if sctp && headers.part != Part::Whole {
        return None;
    }
    let ports = if headers.part == Part::Later { Sum::ZERO } else { set_ports(packet, headers.l4, to)? };
    if sctp {
        fix_crc(packet, headers, to)?;
    }
    let addresses = set_addresses(packet, L3, from, to)?;
    if headers.part != Part::Later
        && let Some(field) = checksum_field(from.proto(), headers.l4, headers.is_v4())
    {
        return packet.fix_checksum(field, addresses, ports);
    }
    // IPv4's are balanced by its header's checksum.
    if !headers.is_v4() {
        packet.note_change(addresses);
    }
    Some(())
}

/// Decrements the TTL or hop limit, which is above one.
#[inline(always)]
pub fn decrement_ttl<P: Packet>(packet: &mut P, headers: &Headers) -> Option<()> {
    let at = L3 + if headers.is_v4() { offset_of!(Ipv4Hdr, ttl) } else { offset_of!(Ipv6Hdr, next_hdr) };
    let old = packet.half(at)?;
    let [first, second] = old.to_ne_bytes();
    let new = if headers.is_v4() { [first.wrapping_sub(1), second] } else { [first, second.wrapping_sub(1)] };
    let new = u16::from_ne_bytes(new);
    packet.set_half(at, new)?;
    if headers.is_v4() {
        let checksum = packet.half(L3 + V4_CHECKSUM)?;
        return packet.set_half(L3 + V4_CHECKSUM, Sum::ZERO.replace_half(old, new).apply(checksum));
    }
    packet.note_change(Sum::ZERO.replace_half(old, new));
    Some(())
}

/// The Internet checksum of a transport header; SCTP has another kind.
#[inline(always)]
pub(super) const fn checksum_field(proto: Proto, l4: usize, v4: bool) -> Option<ChecksumField> {
    match proto {
        Proto::TCP => Some(ChecksumField { at: l4 + offset_of!(TcpHdr, check), optional: false, v6: !v4 }),
        Proto::UDP => Some(ChecksumField { at: l4 + offset_of!(UdpHdr, check), optional: true, v6: !v4 }),
        _ => None,
    }
}

/// Writes ports; the difference that they make.
#[inline(always)]
pub(super) fn set_ports<P: Packet>(packet: &mut P, l4: usize, to: &FlowKey) -> Option<Sum> {
    let [old] = packet.words::<1>(l4)?;
    let new = ports(to);
    packet.set_words(l4, [new])?;
    Some(Sum::ZERO.replace_word(old, new))
}

/// The ports of a tuple as the word that a transport header begins with.
#[inline(always)]
pub(super) const fn ports(tuple: &FlowKey) -> u32 {
    let [a, b] = tuple.sport().wire().to_ne_bytes();
    let [c, d] = tuple.dport().wire().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// Writes the addresses of the IP header at `l3`, with IPv4's checksum; the difference that they make to a
/// pseudo-header.
#[inline(always)]
pub(super) fn set_addresses<P: Packet>(
    packet: &mut P,
    l3: usize,
    from: &FlowKey,
    to: &FlowKey,
) -> Option<Sum> {
    if from.src().is_v4() {
        let difference = Sum::ZERO
            .replace_word(from.src().v4_word(), to.src().v4_word())
            .replace_word(from.dst().v4_word(), to.dst().v4_word());
        let at = l3 + V4_CHECKSUM;
        let checksum = difference.apply(packet.half(at)?);
        packet.set_words(l3 + offset_of!(Ipv4Hdr, src_addr), [to.src().v4_word(), to.dst().v4_word()])?;
        packet.set_half(at, checksum)?;
        return Some(difference);
    }
    let [a, b, c, d] = to.src().words();
    let [e, f, g, h] = to.dst().words();
    packet.set_words(l3 + offset_of!(Ipv6Hdr, src_addr), [a, b, c, d, e, f, g, h])?;
    Some(Sum::ZERO.replace_addr(from.src(), to.src()).replace_addr(from.dst(), to.dst()))
}

/// SCTP's checksum after new ports. Zero is one that the device is still to write (a right checksum is zero
/// once in four billion): it stays.
#[inline(always)]
fn fix_crc<P: Packet>(packet: &mut P, headers: &Headers, to: &FlowKey) -> Option<()> {
    let at = headers.l4 + offset_of!(SctpHdr, checksum);
    let [old] = packet.words::<1>(at)?;
    if old == 0 {
        return Some(());
    }
    let len = (L3 + headers.total).checked_sub(headers.l4)?;
    let (before, after) = (u32::from_le(ports(&headers.tuple)), u32::from_le(ports(to)));
    let crc = u32::from_le(old) ^ P::crc_difference(before, after, len as u32);
    packet
        .note_change(Sum::ZERO.replace_word(ports(&headers.tuple), ports(to)).replace_word(old, crc.to_le()));
    packet.set_words(at, [crc.to_le()])
}
