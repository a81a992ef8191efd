//! Rewriting: checksums stay right, and the reverse undoes it, whatever the packet carries.

use proptest::prelude::*;

use super::super::headers::{Kind, Parsed, parse};
use super::super::{Bytes, L3, Packet, rewrite};
use super::{assert_checksums, extended, extensions, frame, headers, proto, transport, tuples};
use crate::Proto;

proptest! {
    #[test]
    fn a_rewrite_keeps_checksums_right_and_its_reverse_undoes_it(
        v4: bool, proto in proto(), sport: u16, payload in prop::collection::vec(any::<u8>(), 0..1400),
        words in 0_usize..=10, extensions in extensions(),
    ) {
        let (from, to) = tuples(v4, proto, sport);
        let original = extended(&frame(&from, &payload), words, &extensions);
        assert_checksums(&original);
        let mut buffer = original.clone();
        let mut packet = Bytes::new(&mut buffer, original.len());
        let before = headers(&packet);
        prop_assert_eq!((before.tuple, before.kind), (from, Kind::Transport));
        prop_assert_eq!(before.l4, transport(&original).0);
        prop_assert_eq!(rewrite::rewrite(&mut packet, &before, &to), Some(()));
        let after = headers(&packet);
        prop_assert_eq!(after.tuple, to);
        assert_checksums(packet.as_slice());
        prop_assert_eq!(packet.as_slice(), &extended(&frame(&to, &payload), words, &extensions)[..]);
        prop_assert_eq!(rewrite::rewrite(&mut packet, &after, &from), Some(()));
        prop_assert_eq!(packet.as_slice(), &original[..]);
    }

    #[test]
    fn a_wrong_checksum_stays_as_wrong_as_it_was(
        v4: bool, proto in proto(), sport: u16, spoilt: prop::sample::Index, flip in 1_u8..,
    ) {
        let (from, to) = tuples(v4, proto, sport);
        let mut original = frame(&from, &[7; 40]);
        let at = original.len() - 1 - spoilt.index(40);
        original[at] ^= flip;
        let mut buffer = original.clone();
        let mut packet = Bytes::new(&mut buffer, original.len());
        let before = headers(&packet);
        prop_assert_eq!(rewrite::rewrite(&mut packet, &before, &to), Some(()));
        let mut expected = frame(&to, &[7; 40]);
        expected[at] ^= flip;
        prop_assert_eq!(packet.as_slice(), &expected[..]);
    }

    #[test]
    fn a_decremented_ttl_keeps_checksums_right(v4: bool, proto in proto(), sport: u16) {
        let mut buffer = frame(&tuples(v4, proto, sport).0, b"payload");
        let len = buffer.len();
        let mut packet = Bytes::new(&mut buffer, len);
        let before = headers(&packet);
        prop_assert_eq!(rewrite::decrement_ttl(&mut packet, &before), Some(()));
        prop_assert_eq!(headers(&packet).ttl, 8);
        assert_checksums(packet.as_slice());
    }
}

#[test]
fn a_udp_checksum_of_zero_stays_zero() {
    let (from, to) = tuples(true, Proto::UDP, 53);
    let mut buffer = frame(&from, b"query");
    buffer[L3 + 26..L3 + 28].fill(0);
    let len = buffer.len();
    let mut packet = Bytes::new(&mut buffer, len);
    let before = headers(&packet);
    assert_eq!(rewrite::rewrite(&mut packet, &before, &to), Some(()));
    assert_eq!(packet.half(before.l4 + 6), Some(0));
}

#[test]
fn a_tagged_packet_is_not_taken_for_ip() {
    let mut buffer = frame(&tuples(true, Proto::TCP, 1).0, b"");
    buffer.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    let len = buffer.len();
    assert_eq!(parse(&Bytes::new(&mut buffer, len)), Parsed::NotIp);
}

#[test]
fn more_extension_headers_than_are_followed_are_not_taken_for_anything() {
    let whole = frame(&tuples(false, Proto::TCP, 1).0, b"");
    for extensions in [vec![(60, 0); 7], vec![(0, 40), (60, 40)], vec![(60, 255)]] {
        let mut buffer = extended(&whole, 0, &extensions);
        let len = buffer.len();
        assert_eq!(parse(&Bytes::new(&mut buffer, len)), Parsed::Malformed, "{extensions:?}");
    }
}

#[test]
fn a_packet_routed_by_its_source_is_not_for_who_it_says() {
    let whole = frame(&tuples(false, Proto::TCP, 1).0, b"");
    let mut routed = extended(&whole, 0, &[(43, 2)]);
    // Segments left: the destination is not the last (RFC 8200 §4.4).
    for (left, expected) in [(1, false), (0, true)] {
        routed[L3 + 43] = left;
        let len = routed.len();
        assert_eq!(matches!(parse(&Bytes::new(&mut routed, len)), Parsed::Ip(_)), expected, "{left} left");
    }
}
