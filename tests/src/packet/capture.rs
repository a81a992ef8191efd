//! Captured packets, judged one by one: every checksum computed anew by etherparse.

use std::fs::File;
use std::io::{BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use etherparse::{Icmpv4Slice, NetSlice, SlicedPacket, TransportSlice};

/// What a capture has, all of it with right checksums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Captured {
    /// TCP segments.
    pub tcp: u64,
    /// UDP datagrams in one packet.
    pub udp: u64,
    /// ICMP and ICMPv6 messages.
    pub icmp: u64,
    /// Fragments, of which the IP header is what can be summed.
    pub fragments: u64,
    /// Bytes of IP.
    pub bytes: u64,
}

/// Reads what `tcpdump -w` wrote. `look` is given both addresses of each packet.
///
/// # Errors
///
/// The first packet of which a checksum is wrong, or that can't be read: its number, and why.
pub fn judge(file: &Path, mut look: impl FnMut(IpAddr, IpAddr) -> Result<()>) -> Result<Captured> {
    /// libpcap's format, microseconds, written on a machine of this byte order; Ethernet.
    const MAGIC: u32 = 0xa1b2_c3d4;
    const ETHERNET: u32 = 1;
    let opened = File::open(file).with_context(|| file.display().to_string())?;
    let mut reader = BufReader::with_capacity(1 << 20, opened);
    let head: [u32; 6] = words(&mut reader)?.context("a capture without a head")?;
    ensure!((head[0], head[5]) == (MAGIC, ETHERNET), "not a capture of Ethernet frames: {head:x?}");
    let (mut captured, mut frame) = (Captured::default(), Vec::new());
    for number in 1_u64.. {
        let Some([_, _, len, on_wire]) = words(&mut reader)? else { break };
        ensure!(len == on_wire, "packet {number}: {len} of its {on_wire} bytes were captured");
        frame.resize(len as usize, 0);
        reader.read_exact(&mut frame).with_context(|| format!("packet {number}"))?;
        check(&frame, &mut captured, &mut look).with_context(|| format!("packet {number}: {frame:02x?}"))?;
    }
    Ok(captured)
}

/// So many words; `None` at the end.
fn words<const N: usize>(reader: &mut impl Read) -> Result<Option<[u32; N]>> {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let mut bytes = [0; 4];
        match reader.read_exact(&mut bytes) {
            // What is cut off when the program is told to end is no packet.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.with_context(|| format!("word {index}"))?,
        }
        *word = u32::from_ne_bytes(bytes);
    }
    Ok(Some(words))
}

fn check(
    frame: &[u8],
    captured: &mut Captured,
    look: &mut impl FnMut(IpAddr, IpAddr) -> Result<()>,
) -> Result<()> {
    let sliced = SlicedPacket::from_ethernet(frame)?;
    let (ends, fragmented) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let sum = header.to_header().calc_header_checksum();
            ensure!(sum == header.header_checksum(), "the IPv4 header's sum is {sum:#x}");
            captured.bytes += u64::from(header.total_len());
            ((header.source_addr().into(), header.destination_addr().into()), ip.is_payload_fragmented())
        }
        Some(NetSlice::Ipv6(ip)) => {
            captured.bytes += u64::from(ip.header().payload_length()) + 40;
            let header = ip.header();
            ((header.source_addr().into(), header.destination_addr().into()), ip.is_payload_fragmented())
        }
        // ARP, and what switches say to each other.
        _ => return Ok(()),
    };
    look(ends.0, ends.1)?;
    if fragmented {
        captured.fragments += 1;
        return Ok(());
    }
    match &sliced.transport {
        Some(transport) => check_transport(transport, ends, captured),
        None => bail!("no transport header"),
    }
}

