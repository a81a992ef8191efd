//! CRC32c, SCTP's checksum (RFC 9260 §6.8 and Appendix A), adjusted to a change without reading the packet.
//!
//! A CRC is linear: of two messages of one length, the CRCs differ by what the difference alone would give,
//! and a difference in the first four bytes of `len` is that difference multiplied by `x^(8 len)` modulo the
//! polynomial. So a rewrite of ports costs the same for any length, needs no linear packet, and leaves a wrong
//! checksum wrong.

/// Castagnoli's polynomial, bits reversed: the highest power is bit 0.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `x^0`, bits reversed.
const ONE: u32 = 1 << 31;

/// Lengths have 16 bits.
const BITS: usize = 16;

/// `x^(8 * 2^k)` modulo the polynomial.
const POWERS: [u32; BITS] = {
    let mut powers = [0; BITS];
    let mut power = ONE >> 8;
    let mut index = 0;
    while index < BITS {
        powers[index] = power;
        power = multiply(power, power);
        index += 1;
    }
    powers
};

/// How the CRC of a message of `len` bytes changes when its first four bytes do: to be XORed with it. All
/// three are little-endian numbers, as SCTP stores its checksum. `len` is below 65536.
#[inline(always)]
pub fn difference(old: u32, new: u32, len: u32) -> u32 {
    let mut difference = old ^ new;
    for (index, power) in POWERS.iter().enumerate() {
        let factor = if (len >> index) & 1 == 1 { *power } else { ONE };
        difference = multiply(factor, difference);
    }
    difference
}

/// The product of two polynomials modulo the polynomial, bits reversed.
#[inline(always)]
const fn multiply(a: u32, b: u32) -> u32 {
    let mut product = 0;
    let mut shifted = b;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        if (a >> bit) & 1 == 1 {
            product ^= shifted;
        }
        shifted = if shifted & 1 == 1 { (shifted >> 1) ^ POLYNOMIAL } else { shifted >> 1 };
    }
    product
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Bit by bit, as the definition says.
    pub(in crate::packet) fn crc32c(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
            }
        }
        !crc
    }

    #[test]
    fn the_reference_of_the_tests_is_crc32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of CRC-32/ISCSI");
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa, "RFC 3720 B.4");
    }

    #[test]
    fn a_difference_adjusts_the_crc_of_any_length() {
        for len in [4_usize, 5, 12, 63, 64, 1_480, 9_000, 65_535] {
            let mut bytes: Vec<u8> = (0..len).map(|index| (index * 7) as u8).collect();
            let before = crc32c(&bytes);
            let old = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
            let new = 0x1234_beef_u32;
            bytes[..4].copy_from_slice(&new.to_le_bytes());
            assert_eq!(before ^ difference(old, new, len as u32), crc32c(&bytes), "{len} bytes");
        }
    }
}
