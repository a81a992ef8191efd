//! An IP header with its extensions, of either family.

use network_types::ip::{IpProto, Ipv4Hdr, Ipv6Hdr};

use super::Packet;
use super::headers::Part;
use crate::{Addr, FlowKey, Port, Proto};

/// Bytes of IPv6 extension headers that are followed: more is no honest client's.
const MOST_EXTENSIONS: usize = 512;

/// An IP header, with its extensions.
#[derive(Clone, Copy)]
pub(super) struct Network {
    pub(super) src: Addr,
    pub(super) dst: Addr,
    pub(super) l4: usize,
    pub(super) total: usize,
    pub(super) proto: Proto,
    pub(super) fragment_id: u32,
    pub(super) part: Part,
    pub(super) ttl: u8,
}

impl Network {
    /// RFC 791 §3.1. A total length of zero is that of a packet beyond 64 kB which is not cut into segments
    /// yet («BIG TCP», Linux 6.3).
    #[inline(always)]
    pub(super) fn parse_v4<P: Packet>(packet: &P, at: usize) -> Option<Self> {
        let [first, second, third, src, dst] = packet.words::<5>(at)?;
        let [version, _, total_high, total_low] = first.to_ne_bytes();
        let [id_high, id_low, fragment_high, fragment_low] = second.to_ne_bytes();
        let [ttl, proto, ..] = third.to_ne_bytes();
        let header = usize::from(version & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([total_high, total_low]));
        let total = if total == 0 { packet.len().saturating_sub(at) } else { total };
        if version >> 4 != 4 || header < Ipv4Hdr::LEN || total < header {
            return None;
        }
        let fragment = u16::from_be_bytes([fragment_high, fragment_low]);
        Some(Self {
            src: Addr::from_v4_word(src),
            dst: Addr::from_v4_word(dst),
            l4: at + header,
            total,
            proto: Proto::from_number(proto),
            fragment_id: u32::from(u16::from_ne_bytes([id_high, id_low])),
            part: part(fragment & 0x1fff != 0, fragment & 0x2000 != 0),
            ttl,
        })
    }

    /// RFC 8200 §3. A payload length of zero: as in IPv4.
    #[inline(always)]
    pub(super) fn parse_v6<P: Packet>(packet: &P, at: usize) -> Option<Self> {
        let [first, second, a, b, c, d, e, f, g, h] = packet.words::<10>(at)?;
        let [length_high, length_low, next, ttl] = second.to_ne_bytes();
        let payload = usize::from(u16::from_be_bytes([length_high, length_low]));
        let total = if payload == 0 { packet.len().saturating_sub(at) } else { Ipv6Hdr::LEN + payload };
        if first.to_ne_bytes()[0] >> 4 != 6 || total < Ipv6Hdr::LEN {
            return None;
        }
        let mut network = Self {
            src: Addr::from_words([a, b, c, d]),
            dst: Addr::from_words([e, f, g, h]),
            l4: at + Ipv6Hdr::LEN,
            total,
            proto: Proto::from_number(next),
            fragment_id: 0,
            part: Part::Whole,
            ttl,
        };
        if is_extension(next) {
            network.skip_extensions(packet)?;
        }
        // A mapped address stands for IPv4 in every table; on the wire it has no business (RFC 4291 §2.5.5.2).
        (!network.src.is_v4() && !network.dst.is_v4()).then_some(network)
    }

    /// RFC 8200 §4: up to six extension headers. `None` where there are more, or one says that the
    /// destination is not the last (routing header, §4.4).
    #[inline(always)]
    fn skip_extensions<P: Packet>(&mut self, packet: &P) -> Option<()> {
        let first = self.l4;
        for _ in 0..6 {
            let next = self.proto.number();
            if !is_extension(next) {
                return Some(());
            }
            let [word, id] = packet.words::<2>(self.l4)?;
            let [after, len, third, fourth] = word.to_ne_bytes();
            self.proto = Proto::from_number(after);
            let mut bytes = (usize::from(len) + 1) * 8;
            if next == IpProto::Ipv6Route as u8 && fourth != 0 {
                return None;
            }
            if next == IpProto::Ipv6Frag as u8 {
                bytes = 8;
                let fragment = u16::from_be_bytes([third, fourth]);
                self.fragment_id = id;
                self.part = part(fragment & 0xfff8 != 0, fragment & 1 != 0);
            }
            if self.l4 + bytes > first + MOST_EXTENSIONS {
                return None;
            }
            self.l4 += bytes;
            if self.part == Part::Later {
                return Some(());
            }
        }
        (!is_extension(self.proto.number())).then_some(())
    }

    /// Whether its transport header is here, and begins with ports.
    #[inline(always)]
    pub(super) const fn has_ports(&self) -> bool {
        !matches!(self.part, Part::Later) && matches!(self.proto, Proto::TCP | Proto::UDP | Proto::SCTP)
    }

    /// The tuple, with the word of ports that a transport header begins with.
    #[inline(always)]
    pub(super) fn tuple(&self, ports: u32) -> FlowKey {
        let [a, b, c, d] = ports.to_ne_bytes();
        let sport = Port::from_wire(u16::from_ne_bytes([a, b]));
        let dport = Port::from_wire(u16::from_ne_bytes([c, d]));
        FlowKey::new(self.src, sport, self.dst, dport, self.proto)
    }
}

#[inline(always)]
const fn part(is_later: bool, has_more: bool) -> Part {
    match (is_later, has_more) {
        (true, _) => Part::Later,
        (false, true) => Part::First,
        (false, false) => Part::Whole,
    }
}

/// RFC 8200 §4.1, but for those of IPsec: what they protect can't be seen, or can't be changed.
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
    const ROUTING: u8 = IpProto::Ipv6Route as u8;
    const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
    const DESTINATION: u8 = IpProto::Ipv6Opts as u8;
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}
