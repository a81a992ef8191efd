//! What a packet is: its tuple, where its headers are, and what the hook should make of it.

use network_types::ip::{IpProto, Ipv4Hdr};
use network_types::sctp::SctpHdr;
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;

use super::network::Network;
use super::{L3, Packet};
use crate::{FlowKey, Port, Proto, Seen};

/// ICMP in IPv4.
pub const ICMP: Proto = Proto::from_number(IpProto::Icmp as u8);
/// ICMP in IPv6.
pub const ICMPV6: Proto = Proto::from_number(IpProto::Ipv6Icmp as u8);

/// What a hook may do with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// TCP, UDP or SCTP, with ports.
    Transport,
    /// A later fragment of one of those: its ports are in the first.
    LaterFragment,
    /// An ICMP error, with the packet that it is about.
    IcmpError,
    /// An ICMP echo request.
    Echo,
    /// Anything else.
    Other,
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its first fragment.
    First,
    /// A later fragment.
    Later,
}

/// A packet's headers, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers {
    /// Addresses, ports where there are (else zero), protocol.
    pub tuple: FlowKey,
    /// Where the transport header begins.
    pub l4: usize,
    /// Bytes from the IP header on, by its own account.
    pub total: usize,
    /// The fragment's identification, as it stands in memory.
    pub fragment_id: u32,
    /// TCP's flags (low byte), SCTP's first chunk type, ICMP's type.
    pub code: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Which part of a datagram it is.
    pub part: Part,
    /// What to do with it.
    pub kind: Kind,
}

impl Headers {
    /// Whether it is IPv4.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.tuple.src().is_v4()
    }

    /// Whether it is IPv4 and has options.
    #[inline(always)]
    pub const fn has_options(&self) -> bool {
        self.is_v4() && self.l4 > L3 + Ipv4Hdr::LEN
    }

    /// What the packet says about its flow.
    #[inline(always)]
    pub const fn seen(&self) -> Seen {
        match self.tuple.proto() {
            Proto::TCP => Seen::of_tcp(self.code),
            Proto::SCTP => Seen::of_sctp(self.code),
            _ => Seen::PACKET,
        }
    }
}

/// What bytes turn out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// Not IP, or in a VLAN tag: the VLAN's own device sees it untagged.
    NotIp,
    /// IP that contradicts itself or ends too early.
    Malformed,
    /// IP.
    Ip(Headers),
}

/// Decodes a packet.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P) -> Parsed {
    const IPV4: u16 = 0x0800_u16.to_be();
    const IPV6: u16 = 0x86dd_u16.to_be();
    let network = match packet.half(L3 - 2) {
        Some(IPV4) => Network::parse_v4(packet, L3),
        Some(IPV6) => Network::parse_v6(packet, L3),
        _ => return Parsed::NotIp,
    };
    let headers = network
        .filter(|network| L3 + network.total <= packet.len() && network.l4 <= L3 + network.total)
        .and_then(|network| network.with_transport(packet));
    match headers {
        Some(headers) => Parsed::Ip(headers),
        None => Parsed::Malformed,
    }
}

impl Network {
    /// With what the transport header says.
    #[inline(always)]
    fn with_transport<P: Packet>(self, packet: &P) -> Option<Headers> {
        let end = L3 + self.total;
        let mut headers = Headers {
            tuple: FlowKey::new(self.src, Port::new(0), self.dst, Port::new(0), self.proto),
            l4: self.l4,
            total: self.total,
            fragment_id: self.fragment_id,
            code: 0,
            ttl: self.ttl,
            part: self.part,
            kind: Kind::Other,
        };
        let is_transport = matches!(self.proto, Proto::TCP | Proto::UDP | Proto::SCTP);
        if self.part == Part::Later {
            headers.kind = if is_transport { Kind::LaterFragment } else { Kind::Other };
            return Some(headers);
        }
        if is_transport {
            let (needed, code) = transport(packet, self.l4, self.proto)?;
            if self.l4 + needed > end {
                return None;
            }
            let [ports] = packet.words::<1>(self.l4)?;
            headers.tuple = self.tuple(ports);
            headers.code = code;
            headers.kind = Kind::Transport;
            return Some(headers);
        }
        let of_family = if self.src.is_v4() { ICMP } else { ICMPV6 };
        if self.proto == of_family && self.part == Part::Whole {
            let [code, ..] = packet.half(self.l4)?.to_ne_bytes();
            headers.code = code;
            headers.kind = icmp_kind(self.src.is_v4(), code);
        }
        Some(headers)
    }
}

/// The chunk of SCTP that carries data (RFC 9260 §3.3.1).
const DATA: u8 = 0;

/// How long a transport header is at least, and what [`Headers::code`] is of it.
#[inline(always)]
fn transport<P: Packet>(packet: &P, l4: usize, proto: Proto) -> Option<(usize, u8)> {
    match proto {
        Proto::TCP => {
            let [offset, flags] = packet.half(l4 + 12)?.to_ne_bytes();
            let len = usize::from(offset >> 4) * 4;
            (len >= TcpHdr::LEN).then_some((len, flags))
        }
        Proto::UDP => Some((UdpHdr::LEN, 0)),
        _ => {
            // With the first chunk's header, which every SCTP packet has. One that is yet to be cut has it where it
            // can't be read, and is none that opens or ends an association: those are alone in their packet.
            const LEN: usize = SctpHdr::LEN + 4;
            match packet.half(l4 + SctpHdr::LEN) {
                Some(chunk) => Some((LEN, chunk.to_ne_bytes()[0])),
                None => (packet.len() >= l4 + LEN).then_some((LEN, DATA)),
            }
        }
    }
}

/// Errors: RFC 792 (unreachable, source quench, time exceeded, parameter problem), RFC 4443 §2.1 (1 to 4 are
/// those in use).
#[inline(always)]
const fn icmp_kind(v4: bool, code: u8) -> Kind {
    match (v4, code) {
        (true, 3 | 4 | 11 | 12) | (false, 1..=4) => Kind::IcmpError,
        (true, 8) | (false, 128) => Kind::Echo,
        _ => Kind::Other,
    }
}
