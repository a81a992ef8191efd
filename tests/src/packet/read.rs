//! From bytes to a packet, with everything checked that a receiver could check.

use std::net::{IpAddr, SocketAddr};

use etherparse::{Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

use super::{Body, Fragment, Packet, sum};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

/// What is behind the IP headers, until it is known what it is.
struct Payload<'a> {
    proto: u8,
    bytes: &'a [u8],
}

impl Packet {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// What is wrong with it: it ends too early, its lengths contradict each other, a checksum is wrong, or it
    /// has something that no packet of this module has (a traffic class, TCP options).
    pub fn read(frame: &[u8]) -> Result<Self, String> {
        let (ethernet, ip) = frame.split_at_checked(14).ok_or("shorter than an Ethernet header")?;
        let mut packet = match ethernet[12..] {
            [0x08, 0x00] => Self::read_v4(ip)?,
            [0x86, 0xdd] => Self::read_v6(ip)?,
            _ => return Err(format!("ethertype {:02x?}", &ethernet[12..])),
        };
        for (index, addr) in packet.ethernet.iter_mut().enumerate() {
            addr.copy_from_slice(&ethernet[index * 6..index * 6 + 6]);
        }
        let written = packet.bytes();
        match written.iter().zip(frame).position(|(written, read)| written != read) {
            Some(at) => Err(format!("byte {at} is {:#x} where {:#x} should be", frame[at], written[at])),
            None => Ok(packet),
        }
    }

    fn read_v4(ip: &[u8]) -> Result<Self, String> {
        let (header, rest) = Ipv4Header::from_slice(ip).map_err(|error| error.to_string())?;
        check_v4(&header)?;
        if usize::from(header.total_len) != ip.len() {
            return Err(format!("IPv4 says {} bytes, there are {}", header.total_len, ip.len()));
        }
        let (more, offset) = (header.more_fragments, header.fragment_offset.value() * 8);
        let id = header.identification.into();
        let fragment = (more || offset > 0).then_some(Fragment { id, offset, more });
        let payload = Payload { proto: header.protocol.0, bytes: rest };
        let mut packet =
            Self::with_payload(header.source.into(), header.destination.into(), fragment, &payload)?;
        packet.ttl = header.time_to_live;
        packet.dont_fragment = header.dont_fragment;
        packet.options = header.options.to_vec();
        Ok(packet)
    }

    fn read_v6(ip: &[u8]) -> Result<Self, String> {
        let (header, mut rest) = Ipv6Header::from_slice(ip).map_err(|error| error.to_string())?;
        if usize::from(header.payload_length) != rest.len() {
            return Err(format!("IPv6 says {} bytes, there are {}", header.payload_length, rest.len()));
        }
        let mut proto = header.next_header.0;
        let (mut extensions, mut fragment) = (Vec::new(), None);
        while matches!(proto, 0 | 43 | FRAGMENT | 60) {
            let len = if proto == FRAGMENT { 8 } else { (usize::from(*rest.get(1).unwrap_or(&0)) + 1) * 8 };
            let (extension, after) = rest.split_at_checked(len).ok_or("an extension header is cut")?;
            if proto == FRAGMENT {
                let field = u16::from_be_bytes([extension[2], extension[3]]);
                let id = u32::from_be_bytes([extension[4], extension[5], extension[6], extension[7]]);
                fragment = Some(Fragment { id, offset: field & 0xfff8, more: field & 1 != 0 });
            } else {
                extensions.push((proto, extension[2..].to_vec()));
            }
            (proto, rest) = (extension[0], after);
        }
        let payload = Payload { proto, bytes: rest };
        let mut packet =
            Self::with_payload(header.source.into(), header.destination.into(), fragment, &payload)?;
        packet.ttl = header.hop_limit;
        packet.extensions = extensions;
        Ok(packet)
    }

    fn with_payload(
        src: IpAddr,
        dst: IpAddr,
        fragment: Option<Fragment>,
        payload: &Payload<'_>,
    ) -> Result<Self, String> {
        let Payload { proto, bytes } = *payload;
        let (sport, dport, body) = match proto {
            _ if fragment.is_some() => (0, 0, Body::Part { proto, bytes: bytes.to_vec() }),
            TCP => read_tcp(bytes)?,
            UDP => read_udp(bytes, src.is_ipv4())?,
            SCTP => read_sctp(bytes)?,
            ICMP | ICMPV6 => read_icmp(bytes, src.is_ipv4())?,
            _ => (0, 0, Body::Part { proto, bytes: bytes.to_vec() }),
        };
        let checked = match &body {
            Body::Tcp { .. } | Body::Icmp { .. } | Body::Udp { summed: true, .. } => true,
            Body::Udp { .. } | Body::Sctp { .. } | Body::Part { .. } => false,
        };
        if checked && !matches!(sum::transport(src, dst, proto, bytes), 0) {
            return Err(format!("the checksum of protocol {proto} is wrong, {src} to {dst}"));
        }
        let mut packet = Self::new(SocketAddr::new(src, sport), SocketAddr::new(dst, dport), body);
        packet.fragment = fragment;
        Ok(packet)
    }
}

type Read = Result<(u16, u16, Body), String>;

fn read_tcp(bytes: &[u8]) -> Read {
    let (header, data) = TcpHeader::from_slice(bytes).map_err(|error| error.to_string())?;
    let body = Body::Tcp {
        flags: bytes[13],
        sequence: header.sequence_number,
        acknowledged: header.acknowledgment_number,
        data: data.to_vec(),
    };
    Ok((header.source_port, header.destination_port, body))
}

