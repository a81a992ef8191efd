//! What a rewrite changes is balanced by a checksum in the packet, or noted: the kernel may hold a sum of all of it.

use super::super::{Bytes, ChecksumField, L3, Packet, Sum, rewrite};
use super::fragments::fragments;
use super::{frame, headers, sum, tuples};
use crate::Proto;

/// A packet whose bytes somebody has summed.
struct Summed<'a> {
    bytes: Bytes<'a>,
    noted: Sum,
}

impl Packet for Summed<'_> {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        self.bytes.words(at)
    }

    fn half(&self, at: usize) -> Option<u16> {
        self.bytes.half(at)
    }

    fn set_words<const N: usize>(&mut self, at: usize, words: [u32; N]) -> Option<()> {
        self.bytes.set_words(at, words)
    }

    fn set_half(&mut self, at: usize, half: u16) -> Option<()> {
        self.bytes.set_half(at, half)
    }

    fn fix_checksum(&mut self, field: ChecksumField, pseudo: Sum, body: Sum) -> Option<()> {
        // IPv4's header balances the addresses, and its checksum this one: what they make of it together is left over.
        // The kernel's helper notes that by itself.
        if !field.v6 {
            self.noted = self.noted.add(Sum::ZERO.replace_half(pseudo.to_u16(), 0));
        }
        self.bytes.fix_checksum(field, pseudo, body)
    }

    fn note_change(&mut self, change: Sum) {
        self.noted = self.noted.add(change);
    }

    fn is_checksum_partial(&mut self, _at: usize) -> bool {
        false
    }

    fn truncate(&mut self, len: usize) -> Option<()> {
        self.bytes.truncate(len)
    }

    fn insert_after_ethernet(&mut self, count: usize) -> Option<()> {
        self.bytes.insert_after_ethernet(count)
    }
}

/// Rewrites a packet, and compares the sum of its bytes from the IP header on with what was noted of it.
#[track_caller]
fn check(mut frame: Vec<u8>, proto: Proto) {
    let v4 = frame[L3] >> 4 == 4;
    let (from, to) = tuples(v4, proto, 40_000);
    let before = u16::try_from(sum(&frame[L3..])).expect("folded");
    let len = frame.len();
    let mut packet = Summed { bytes: Bytes::new(&mut frame, len), noted: Sum::ZERO };
    let mut headers = headers(&packet.bytes);
    headers.tuple = from;
    let part = headers.part;
    assert_eq!(rewrite::rewrite(&mut packet, &headers, &to), Some(()));
    rewrite::decrement_ttl(&mut packet, &headers).expect("a header");
    let noted = packet.noted.add(Sum::ZERO.add_half(before.to_be())).to_u16();
    let after = u16::try_from(sum(&frame[L3..])).expect("folded").to_be();
    assert_eq!(noted % 0xffff, after % 0xffff, "{proto}, IPv{}, {part:?}", if v4 { 4 } else { 6 });
}

#[test]
fn whatever_no_checksum_in_the_packet_balances_is_noted() {
    for v4 in [true, false] {
        for proto in [Proto::TCP, Proto::UDP, Proto::SCTP] {
            let whole = frame(&tuples(v4, proto, 40_000).0, &[7; 200]);
            check(whole.clone(), proto);
            if proto != Proto::SCTP {
                fragments(&whole, 10).into_iter().for_each(|part| check(part, proto));
            }
        }
    }
}
