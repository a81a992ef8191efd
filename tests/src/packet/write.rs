//! From a packet to its bytes.

use std::net::IpAddr;

use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6FragmentHeader, Ipv6Header, TcpHeader,
};

use super::{Body, Fragment, Packet, RST, sum};

const FRAGMENT: u8 = 44;

impl Packet {
    /// All of it, from the Ethernet header on.
    pub fn bytes(&self) -> Vec<u8> {
        let ethertype: u16 = if self.is_v4() { 0x0800 } else { 0x86dd };
        [&self.ethernet.concat()[..], &ethertype.to_be_bytes(), &self.ip_bytes()].concat()
    }

    /// From the IP header on.
    pub fn ip_bytes(&self) -> Vec<u8> {
        let (proto, payload) = (self.proto(), self.payload_bytes());
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let fragment = self.fragment.unwrap_or(Fragment { id: 0, offset: 0, more: false });
                let mut header = Ipv4Header {
                    total_len: (20 + self.options.len() + payload.len()) as u16,
                    identification: fragment.id as u16,
                    dont_fragment: self.dont_fragment,
                    more_fragments: fragment.more,
                    fragment_offset: offset(fragment),
                    time_to_live: self.ttl,
                    protocol: IpNumber(proto),
                    source: src.octets(),
                    destination: dst.octets(),
                    options: Ipv4Options::try_from(&self.options[..]).expect("options of whole words"),
                    ..Ipv4Header::default()
                };
                header.header_checksum = header.calc_header_checksum();
                [&header.to_bytes()[..], &payload].concat()
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let (first, extensions) = self.extension_bytes(proto);
                let header = Ipv6Header {
                    payload_length: (extensions.len() + payload.len()) as u16,
                    next_header: IpNumber(first),
                    hop_limit: self.ttl,
                    source: src.octets(),
                    destination: dst.octets(),
                    ..Ipv6Header::default()
                };
                [&header.to_bytes()[..], &extensions, &payload].concat()
            }
            (src, dst) => panic!("{src} and {dst} are of two families"),
        }
    }

    /// The number of what is behind the IP headers.
    pub fn proto(&self) -> u8 {
        match &self.body {
            Body::Tcp { .. } => 6,
            Body::Udp { .. } => 17,
            Body::Sctp { .. } => 132,
            Body::Icmp { .. } if self.is_v4() => 1,
            Body::Icmp { .. } => 58,
            Body::Part { proto, .. } => *proto,
        }
    }

    /// The number of the first extension header, or of what is behind them, and all of them.
    fn extension_bytes(&self, proto: u8) -> (u8, Vec<u8>) {
        let mut numbers: Vec<u8> = self.extensions.iter().map(|(number, _)| *number).collect();
        numbers.extend(self.fragment.map(|_| FRAGMENT));
        numbers.push(proto);
        let mut bytes = Vec::new();
        for ((_, data), next) in self.extensions.iter().zip(&numbers[1..]) {
            bytes.extend([*next, ((data.len() + 2) / 8 - 1) as u8]);
            bytes.extend(data);
        }
        if let Some(fragment) = self.fragment {
            let header =
                Ipv6FragmentHeader::new(IpNumber(proto), offset(fragment), fragment.more, fragment.id);
            bytes.extend(header.to_bytes());
        }
        (numbers[0], bytes)
    }

    /// What is behind the IP headers, with its checksum.
    pub fn payload_bytes(&self) -> Vec<u8> {
        let (sport, dport) = (self.src.port(), self.dst.port());
        let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
        match &self.body {
            Body::Tcp { flags, sequence, acknowledged, data } => {
                let window = if flags & RST == 0 { 64_000 } else { 0 };
                let mut header = TcpHeader::new(sport, dport, *sequence, window);
                header.acknowledgment_number = *acknowledged;
                let mut bytes = [&header.to_bytes()[..], data].concat();
                bytes[13] = *flags;
                self.summed(bytes, 16)
            }
            Body::Udp { summed, data } => {
                let len = (8 + data.len()) as u16;
                let bytes = [&ports[..], &len.to_be_bytes(), &[0, 0], data].concat();
                if *summed { self.summed(bytes, 6) } else { bytes }
            }
            Body::Sctp { chunk, data } => {
                let len = (4 + data.len()) as u16;
                let tag = 0x5ca1_ab1e_u32.to_be_bytes();
                let mut bytes = [&ports[..], &tag, &[0; 4], &[*chunk, 0], &len.to_be_bytes(), data].concat();
                // Chunks are padded to whole words (RFC 9260 §3.2).
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                let crc = sum::sctp(&bytes);
                bytes[8..12].copy_from_slice(&crc);
                bytes
            }
            Body::Icmp { kind, code, value, data } => {
                let bytes = [&[*kind, *code, 0, 0][..], &value.to_be_bytes(), data].concat();
                self.summed(bytes, 2)
            }
            Body::Part { bytes, .. } => bytes.clone(),
        }
    }

    /// With the checksum written at `at`, which is zero before; a sum of zero is written as all ones by UDP.
    fn summed(&self, mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
        let proto = self.proto();
        let sum = sum::transport(self.src.ip(), self.dst.ip(), proto, &bytes);
        let sum = if proto == 17 && sum == 0 { 0xffff } else { sum };
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

fn offset(fragment: Fragment) -> IpFragOffset {
    IpFragOffset::try_new(fragment.offset / 8).expect("an offset of 13 bits")
}
