//! Fragments: each is rewritten by itself, and what they make is what the whole would have become.

use proptest::prelude::*;

use super::super::headers::{Headers, Kind, Part};
use super::super::{Bytes, L3, rewrite};
use super::{assert_checksums, extended, frame, headers, set_length, tuples};
use crate::{FlowKey, Proto};

/// Where the payload of a fragment begins.
fn payload_at(v4: bool) -> usize {
    L3 + if v4 { 20 } else { 40 + 8 }
}

/// A packet in fragments of `units` times eight bytes.
pub(super) fn fragments(whole: &[u8], units: usize) -> Vec<Vec<u8>> {
    let v4 = whole[L3] >> 4 == 4;
    let payload = &whole[L3 + if v4 { 20 } else { 40 }..];
    let count = payload.len().div_ceil(units * 8);
    let parts = payload.chunks(units * 8).enumerate();
    parts
        .map(|(index, bytes)| {
            let more = u16::from(index + 1 < count);
            let offset = (index * units) as u16;
            let bare = whole[..L3 + if v4 { 20 } else { 40 }].to_vec();
            let mut part = if v4 { bare } else { extended(&bare, 0, &[(44, 0)]) };
            if v4 {
                part[L3 + 4..L3 + 6].copy_from_slice(&[0x77, 0x01]);
                part[L3 + 6..L3 + 8].copy_from_slice(&(more << 13 | offset).to_be_bytes());
            } else {
                part[L3 + 42..L3 + 44].copy_from_slice(&(offset << 3 | more).to_be_bytes());
                part[L3 + 44..L3 + 48].copy_from_slice(&[0, 0, 0x77, 0x01]);
            }
            part.extend(bytes);
            set_length(&mut part);
            part
        })
        .collect()
}

/// The payload that a receiver puts together, behind the headers of `whole`.
fn together(whole: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    let v4 = whole[L3] >> 4 == 4;
    let mut bytes = whole[..L3 + if v4 { 20 } else { 40 }].to_vec();
    parts.iter().for_each(|part| bytes.extend(&part[payload_at(v4)..]));
    bytes
}

/// A later fragment with the ports that its first had.
fn recall(headers: Headers, tuple: &FlowKey) -> Headers {
    assert_eq!(headers.kind, Kind::LaterFragment);
    assert_eq!((headers.tuple.src(), headers.tuple.dst()), (tuple.src(), tuple.dst()));
    Headers { tuple: *tuple, ..headers }
}

proptest! {
    #[test]
    fn fragments_become_what_the_whole_would_have_become(
        v4: bool, tcp: bool, sport: u16, payload in prop::collection::vec(any::<u8>(), 100..3_000),
        units in 4_usize..180,
    ) {
        let (from, to) = tuples(v4, if tcp { Proto::TCP } else { Proto::UDP }, sport);
        let whole = frame(&from, &payload);
        let mut parts = fragments(&whole, units);
        let count = parts.len();
        for (index, part) in parts.iter_mut().enumerate() {
            let len = part.len();
            let mut packet = Bytes::new(part, len);
            let mut before = headers(&packet);
            let expected = match index {
                _ if count == 1 => Part::Whole,
                0 => Part::First,
                _ => Part::Later,
            };
            prop_assert_eq!(before.part, expected);
            if expected == Part::Later {
                before = recall(before, &from);
            }
            prop_assert_eq!(rewrite::rewrite(&mut packet, &before, &to), Some(()));
        }
        let expected = frame(&to, &payload);
        let received = together(&expected, &parts);
        prop_assert_eq!(&received[..], &expected[..]);
        assert_checksums(&received);
    }
}

#[test]
fn a_fragment_of_sctp_is_not_rewritten_for_its_checksum_covers_what_is_not_there() {
    for v4 in [true, false] {
        let (from, to) = tuples(v4, Proto::SCTP, 9);
        let part = fragments(&frame(&from, &[7; 200]), 10).remove(0);
        let mut buffer = part.clone();
        let mut packet = Bytes::new(&mut buffer, part.len());
        let before = headers(&packet);
        assert_eq!(rewrite::rewrite(&mut packet, &before, &to), None);
        assert_eq!(packet.as_slice(), &part[..], "nothing is half done");
    }
}

#[test]
fn a_first_fragment_too_short_for_its_header_is_malformed() {
    // RFC 1858 §3: whoever wants to see ports must not be shown half of a header.
    let part = fragments(&frame(&tuples(true, Proto::TCP, 9).0, &[7; 200]), 1).remove(0);
    let mut buffer = part.clone();
    let parsed = super::parse(&Bytes::new(&mut buffer, part.len()));
    assert_eq!(parsed, super::Parsed::Malformed);
}
