//! What holds of packets of every kind, built and summed by other code than what is tested.

mod answers;
mod any_bytes;
mod corpus;
mod errors;
mod forms;
mod fragments;
mod noted;

use core::net::IpAddr;

use etherparse::{IpNumber, PacketBuilder};
use proptest::prelude::*;

use super::headers::{Headers, Parsed, parse};
use super::{Bytes, L3, crc32c};
use crate::{Addr, FlowKey, Port, Proto};

/// Client, frontend; node, backend.
const V4: [&str; 4] = ["192.0.2.9", "10.96.0.10", "10.0.0.1", "10.244.1.5"];
const V6: [&str; 4] = ["2001:db8::9", "fd00:96::10", "fd00::1", "fd00:244::5"];

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

/// Where the transport header of a packet is, and its protocol.
fn transport(packet: &[u8]) -> (usize, u8) {
    if packet[L3] >> 4 == 4 {
        return (L3 + usize::from(packet[L3] & 15) * 4, packet[L3 + 9]);
    }
    let (mut at, mut next) = (L3 + 40, packet[L3 + 6]);
    while matches!(next, 0 | 43 | 44 | 60) {
        let len = if next == 44 { 8 } else { usize::from(packet[at + 1] + 1) * 8 };
        (at, next) = (at + len, packet[at]);
    }
    (at, next)
}

/// Sums the whole packet as its receiver does.
#[track_caller]
fn assert_checksums(packet: &[u8]) {
    let v4 = packet[L3] >> 4 == 4;
    let (l4, proto) = transport(packet);
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

/// What a packet says of its own length is made true again.
fn set_length(frame: &mut [u8]) {
    let total = frame.len() - L3;
    if frame[L3] >> 4 == 4 {
        frame[L3 + 2..L3 + 4].copy_from_slice(&(total as u16).to_be_bytes());
        let header = usize::from(frame[L3] & 15) * 4;
        frame[L3 + 10..L3 + 12].fill(0);
        let checksum = !(sum(&frame[L3..L3 + header]) as u16);
        frame[L3 + 10..L3 + 12].copy_from_slice(&checksum.to_be_bytes());
    } else {
        frame[L3 + 4..L3 + 6].copy_from_slice(&((total - 40) as u16).to_be_bytes());
    }
}

/// With `words` words of IPv4 options, or extension headers: pairs of a number and how many units of eight bytes
/// are more than one.
fn extended(frame: &[u8], words: usize, extensions: &[(u8, u8)]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame[L3] >> 4 == 4 {
        frame.splice(L3 + 20..L3 + 20, vec![1; words * 4]);
        frame[L3] += words as u8;
    } else {
        // The last is put first, so that each comes before those that are there.
        for &(number, units) in extensions.iter().rev() {
            let next = core::mem::replace(&mut frame[L3 + 6], number);
            let padding = usize::from(units) * 8 + 4;
            let header = [&[next, units, 1, padding as u8][..], &vec![0; padding]].concat();
            frame.splice(L3 + 40..L3 + 40, header);
        }
    }
    set_length(&mut frame);
    frame
}

/// Hop-by-hop or destination options, at most six headers and 512 bytes.
fn extensions() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((prop::sample::select(vec![0, 60]), 0_u8..9), 0..=6)
}
