//! Packets: read, rewritten and answered by one code path for both address families and every hook.
//!
//! All of it is generic over [`Packet`]: in the kernel the packet of a hook, on the host a slice of bytes
//! ([`Bytes`]), under which it is tested with any input. Nothing here looks anything up, and nothing reads the
//! clock. Offsets count from the first byte of the Ethernet header.
//!
//! What holds for any bytes: no access outside the packet; what can't be made sense of is left as it is;
//! checksums are adjusted by what changed (RFC 1624), so that a right one stays right and a wrong one wrong.

mod bytes;
pub mod checksum;
pub mod crc32c;
pub mod headers;
pub mod icmp;
mod network;
pub mod options;
pub mod reply;
pub mod rewrite;
#[cfg(test)]
mod tests;

pub use bytes::Bytes;
pub use checksum::Sum;
pub use headers::{Headers, Kind, Parsed, Part, parse};

use network_types::eth::EthHdr;

/// Where the IP header begins.
pub const L3: usize = EthHdr::LEN;

/// Which checksum of the transport layer is meant, and how it is to be treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChecksumField {
    /// Where it is.
    pub at: usize,
    /// Zero means that there is none, and a sum of zero is written as all ones (UDP, RFC 768).
    pub optional: bool,
    /// The packet is IPv6, whose header has no checksum that would balance a change of addresses.
    pub v6: bool,
}

/// A packet that begins with an Ethernet header. Words and halves are as they stand in memory.
pub trait Packet {
    /// Bytes in the packet, those that can't be read directly included.
    fn len(&self) -> usize;

    /// `N` words from `at` on; `None` where the packet ends before.
    fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]>;

    /// Two bytes.
    fn half(&self, at: usize) -> Option<u16>;

    /// Writes `N` words from `at` on; `None`, and nothing written, where the packet ends before.
    fn set_words<const N: usize>(&mut self, at: usize, words: [u32; N]) -> Option<()>;

    /// Writes two bytes.
    fn set_half(&mut self, at: usize, half: u16) -> Option<()>;

    /// Adjusts a checksum to changes already made: of the pseudo-header (addresses) and of what the checksum
    /// covers in the packet. They are told apart because a checksum that the hardware is still to complete
    /// holds the first only.
    fn fix_checksum(&mut self, field: ChecksumField, pseudo: Sum, body: Sum) -> Option<()>;

    /// Notes a change to bytes that no checksum in the packet balances: the kernel may hold a sum of all of it.
    fn note_change(&mut self, change: Sum);

    /// Whether the checksum at `at` holds its pseudo-header only, for the device to complete.
    fn is_checksum_partial(&mut self, at: usize) -> bool;

    /// Cuts the packet to `len` bytes.
    fn truncate(&mut self, len: usize) -> Option<()>;

    /// Makes room for `count` bytes between the Ethernet header and what follows.
    fn insert_after_ethernet(&mut self, count: usize) -> Option<()>;

    /// [`crc32c::difference`], which a kernel's verifier wants to walk by itself.
    #[inline(always)]
    fn crc_difference(old: u32, new: u32, len: u32) -> u32 {
        crc32c::difference(old, new, len)
    }

    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [`sum`], which a kernel's verifier wants to walk by itself.
    #[inline(always)]
    fn sum(&self, at: usize, count: usize) -> Option<Sum> {
        sum(self, at, count)
    }
}

/// The sum of `count` bytes, a multiple of four and at most [`MOST_QUOTED`], from `at` on.
#[inline(always)]
pub fn sum<P: Packet + ?Sized>(packet: &P, at: usize, count: usize) -> Option<Sum> {
    let mut sum = Sum::ZERO;
    let mut done = 0;
    while done < MOST_QUOTED {
        if done >= count {
            break;
        }
        let [word] = packet.words(at + done)?;
        sum = sum.add_word(word);
        done += 4;
    }
    Some(sum)
}

/// Most bytes of a packet that an ICMP error quotes: those that fit into 1280 bytes of IPv6 (RFC 4443 §2.4).
pub const MOST_QUOTED: usize = 1280 - 40 - 8;
