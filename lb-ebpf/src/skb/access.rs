//! What is done to the bytes of a packet: the only place that touches them.

use core::arch::asm;

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_PSEUDO_HDR},
    helpers::generated::{bpf_csum_update, bpf_l4_csum_replace, bpf_skb_adjust_room, bpf_skb_change_tail},
};
use lb_common::packet::{self, ChecksumField, Packet, Sum, crc32c};

use super::Skb;

impl Packet for Skb {
    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: a word of the context.
        unsafe { (&raw const (*self.0).len).read_volatile() as usize }
    }

    #[inline(always)]
    fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        let place = self.bytes(at, N * 4)?;
        let mut words = [0; N];
        for (index, word) in words.iter_mut().enumerate() {
            let loaded: u64;
            // SAFETY: inside the packet, as `bytes` has checked and the verifier checks again. In assembler
            // because an unaligned load would be four loads of bytes, and headers are aligned by luck only.
            unsafe {
                asm!("{word} = *(u32 *)({place} + 0)", word = out(reg) loaded, place = in(reg) place + index * 4,
                     options(pure, readonly, nostack, preserves_flags));
            }
            *word = loaded as u32;
        }
        Some(words)
    }

    #[inline(always)]
    fn half(&self, at: usize) -> Option<u16> {
        let place = self.bytes(at, 2)?;
        let half: u64;
        // SAFETY: as in `words`.
        unsafe {
            asm!("{half} = *(u16 *)({place} + 0)", half = out(reg) half, place = in(reg) place,
                 options(pure, readonly, nostack, preserves_flags));
        }
        Some(half as u16)
    }

    #[inline(always)]
    fn set_words<const N: usize>(&mut self, at: usize, words: [u32; N]) -> Option<()> {
        let place = self.bytes(at, N * 4)?;
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: as in `words`; the verifier has the packet unshared before it lets a program write.
            unsafe {
                asm!("*(u32 *)({place} + 0) = {word}", word = in(reg) u64::from(word), place = in(reg) place + index * 4,
                     options(nostack, preserves_flags));
            }
        }
        Some(())
    }

    #[inline(always)]
    fn set_half(&mut self, at: usize, half: u16) -> Option<()> {
        let place = self.bytes(at, 2)?;
        // SAFETY: as in `set_words`.
        unsafe {
            asm!("*(u16 *)({place} + 0) = {half}", half = in(reg) u64::from(half), place = in(reg) place,
                 options(nostack, preserves_flags));
        }
        Some(())
    }

    /// One helper call for the pseudo-header and one for the rest: for a checksum that is still to be completed
    /// the kernel adjusts the first and must leave the second alone.
    #[inline(always)]
    fn fix_checksum(&mut self, field: ChecksumField, pseudo: Sum, body: Sum) -> Option<()> {
        const MARK_MANGLED_0: u64 = 1 << 5;
        if field.optional && self.half(field.at)? == 0 {
            // Nothing balances the change. IPv4's addresses are balanced by its header's checksum.
            self.note_change(if field.v6 { pseudo.add(body) } else { body });
            return Some(());
        }
        let flags = if field.optional { MARK_MANGLED_0 } else { 0 };
        let (pseudo, body) = (pseudo.to_u32(), body.to_u32());
        let skb = self.0;
        if pseudo != 0 {
            // SAFETY: the context is this program's own; the kernel checks the offset.
            let result = unsafe {
                bpf_l4_csum_replace(
                    skb,
                    field.at as u32,
                    0,
                    pseudo.into(),
                    flags | u64::from(BPF_F_PSEUDO_HDR),
                )
            };
            if result != 0 {
                return None;
            }
            if field.v6 {
                // The helper takes the change of addresses for one that the IP header balances, which is so in
                // IPv4 only. (Linux 6.16 has a flag for it, which earlier kernels refuse.)
                // SAFETY: the context is this program's own.
                unsafe { bpf_csum_update(skb, pseudo) };
            }
        }
        if body != 0 {
            // SAFETY: as above.
            let result = unsafe { bpf_l4_csum_replace(skb, field.at as u32, 0, body.into(), flags) };
            if result != 0 {
                return None;
            }
        }
        Some(())
    }

    #[inline(always)]
    fn note_change(&mut self, change: Sum) {
        // SAFETY: the context is this program's own. Does nothing unless the kernel holds such a sum.
        unsafe { bpf_csum_update(self.0, change.to_u32()) };
    }

    /// Nothing tells a program so; but the helper leaves the body's part of such a checksum alone.
    #[inline(always)]
    fn is_checksum_partial(&mut self, at: usize) -> bool {
        let Some(before) = self.half(at) else {
            return false;
        };
        // SAFETY: the context is this program's own; the kernel checks the offset.
        unsafe { bpf_l4_csum_replace(self.0, at as u32, 0, 1, 0) };
        let after = self.half(at);
        let _restored = self.set_half(at, before);
        after == Some(before)
    }

    #[inline(always)]
    fn crc_difference(old: u32, new: u32, len: u32) -> u32 {
        shunt_crc32c(old, new, len)
    }

    #[inline(always)]
    fn sum(&self, at: usize, count: usize) -> Option<Sum> {
        let sum = shunt_sum(self.0, at as u32, count as u32);
        (sum != NO_SUM).then_some(Sum::ZERO.add_word(sum as u32))
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) -> Option<()> {
        // SAFETY: the context is this program's own. Also makes all of the packet readable, and one segment.
        let result = unsafe { bpf_skb_change_tail(self.0, len as u32, 0) };
        (result == 0).then_some(())
    }

    #[inline(always)]
    fn insert_after_ethernet(&mut self, count: usize) -> Option<()> {
        const BPF_ADJ_ROOM_MAC: u32 = 1;
        // SAFETY: the context is this program's own.
        let result = unsafe { bpf_skb_adjust_room(self.0, count as i32, BPF_ADJ_ROOM_MAC, 0) };
        (result == 0).then_some(())
    }
}

/// In place of a sum, which has 32 bits.
const NO_SUM: u64 = u64::MAX;

/// [`packet::sum`], folded, as a function of the whole object rather than of its programs: the verifier walks its
/// three hundred steps once, and not on every way that leads to them.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_sum(skb: *mut __sk_buff, at: u32, count: u32) -> u64 {
    packet::sum(&Skb(skb), at as usize, count as usize).map_or(NO_SUM, |sum| sum.to_u32().into())
}

/// [`crc32c::difference`], likewise.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_crc32c(old: u32, new: u32, len: u32) -> u32 {
    crc32c::difference(old, new, len)
}
