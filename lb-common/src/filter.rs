//! `FILTER`: may this packet be ours? One bit answers for most packets that are not, without a lookup.
//!
//! A set bit says «perhaps»; a bit not set says «no», always. Userspace counts who set each bit and clears it
//! with the last. Bits are set before what they stand for is written, and cleared after it is removed.

use crate::{Addr, FrontendKey, Port, Proto};

/// Bits in the map: 128 KiB. With 50,000 entries, 5 of 100 foreign packets cost a lookup.
pub const FILTER_BITS: u32 = 1 << 20;

/// 64-bit words in the map.
pub const FILTER_WORDS: u32 = FILTER_BITS / 64;

/// A bit of the filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FilterBit(u32);

/// What tells the kinds of bits of one address and port from each other.
const FRONTEND: u16 = 0 << 8;
const BACKEND: u16 = 1 << 8;
const NODE_ADDRESS: u16 = 2 << 8;
const MASQUERADE_PORTS: u16 = 3 << 8;

impl FilterBit {
    /// Of a frontend or an address guard: a packet *to* this address and port may be for a Service.
    #[inline(always)]
    pub const fn frontend(key: &FrontendKey) -> Self {
        Self::hash(key.addr(), key.port(), FRONTEND | key.proto().number() as u16)
    }

    /// Of a backend, wherever it is said to be: a packet *from* this address and port may be an answer.
    #[inline(always)]
    pub const fn backend(addr: Addr, port: Port, proto: Proto) -> Self {
        Self::hash(addr, port, BACKEND | proto.number() as u16)
    }

    /// Of an address of this node: a packet to it, to a masquerade port, may be an answer.
    #[inline(always)]
    pub const fn node_address(addr: Addr) -> Self {
        Self::hash(addr, Port::new(0), NODE_ADDRESS)
    }

    /// Of a port to masquerade with, and of the other 255 that differ from it in the low byte: ports that are no
    /// longer given away have their bits for as long as flows have them.
    #[inline(always)]
    pub const fn masquerade_port(port: Port) -> Self {
        Self::hash(Addr::UNSPECIFIED, Port::new(port.number() & 0xff00), MASQUERADE_PORTS)
    }

    /// From its place in the whole map; `None` behind the end.
    pub const fn from_number(number: u32) -> Option<Self> {
        if number < FILTER_BITS { Some(Self(number)) } else { None }
    }

    /// Which 64-bit word it is in.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0 >> 6
    }

    /// Its place in that word.
    #[inline(always)]
    pub const fn mask(self) -> u64 {
        1 << (self.0 & 63)
    }

    /// Three rounds of multiply and fold (as MurmurHash3's finaliser does): every bit of the key reaches
    /// every bit of the result, and neighbours in a network don't become neighbours here.
    #[inline(always)]
    const fn hash(addr: Addr, port: Port, kind: u16) -> Self {
        let [a, b, c, d] = addr.words();
        let tail = port.wire() as u64 | (kind as u64) << 16;
        let mut hash = a as u64 | (b as u64) << 32;
        hash = fold(hash ^ 0x9e37_79b9_7f4a_7c15);
        hash = fold(hash ^ (c as u64 | (d as u64) << 32));
        hash = fold(hash ^ tail);
        Self((hash >> 44) as u32)
    }
}

#[inline(always)]
const fn fold(word: u64) -> u64 {
    let word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_bit_is_inside_the_map() {
        for port in 0..2_000 {
            let bit = FilterBit::frontend(&FrontendKey::new(Addr::UNSPECIFIED, Port::new(port), Proto::TCP));
            assert!(bit.word() < FILTER_WORDS && bit.mask().count_ones() == 1);
        }
    }

    #[test]
    fn neighbouring_services_spread_as_chance_would_have_it() {
        let mut bits = HashSet::new();
        let count = 50_000_u32;
        for number in 0..count {
            let ip = Ipv4Addr::from(0x0a60_0000 + number / 5);
            let port = [80, 443, 8080, 9090, 53][number as usize % 5];
            let key = FrontendKey::new(IpAddr::from(ip).into(), Port::new(port), Proto::TCP);
            bits.insert(FilterBit::frontend(&key));
        }
        // Expected of a perfect hash: m (1 - e^(-n/m)) = 48,826.
        assert!((48_600..=49_050).contains(&bits.len()), "{} distinct bits", bits.len());
    }

    #[test]
    fn the_kinds_of_bits_of_one_address_differ() {
        let addr = Addr::from(IpAddr::from([10, 0, 0, 1]));
        let port = Port::new(80);
        let mut bits = HashSet::from([FilterBit::node_address(addr)]);
        for proto in [Proto::TCP, Proto::UDP, Proto::SCTP] {
            bits.insert(FilterBit::frontend(&FrontendKey::new(addr, port, proto)));
            bits.insert(FilterBit::backend(addr, port, proto));
        }
        bits.insert(FilterBit::frontend(&FrontendKey::address_guard(addr)));
        bits.insert(FilterBit::masquerade_port(port));
        assert_eq!(bits.len(), 9);
    }

    #[test]
    fn ports_to_masquerade_with_share_a_bit_with_their_neighbours_alone() {
        let bits: HashSet<_> =
            (0..=u16::MAX).map(|port| FilterBit::masquerade_port(Port::new(port))).collect();
        assert_eq!(bits.len(), 256);
        let bit = |port| FilterBit::masquerade_port(Port::new(port));
        assert_eq!(bit(0x7500), bit(0x75ff));
        assert_ne!(bit(0x75ff), bit(0x7600));
    }
}
