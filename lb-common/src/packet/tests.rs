//! What holds of packets of every kind, built and summed by other code than what is tested.

use core::net::IpAddr;

use etherparse::{IpNumber, PacketBuilder};
use proptest::prelude::*;

use super::headers::{Headers, Kind, Parsed, parse};
use super::reply::{self, Message};
use super::{Bytes, L3, Packet, crc32c, icmp, rewrite};
use crate::{Addr, FlowKey, Port, Proto};

/// Client, frontend; node, backend.
const V4: [&str; 4] = ["192.0.2.9", "10.96.0.10", "10.0.0.1", "10.244.1.5"];
const V6: [&str; 4] = ["2001:db8::9", "fd00:96::10", "fd00::1", "fd00:244::5"];
const SYN: u8 = 0x02;

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn key(src: &str, sport: u16, dst: &str, dport: u16, proto: Proto) -> FlowKey {
    FlowKey::new(Addr::from(ip(src)), Port::new(sport), Addr::from(ip(dst)), Port::new(dport), proto)
}

/// What a client sends, and what it becomes toward its backend.
fn tuples(v4: bool, proto: Proto, sport: u16) -> (FlowKey, FlowKey) {
    let [client, frontend, node, backend] = if v4 { V4 } else { V6 };
    (key(client, sport, frontend, 80, proto), key(node, 61_000, backend, 8080, proto))
}

/// A frame of that tuple, checksums right.
fn frame(tuple: &FlowKey, payload: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let ip = match (IpAddr::from(tuple.src()), IpAddr::from(tuple.dst())) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ethernet.ipv4(src.octets(), dst.octets(), 9),
        (IpAddr::V6(src), IpAddr::V6(dst)) => ethernet.ipv6(src.octets(), dst.octets(), 9),
        _ => panic!("two families in {tuple}"),
    };
    let (sport, dport) = (tuple.sport().number(), tuple.dport().number());
    let mut frame = Vec::new();
    match tuple.proto() {
        Proto::TCP => ip.tcp(sport, dport, 7, 512).syn().write(&mut frame, payload),
        Proto::UDP => ip.udp(sport, dport).write(&mut frame, payload),
        _ => ip.write(&mut frame, IpNumber::SCTP, &sctp(sport, dport, payload)),
    }
    .expect("written to memory");
    frame
}

fn sctp(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet =
        [&sport.to_be_bytes()[..], &dport.to_be_bytes(), &[0; 8], &[1, 0, 0, 4], payload].concat();
    let crc = crc32c::tests::crc32c(&packet);
    packet[8..12].copy_from_slice(&crc.to_le_bytes());
    packet
}

#[track_caller]
fn headers(packet: &Bytes<'_>) -> Headers {
    match parse(packet) {
        Parsed::Ip(headers) => headers,
        other => panic!("{other:?}"),
    }
}

