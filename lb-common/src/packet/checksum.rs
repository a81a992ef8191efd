//! The Internet checksum: a sum in one's complement (RFC 1071), adjusted by differences (RFC 1624, equation 3).
//!
//! The sum is the same in either byte order, so everything is added as it stands in memory.

use crate::{Addr, Proto};

/// A sum, or a difference, of 16-bit words in one's complement. Holds 2^32 summands before it would overflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Of nothing.
    pub const ZERO: Self = Self(0);

    /// Of a pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1). The mapped form of an IPv4 address adds `ffff` to
    /// the address itself, which is zero.
    #[inline(always)]
    pub fn of_pseudo_header(src: Addr, dst: Addr, proto: Proto, len: u32) -> Self {
        Self::ZERO
            .add_addr(src)
            .add_addr(dst)
            .add_half(u16::from(proto.number()).to_be())
            .add_word(len.to_be())
    }

    /// With a word of the packet.
    #[must_use]
    #[inline(always)]
    pub const fn add_word(self, word: u32) -> Self {
        Self(self.0 + word as u64)
    }

    /// With two bytes of the packet, at an even distance from where the sum begins.
    #[must_use]
    #[inline(always)]
    pub const fn add_half(self, half: u16) -> Self {
        Self(self.0 + half as u64)
    }

    /// With an address.
    #[must_use]
    #[inline(always)]
    pub const fn add_addr(self, addr: Addr) -> Self {
        let [a, b, c, d] = addr.words();
        self.add_word(a).add_word(b).add_word(c).add_word(d)
    }

    /// With another sum.
    #[must_use]
    #[inline(always)]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 + other.to_u32() as u64)
    }

    /// With `new` in place of `old`.
    #[must_use]
    #[inline(always)]
    pub const fn replace_word(self, old: u32, new: u32) -> Self {
        self.add_word(!old).add_word(new)
    }

    /// With `new` in place of `old`.
    #[must_use]
    #[inline(always)]
    pub const fn replace_half(self, old: u16, new: u16) -> Self {
        self.add_half(!old).add_half(new)
    }

    /// With `new` in place of `old`.
    #[must_use]
    #[inline(always)]
    pub const fn replace_addr(self, old: Addr, new: Addr) -> Self {
        let [a, b, c, d] = old.words();
        let [e, f, g, h] = new.words();
        self.replace_word(a, e).replace_word(b, f).replace_word(c, g).replace_word(d, h)
    }

    /// Folded to 32 bits, as the kernel's helpers take it (`__wsum`).
    #[inline(always)]
    pub const fn to_u32(self) -> u32 {
        let once = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        ((once & 0xffff_ffff) + (once >> 32)) as u32
    }

    /// Folded to 16 bits: what a checksum that is still to be completed holds of the pseudo-header.
    #[inline(always)]
    pub const fn to_u16(self) -> u16 {
        let sum = self.to_u32();
        let once = (sum & 0xffff) + (sum >> 16);
        ((once & 0xffff) + (once >> 16)) as u16
    }

    /// The checksum of what was summed.
    #[inline(always)]
    pub const fn checksum(self) -> u16 {
        !self.to_u16()
    }

    /// A checksum after the changes that this is the difference of.
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        self.add_half(!checksum).checksum()
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    fn sum(bytes: &[u8]) -> Sum {
        bytes
            .chunks_exact(2)
            .fold(Sum::ZERO, |sum, pair| sum.add_half(u16::from_ne_bytes([pair[0], pair[1]])))
    }

    #[test]
    fn the_example_of_rfc_1071_has_its_sum() {
        // §3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).to_u16(), 0xddf2_u16.to_be());
    }

    #[test]
    fn the_example_of_rfc_1624_has_its_checksum() {
        // §4: checksum dd2f, a word 5555 becomes 3285: 0000, where equation 4 would say ffff.
        let difference = Sum::ZERO.replace_half(0x5555_u16.to_be(), 0x3285_u16.to_be());
        assert_eq!(difference.apply(0xdd2f_u16.to_be()), 0);
    }

    #[test]
    fn a_mapped_address_weighs_what_its_ipv4_form_does() {
        let addr = Addr::from(IpAddr::from([10, 96, 0, 1]));
        assert_eq!(Sum::ZERO.add_addr(addr).checksum(), sum(&[10, 96, 0, 1]).checksum());
    }
}