fn read_udp(bytes: &[u8], v4: bool) -> Read {
    let (header, data) = UdpHeader::from_slice(bytes).map_err(|error| error.to_string())?;
    if usize::from(header.length) != bytes.len() {
        return Err(format!("UDP says {} bytes, there are {}", header.length, bytes.len()));
    }
    let summed = header.checksum != 0;
    if !summed && !v4 {
        return Err("UDP without a checksum in IPv6".to_owned());
    }
    Ok((header.source_port, header.destination_port, Body::Udp { summed, data: data.to_vec() }))
}

fn read_sctp(bytes: &[u8]) -> Read {
    let (header, chunk) = bytes.split_at_checked(12).ok_or("shorter than an SCTP header")?;
    let mut bare = bytes.to_vec();
    bare[8..12].fill(0);
    if header[8..12] != sum::sctp(&bare) {
        return Err("the checksum of SCTP is wrong".to_owned());
    }
    let (chunk, data) = chunk.split_at_checked(4).ok_or("shorter than an SCTP chunk")?;
    let len = usize::from(u16::from_be_bytes([chunk[2], chunk[3]])).saturating_sub(4);
    let data = data.get(..len).ok_or("an SCTP chunk is cut")?.to_vec();
    let port = |at| u16::from_be_bytes([header[at], header[at + 1]]);
    Ok((port(0), port(2), Body::Sctp { chunk: chunk[0], data }))
}

fn read_icmp(bytes: &[u8], v4: bool) -> Read {
    let (header, data) = bytes.split_at_checked(8).ok_or("shorter than an ICMP header")?;
    let (kind, code) = (header[0], header[1]);
    if v4 && matches!(kind, 3 | 11) {
        let (quoted, _) = Ipv4Header::from_slice(data).map_err(|error| format!("quoted: {error}"))?;
        check_v4(&quoted).map_err(|error| format!("quoted: {error}"))?;
    }
    let value = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Ok((0, 0, Body::Icmp { kind, code, value, data: data.to_vec() }))
}

fn check_v4(header: &Ipv4Header) -> Result<(), String> {
    if header.header_checksum == header.calc_header_checksum() {
        Ok(())
    } else {
        Err(format!("the checksum of the IPv4 header is wrong: {header:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use crate::packet::{ACK, Body, DESTINATION_OPTIONS, HOP_BY_HOP, Packet, SYN, echo, sctp, tcp, udp};

    fn at(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    /// One of every kind.
    fn packets() -> Vec<Packet> {
        let mut packets = Vec::new();
        for (src, dst) in [("192.0.2.9:4000", "10.96.0.1:80"), ("[2001:db8::9]:4000", "[fd00:96::1]:80")] {
            let (src, dst) = (at(src), at(dst));
            packets.extend([
                tcp(src, dst, SYN),
                tcp(src, dst, ACK).data(b"odd"),
                udp(src, dst, b"a query"),
                sctp(src, dst, 1),
                echo(src.ip(), dst.ip()),
            ]);
        }
        let (src, dst) = (packets[0].src, packets[0].dst);
        packets.push(udp(src, dst, b"no sum").unsummed());
        packets.push(tcp(src, dst, SYN).options(&[1, 1, 1, 0]).dont_fragment());
        let (src, dst) = (packets[5].src, packets[5].dst);
        packets.push(udp(src, dst, b"extended").extension(HOP_BY_HOP).extension(DESTINATION_OPTIONS));
        packets
    }

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        for packet in packets() {
            assert_eq!(Packet::read(&packet.bytes()), Ok(packet));
        }
    }

    #[test]
    fn a_datagram_comes_together_from_its_fragments() {
        for packet in packets().into_iter().filter(|packet| packet.options.is_empty()) {
            let packet = packet.data(&[7; 3_000]);
            let parts = packet.fragments(99, 1_480);
            assert_eq!(parts.len(), 3);
            for part in &parts {
                assert_eq!(Packet::read(&part.bytes()).as_ref(), Ok(part));
            }
            assert_eq!(Packet::reassembled(&parts), Ok(packet));
        }
    }

    #[test]
    fn a_spoilt_byte_of_a_summed_packet_is_found() {
        for packet in packets() {
            let frame = packet.bytes();
            for at in 14..frame.len() {
                let mut spoilt = frame.clone();
                spoilt[at] ^= 0x40;
                let read = Packet::read(&spoilt);
                let unsummed = matches!(packet.body, Body::Udp { summed: false, .. });
                let behind = 14 + packet.ip_bytes().len() - packet.payload_bytes().len();
                let covered = packet.is_v4() && at < behind || !unsummed && at >= behind;
                assert!(read.is_err() || !covered && read.as_ref() != Ok(&packet), "byte {at} of {packet:?}");
            }
        }
    }

    #[test]
    fn sums_are_those_of_a_library() {
        for (src, dst) in [("192.0.2.9:4000", "10.96.0.1:80"), ("[2001:db8::9]:4000", "[fd00:96::1]:80")] {
            let packet = tcp(at(src), at(dst), SYN).data(b"some data");
            let frame = packet.bytes();
            let sliced = etherparse::SlicedPacket::from_ethernet(&frame).expect("a frame");
            let Some(etherparse::TransportSlice::Tcp(segment)) = sliced.transport else { panic!("no TCP") };
            let sum = match sliced.net {
                Some(etherparse::NetSlice::Ipv4(ip)) => {
                    segment.calc_checksum_ipv4(ip.header().source(), ip.header().destination())
                }
                Some(etherparse::NetSlice::Ipv6(ip)) => {
                    segment.calc_checksum_ipv6(ip.header().source(), ip.header().destination())
                }
                _ => panic!("no IP"),
            };
            assert_eq!(sum.ok(), Some(segment.checksum()));
        }
    }
}