fn check_transport(
    transport: &TransportSlice<'_>,
    ends: (IpAddr, IpAddr),
    captured: &mut Captured,
) -> Result<()> {
    let (found, expected) = match (transport, ends) {
        (TransportSlice::Tcp(tcp), (IpAddr::V4(src), IpAddr::V4(dst))) => {
            captured.tcp += 1;
            (tcp.checksum(), tcp.calc_checksum_ipv4(src.octets(), dst.octets())?)
        }
        (TransportSlice::Tcp(tcp), (IpAddr::V6(src), IpAddr::V6(dst))) => {
            captured.tcp += 1;
            (tcp.checksum(), tcp.calc_checksum_ipv6(src.octets(), dst.octets())?)
        }
        (TransportSlice::Udp(udp), (IpAddr::V4(src), IpAddr::V4(dst))) => {
            captured.udp += 1;
            let header = udp.to_header();
            (udp.checksum(), header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), udp.payload())?)
        }
        (TransportSlice::Udp(udp), (IpAddr::V6(src), IpAddr::V6(dst))) => {
            captured.udp += 1;
            let header = udp.to_header();
            (udp.checksum(), header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), udp.payload())?)
        }
        (TransportSlice::Icmpv4(icmp), _) => {
            captured.icmp += 1;
            (icmp.checksum(), sum_of(icmp))
        }
        (TransportSlice::Icmpv6(icmp), (IpAddr::V6(src), IpAddr::V6(dst))) => {
            captured.icmp += 1;
            ensure!(icmp.is_checksum_valid(src.octets(), dst.octets()), "the checksum of ICMPv6 is wrong");
            return Ok(());
        }
        (other, _) => bail!("{other:?} between addresses of another family"),
    };
    // Zero has two forms, which every receiver takes for one, but that UDP's means «none» (RFC 768, RFC 1624 §3).
    let is_udp = matches!(transport, TransportSlice::Udp(_));
    let is_zero = |sum: u16| sum == 0xffff || (sum == 0 && !is_udp);
    let is_right = found == expected || (is_zero(found) && is_zero(expected));
    ensure!(is_right, "the checksum is {found:#x} where {expected:#x} should be");
    Ok(())
}

fn sum_of(icmp: &Icmpv4Slice<'_>) -> u16 {
    icmp.icmp_type().calc_checksum(icmp.payload())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{SYN, icmp, tcp, udp};

    fn frames() -> Vec<Vec<u8>> {
        let at = |text: &str| text.parse().expect("an address");
        let ends = [("192.0.2.9:4000", "10.96.0.1:80"), ("[2001:db8::9]:4000", "[fd00:96::1]:80")];
        let of = |(src, dst): (&str, &str)| {
            let (src, dst): (std::net::SocketAddr, std::net::SocketAddr) = (at(src), at(dst));
            let (kind, code) = if src.is_ipv4() { (3, 3) } else { (1, 4) };
            let whole = udp(src, dst, b"a datagram");
            let error = icmp(src.ip(), dst.ip(), kind, code, 0, &whole.ip_bytes());
            let parts = whole.clone().data(&[7; 99]).fragments(1, 40);
            [tcp(src, dst, SYN), whole, error].into_iter().chain(parts).map(|packet| packet.bytes())
        };
        ends.into_iter().flat_map(of).collect()
    }

    fn written(frames: &[Vec<u8>]) -> tempfile::NamedTempFile {
        let mut bytes: Vec<u8> =
            [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 1 << 18, 1].into_iter().flat_map(u32::to_ne_bytes).collect();
        for frame in frames {
            let len = frame.len() as u32;
            bytes.extend([0, 0, len, len].into_iter().flat_map(u32::to_ne_bytes));
            bytes.extend(frame);
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        file
    }

    #[test]
    fn a_capture_of_right_packets_is_told_by_what_is_in_it() {
        let captured = judge(written(&frames()).path(), |_, _| Ok(())).expect("right packets");
        assert_eq!((captured.tcp, captured.udp, captured.icmp, captured.fragments), (2, 2, 2, 6));
    }

    #[test]
    fn zero_in_its_other_form_is_right() {
        // A segment whose sum is zero: some of all numbers make one.
        let ends = ["192.0.2.9:4000", "10.96.0.1:80"].map(|text| text.parse().expect("an address"));
        let of = |number: u16| tcp(ends[0], ends[1], SYN).data(&number.to_be_bytes()).bytes();
        let zero = |frame: &Vec<u8>| frame[14 + 20 + 16..14 + 20 + 18] == [0, 0];
        let mut frame = (0..=u16::MAX).map(of).find(zero).expect("a sum of zero");
        for form in [0x00, 0xff] {
            frame[14 + 20 + 16..14 + 20 + 18].fill(form);
            assert_eq!(judge(written(&[frame.clone()]).path(), |_, _| Ok(())).expect("right").tcp, 1);
        }
    }

    #[test]
    fn one_wrong_bit_anywhere_behind_the_addresses_is_found() {
        // Of each family: three whole packets, then fragments.
        for frame in frames().chunks(6).flat_map(|of_family| of_family[..3].to_vec()) {
            let last = frame.len() - 1;
            let mut wrong = frame;
            wrong[last] ^= 1;
            let error = judge(written(&[wrong]).path(), |_, _| Ok(())).expect_err("a wrong checksum");
            assert!(format!("{error:#}").contains("checksum"), "{error:#}");
        }
    }
}
