//! Packets as values: built to bytes, read back from bytes, compared whole.
//!
//! Invariant: what [`Packet::read`] gives has every checksum right; one that is wrong, or a length that
//! contradicts another, is an error. So a test that compares what came out with what should have come has
//! checked every byte of it.

pub mod capture;
mod parts;
mod read;
mod sum;
mod write;

use std::net::{IpAddr, SocketAddr};

/// The Ethernet address of the device that a packet is on.
pub const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The Ethernet address of who is behind it.
pub const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// TCP's FIN.
pub const FIN: u8 = 0x01;
/// TCP's SYN.
pub const SYN: u8 = 0x02;
/// TCP's RST.
pub const RST: u8 = 0x04;
/// TCP's ACK.
pub const ACK: u8 = 0x10;

/// IPv6's hop-by-hop options header (RFC 8200 §4.3).
pub const HOP_BY_HOP: u8 = 0;
/// IPv6's destination options header (RFC 8200 §4.6).
pub const DESTINATION_OPTIONS: u8 = 60;

/// An Ethernet frame with an IP packet in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Ethernet addresses, destination first.
    pub ethernet: [[u8; 6]; 2],
    /// Where it comes from; port 0 where there are no ports.
    pub src: SocketAddr,
    /// Where it goes to.
    pub dst: SocketAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4's bit of that name.
    pub dont_fragment: bool,
    /// IPv4 options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// IPv6 extension headers, by their number: six bytes, and a multiple of eight more.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// Which part of a datagram it is, where it is not all of one.
    pub fragment: Option<Fragment>,
    /// What is in it.
    pub body: Body,
}

/// Which part of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Of which datagram.
    pub id: u32,
    /// Where in it, in bytes.
    pub offset: u16,
    /// Whether more follows.
    pub more: bool,
}

/// What is in an IP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A TCP segment.
    Tcp {
        /// The low byte of its flags.
        flags: u8,
        /// Its sequence number.
        sequence: u32,
        /// What it acknowledges.
        acknowledged: u32,
        /// Its data.
        data: Vec<u8>,
    },
    /// A UDP datagram.
    Udp {
        /// Whether it has a checksum.
        summed: bool,
        /// Its data.
        data: Vec<u8>,
    },
    /// An SCTP packet of one chunk.
    Sctp {
        /// The chunk's type.
        chunk: u8,
        /// The chunk's data.
        data: Vec<u8>,
    },
    /// An ICMP or ICMPv6 message.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
        /// The second word of its header.
        value: u32,
        /// What follows its header.
        data: Vec<u8>,
    },
    /// A part of a datagram, or of a protocol not known here: the bytes behind the IP headers.
    Part {
        /// The protocol.
        proto: u8,
        /// Those bytes.
        bytes: Vec<u8>,
    },
}

/// A TCP segment.
pub fn tcp(src: SocketAddr, dst: SocketAddr, flags: u8) -> Packet {
    let (sequence, acknowledged) = (1_000, if flags & ACK == 0 { 0 } else { 5_000 });
    Packet::new(src, dst, Body::Tcp { flags, sequence, acknowledged, data: Vec::new() })
}

/// A UDP datagram.
pub fn udp(src: SocketAddr, dst: SocketAddr, data: &[u8]) -> Packet {
    Packet::new(src, dst, Body::Udp { summed: true, data: data.to_vec() })
}

/// An SCTP packet with one chunk of that type.
pub fn sctp(src: SocketAddr, dst: SocketAddr, chunk: u8) -> Packet {
    Packet::new(src, dst, Body::Sctp { chunk, data: b"chunk data".to_vec() })
}

/// An ICMP echo request.
pub fn echo(src: IpAddr, dst: IpAddr) -> Packet {
    icmp(src, dst, if src.is_ipv4() { 8 } else { 128 }, 0, 0x0007_0001, b"abcdefghijklm")
}

/// An ICMP message.
pub fn icmp(src: IpAddr, dst: IpAddr, kind: u8, code: u8, value: u32, data: &[u8]) -> Packet {
    let body = Body::Icmp { kind, code, value, data: data.to_vec() };
    Packet::new(SocketAddr::new(src, 0), SocketAddr::new(dst, 0), body)
}

impl Packet {
    /// A packet from a peer to the device that it is on, 64 hops to live.
    pub fn new(src: SocketAddr, dst: SocketAddr, body: Body) -> Self {
        Self {
            ethernet: [HERE, PEER],
            src,
            dst,
            ttl: 64,
            dont_fragment: false,
            options: Vec::new(),
            extensions: Vec::new(),
            fragment: None,
            body,
        }
    }

    /// The same from elsewhere.
    #[must_use]
    pub fn from(mut self, src: SocketAddr) -> Self {
        self.src = src;
        self
    }

    /// The same to elsewhere.
    #[must_use]
    pub fn to(mut self, dst: SocketAddr) -> Self {
        self.dst = dst;
        self
    }

    /// The same with another TTL or hop limit.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// The same after `hops` hops.
    #[must_use]
    pub fn after_hops(mut self, hops: u8) -> Self {
        self.ttl -= hops;
        self
    }

    /// The same, not to be fragmented on its way.
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.dont_fragment = true;
        self
    }

    /// The same with IPv4 options.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// The same with one more IPv6 extension header, of padding (RFC 8200 §4.2).
    #[must_use]
    pub fn extension(mut self, number: u8) -> Self {
        self.extensions.push((number, vec![1, 4, 0, 0, 0, 0]));
        self
    }

    /// The same with other data.
    #[must_use]
    pub fn data(mut self, new: &[u8]) -> Self {
        match &mut self.body {
            Body::Tcp { data, .. }
            | Body::Udp { data, .. }
            | Body::Sctp { data, .. }
            | Body::Icmp { data, .. } => {
                *data = new.to_vec();
            }
            Body::Part { bytes, .. } => *bytes = new.to_vec(),
        }
        self
    }

    /// The same without a checksum, where it is a UDP datagram.
    #[must_use]
    pub fn unsummed(mut self) -> Self {
        if let Body::Udp { summed, .. } = &mut self.body {
            *summed = false;
        }
        self
    }

    /// What its receiver answers: an acceptance to what opens, a going on to what goes on.
    #[must_use]
    pub fn answer(&self) -> Self {
        let body = match &self.body {
            Body::Tcp { flags, sequence, acknowledged, data } => {
                let opens = flags & (SYN | ACK) == SYN;
                let taken = sequence + u32::from(flags & (SYN | FIN) != 0) + data.len() as u32;
                let (flags, sequence) = if opens { (SYN | ACK, 5_000) } else { (ACK, *acknowledged) };
                Body::Tcp { flags, sequence, acknowledged: taken, data: b"answer".to_vec() }
            }
            Body::Udp { summed, .. } => Body::Udp { summed: *summed, data: b"an answer".to_vec() },
            Body::Sctp { chunk, .. } => {
                let chunk = match chunk {
                    1 => 2,
                    10 => 11,
                    other => *other,
                };
                Body::Sctp { chunk, data: b"answer".to_vec() }
            }
            other => other.clone(),
        };
        Self::new(self.dst, self.src, body)
    }

    /// Whether it is IPv4.
    pub fn is_v4(&self) -> bool {
        self.src.is_ipv4()
    }
}
