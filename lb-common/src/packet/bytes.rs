//! A packet in memory, for tests and tools on the host.

use super::{ChecksumField, L3, Packet, Sum};

/// A packet in a buffer that may have room to grow.
#[derive(Debug)]
pub struct Bytes<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Bytes<'a> {
    /// The first `len` bytes of `buffer`; all of it where that is longer.
    pub fn new(buffer: &'a mut [u8], len: usize) -> Self {
        let len = len.min(buffer.len());
        Self { buffer, len }
    }

    /// The packet.
    pub fn as_slice(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    fn range<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let end = at.checked_add(N)?;
        self.as_slice().get(at..end)?.try_into().ok()
    }

    fn range_mut(&mut self, at: usize, count: usize) -> Option<&mut [u8]> {
        let end = at.checked_add(count)?;
        self.buffer.get_mut(..self.len)?.get_mut(at..end)
    }
}

impl Packet for Bytes<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        let mut words = [0; N];
        for (index, word) in words.iter_mut().enumerate() {
            *word = u32::from_ne_bytes(self.range(at.checked_add(index * 4)?)?);
        }
        Some(words)
    }

    fn half(&self, at: usize) -> Option<u16> {
        self.range(at).map(u16::from_ne_bytes)
    }

    fn set_words<const N: usize>(&mut self, at: usize, words: [u32; N]) -> Option<()> {
        let to = self.range_mut(at, N * 4)?;
        for (bytes, word) in to.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        Some(())
    }

    fn set_half(&mut self, at: usize, half: u16) -> Option<()> {
        self.range_mut(at, 2)?.copy_from_slice(&half.to_ne_bytes());
        Some(())
    }

    fn fix_checksum(&mut self, field: ChecksumField, pseudo: Sum, body: Sum) -> Option<()> {
        let old = self.half(field.at)?;
        if field.optional && old == 0 {
            return Some(());
        }
        let new = pseudo.add(body).apply(old);
        self.set_half(field.at, if field.optional && new == 0 { 0xffff } else { new })
    }

    fn note_change(&mut self, _change: Sum) {}

    fn is_checksum_partial(&mut self, _at: usize) -> bool {
        false
    }

    fn truncate(&mut self, len: usize) -> Option<()> {
        if len > self.len {
            return None;
        }
        self.len = len;
        Some(())
    }

    fn insert_after_ethernet(&mut self, count: usize) -> Option<()> {
        let grown = self.len.checked_add(count)?;
        if grown > self.buffer.len() || self.len < L3 {
            return None;
        }
        self.buffer.copy_within(L3..self.len, L3 + count);
        self.len = grown;
        Some(())
    }
}
