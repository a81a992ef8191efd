//! What is made of a packet to answer it: a reset, an ICMP error, an echo reply.

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::super::headers::Kind;
use super::super::reply::{self, Message};
use super::super::{Bytes, L3, Packet, icmp};
use super::{V4, V6, assert_checksums, extended, extensions, frame, headers, ip, proto, tuples};
use crate::{Addr, Proto};

const SYN: u8 = 0x02;

/// An echo request to the frontend.
fn request(v4: bool, payload: &[u8]) -> Vec<u8> {
    let [client, frontend, ..] = if v4 { V4 } else { V6 }.map(ip);
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let mut frame = Vec::new();
    match (client, frontend) {
        (core::net::IpAddr::V4(src), core::net::IpAddr::V4(dst)) => {
            ethernet.ipv4(src.octets(), dst.octets(), 9).icmpv4_echo_request(7, 9).write(&mut frame, payload)
        }
        (core::net::IpAddr::V6(src), core::net::IpAddr::V6(dst)) => {
            ethernet.ipv6(src.octets(), dst.octets(), 9).icmpv6_echo_request(7, 9).write(&mut frame, payload)
        }
        _ => panic!("two families"),
    }
    .expect("written to memory");
    frame
}

fn message() -> impl Strategy<Value = (Message, u32)> {
    prop_oneof![
        Just((Message::PortUnreachable, 0)),
        Just((Message::TimeExceeded, 0)),
        (576..9_000_u32).prop_map(|mtu| (Message::TooBig, mtu)),
    ]
}

proptest! {
    #[test]
    fn a_refused_segment_becomes_a_reset_from_where_it_went(v4: bool, sport: u16, payload: [u8; 9]) {
        let dialled = tuples(v4, Proto::TCP, sport).0;
        let mut buffer = frame(&dialled, &payload);
        let len = buffer.len();
        let mut packet = Bytes::new(&mut buffer, len);
        let refused = headers(&packet);
        prop_assert_eq!(refused.code, SYN);
        prop_assert_eq!(reply::reset(&mut packet, &refused), Some(()));
        assert_checksums(packet.as_slice());
        let reset = headers(&packet);
        prop_assert_eq!((reset.tuple, reset.code), (dialled.reversed(), 0x14));
        let acknowledged = packet.words::<1>(reset.l4 + 8).map(|[word]| u32::from_be(word));
        prop_assert_eq!(acknowledged, Some(7 + 9 + 1), "sequence, data and SYN");
        prop_assert_eq!(reply::reset(&mut packet, &reset), None, "nothing answers a reset");
    }

    #[test]
    fn an_error_quotes_what_it_is_about_as_far_as_there_is_room(
        v4: bool, proto in proto(), sport: u16, payload in prop::collection::vec(any::<u8>(), 0..1400),
        words in 0_usize..=10, extensions in extensions(), (message, value) in message(),
    ) {
        let dialled = tuples(v4, proto, sport).0;
        let refused = extended(&frame(&dialled, &payload), words, &extensions);
        let mut buffer = [&refused[..], &[0; 64]].concat();
        let mut packet = Bytes::new(&mut buffer, refused.len());
        let before = headers(&packet);
        let router = Addr::from(ip(if v4 { V4[2] } else { V6[2] }));
        prop_assert_eq!(reply::error(&mut packet, &before, message, value, router), Some(()));
        assert_checksums(packet.as_slice());
        let error = headers(&packet);
        prop_assert_eq!(error.kind, Kind::IcmpError);
        prop_assert_eq!((error.tuple.src(), error.tuple.dst()), (router, dialled.src()));
        prop_assert_eq!(packet.words::<1>(error.l4 + 4), Some([value.to_be()]));
        let quoted = &packet.as_slice()[error.l4 + 8..];
        prop_assert_eq!(quoted, &refused[L3..L3 + quoted.len()]);
        let most = if v4 { 576 } else { 1_280 };
        prop_assert!(error.total <= most && (quoted.len() + 3 >= refused.len() - L3 || error.total == most));
        prop_assert_eq!(icmp::quoted(&packet, &error).map(|quoted| quoted.tuple), Some(dialled));
    }

    #[test]
    fn an_echo_request_becomes_its_answer(
        v4: bool, payload in prop::collection::vec(any::<u8>(), 0..1400), words in 0_usize..=10,
    ) {
        let asked = extended(&request(v4, &payload), words, &[]);
        let mut buffer = asked.clone();
        let mut packet = Bytes::new(&mut buffer, asked.len());
        let before = headers(&packet);
        prop_assert_eq!(before.kind, Kind::Echo);
        prop_assert_eq!(reply::echo(&mut packet, &before), Some(()));
        assert_checksums(packet.as_slice());
        let after = headers(&packet);
        prop_assert_eq!(after.tuple, before.tuple.reversed());
        prop_assert_eq!(after.code, if v4 { 0 } else { 129 });
        let answered = packet.as_slice();
        prop_assert_eq!(&answered[after.l4 + 4..], &asked[before.l4 + 4..], "number and data come back");
        prop_assert_eq!(&answered[..12], &[&asked[6..12], &asked[..6]].concat()[..]);
    }
}

#[test]
fn what_says_nothing_that_can_be_refused_is_not_reset() {
    for flags in [0x04, 0x14] {
        let mut buffer = frame(&tuples(true, Proto::TCP, 1).0, b"");
        buffer[L3 + 33] = flags;
        let len = buffer.len();
        let mut packet = Bytes::new(&mut buffer, len);
        let before = headers(&packet);
        assert_eq!(reply::reset(&mut packet, &before), None, "{flags:#x}");
    }
}
