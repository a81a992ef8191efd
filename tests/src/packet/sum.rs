//! Checksums, computed whole: not by the code that the programs adjust them with.

use std::net::IpAddr;

use crc::{CRC_32_ISCSI, Crc};
use etherparse::checksum::Sum16BitWords;

/// CRC32c (RFC 9260 §6.8).
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The checksum of what is behind an IP header (RFC 1071), whose own field is zero. ICMP has no
/// pseudo-header in IPv4.
pub(super) fn transport(src: IpAddr, dst: IpAddr, proto: u8, bytes: &[u8]) -> u16 {
    let sum = match (src, dst) {
        _ if proto == 1 => Sum16BitWords::new(),
        (IpAddr::V4(src), IpAddr::V4(dst)) => Sum16BitWords::new()
            .add_4bytes(src.octets())
            .add_4bytes(dst.octets())
            .add_2bytes(u16::from(proto).to_be_bytes())
            .add_2bytes((bytes.len() as u16).to_be_bytes()),
        _ => Sum16BitWords::new()
            .add_slice(&octets(src))
            .add_slice(&octets(dst))
            .add_4bytes((bytes.len() as u32).to_be_bytes())
            .add_4bytes(u32::from(proto).to_be_bytes()),
    };
    sum.add_slice(bytes).ones_complement().to_be()
}

/// SCTP's, of a packet whose own field is zero.
pub(super) fn sctp(bytes: &[u8]) -> [u8; 4] {
    CRC32C.checksum(bytes).to_le_bytes()
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    }
}