fn sum(bytes: &[u8]) -> u32 {
    let mut sum = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// Sums the whole packet as its receiver does.
#[track_caller]
fn assert_checksums(packet: &[u8]) {
    let v4 = packet[L3] >> 4 == 4;
    let l4 = L3 + if v4 { usize::from(packet[L3] & 15) * 4 } else { 40 };
    let proto = packet[L3 + if v4 { 9 } else { 6 }];
    if v4 {
        assert_eq!(sum(&packet[L3..l4]), 0xffff, "IPv4 header");
    }
    let segment = &packet[l4..];
    if proto == 132 {
        let mut bare = segment.to_vec();
        bare[8..12].fill(0);
        assert_eq!(segment[8..12], crc32c::tests::crc32c(&bare).to_le_bytes(), "SCTP");
        return;
    }
    let addresses = if v4 { &packet[L3 + 12..L3 + 20] } else { &packet[L3 + 8..L3 + 40] };
    let len = u32::try_from(segment.len()).expect("short").to_be_bytes();
    let pseudo = [addresses, &len, &[0, proto]].concat();
    let whole = if proto == 1 { segment.to_vec() } else { [&pseudo[..], segment].concat() };
    assert_eq!(sum(&whole), 0xffff, "protocol {proto}");
}

fn proto() -> impl Strategy<Value = Proto> {
    prop_oneof![Just(Proto::TCP), Just(Proto::UDP), Just(Proto::SCTP)]
}

proptest! {
    #[test]
    fn a_rewrite_keeps_checksums_right_and_its_reverse_undoes_it(
        v4: bool, proto in proto(), sport: u16, payload in prop::collection::vec(any::<u8>(), 0..1400),
    ) {
        let (from, to) = tuples(v4, proto, sport);
        let original = frame(&from, &payload);
        let mut buffer = original.clone();
        let mut packet = Bytes::new(&mut buffer, original.len());
        let before = headers(&packet);
        prop_assert_eq!((before.tuple, before.kind), (from, Kind::Transport));
        prop_assert_eq!(rewrite::rewrite(&mut packet, &before, &to), Some(()));
        let after = headers(&packet);
        prop_assert_eq!(after.tuple, to);
        assert_checksums(packet.as_slice());
        prop_assert_eq!(rewrite::rewrite(&mut packet, &after, &from), Some(()));
        prop_assert_eq!(packet.as_slice(), &original[..]);
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

    #[test]
    fn an_error_about_a_packet_quotes_it_and_is_translated_with_it(
        v4: bool, proto in proto(), sport: u16, payload in prop::collection::vec(any::<u8>(), 0..1400),
    ) {
        // The backend's side refuses what the node sent; the client must be told of what it sent itself.
        let (dialled, sent) = tuples(v4, proto, sport);
        let mut buffer = frame(&sent, &payload);
        let len = buffer.len();
        buffer.resize(len + 64, 0);
        let mut packet = Bytes::new(&mut buffer, len);
        let refused = headers(&packet);
        let made = reply::error(&mut packet, &refused, Message::PortUnreachable, 0, sent.dst());
        prop_assert_eq!(made, Some(()));
        assert_checksums(packet.as_slice());
        let error = headers(&packet);
        prop_assert_eq!(error.kind, Kind::IcmpError);
        let quoted = icmp::quoted(&packet, &error).expect("it quotes a packet with ports");
        prop_assert_eq!(quoted.tuple, sent);
        let to = dialled.reversed();
        prop_assert_eq!(icmp::rewrite(&mut packet, &error, &quoted, &to, to.src()), Some(()));
        assert_checksums(packet.as_slice());
        let told = headers(&packet);
        prop_assert_eq!((told.tuple.src(), told.tuple.dst()), (to.src(), to.dst()));
        prop_assert_eq!(icmp::quoted(&packet, &told).map(|quoted| quoted.tuple), Some(dialled));
    }

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
    fn any_bytes_are_taken_without_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..200), v4: bool) {
        let ethertype = if v4 { [0x08, 0x00] } else { [0x86, 0xdd] };
        if bytes.len() > L3 {
            bytes[12..14].copy_from_slice(&ethertype);
            bytes[L3] = if v4 { 0x45 | bytes[L3] & 2 } else { 0x60 };
        }
        take_all(&bytes);
    }

    #[test]
    fn a_packet_cut_or_spoilt_anywhere_is_taken_without_harm(
        v4: bool, proto in proto(), len: prop::sample::Index, spoilt: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = frame(&tuples(v4, proto, 4000).0, &[0; 40]);
        let at = spoilt.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(len.index(bytes.len() + 1));
        take_all(&bytes);
    }
}

type Step = fn(&mut Bytes<'_>, &Headers, &FlowKey) -> Option<()>;

/// Everything that a program does to a packet, on bytes that may be anything: nothing panics.
fn take_all(bytes: &[u8]) {
    let mut buffer = [bytes, &[0; 64]].concat();
    let Parsed::Ip(headers) = parse(&Bytes::new(&mut buffer, bytes.len())) else { return };
    assert!(L3 + headers.total <= bytes.len());
    let to = tuples(headers.is_v4(), headers.tuple.proto(), 1).1;
    let steps: [Step; 5] = [
        |packet, headers, to| rewrite::rewrite(packet, headers, to),
        |packet, headers, to| {
            let quoted = icmp::quoted(packet, headers)?;
            icmp::rewrite(packet, headers, &quoted, to, to.src())
        },
        |packet, headers, _| reply::reset(packet, headers),
        |packet, headers, to| reply::error(packet, headers, Message::TooBig, 1400, to.src()),
        |packet, headers, _| reply::echo(packet, headers),
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let of_kind = match headers.kind {
            Kind::Transport => {
                number != 1 && number != 4 && (number != 2 || headers.tuple.proto() == Proto::TCP)
            }
            Kind::IcmpError => number == 1,
            Kind::Echo => number == 4 || number == 3,
            Kind::LaterFragment => number == 0,
            Kind::Other => number == 3,
        };
        if of_kind {
            let mut buffer = [bytes, &[0; 64]].concat();
            let _done = step(&mut Bytes::new(&mut buffer, bytes.len()), &headers, &to);
        }
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
