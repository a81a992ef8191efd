//! The neighbourhood of one packet of each kind that there is: every byte of it spoilt in every way that matters to a
//! parser, and every length. Chance finds most of it ([`super::any_bytes`]); this is the same each time, and shows that
//! what is tried gets as far as fragments, extension headers and quoted packets.

use std::collections::BTreeSet;

use super::super::headers::{Parsed, parse};
use super::super::{Bytes, L3, icmp, options};
use super::any_bytes::take_all;
use super::errors::error;
use super::fragments::fragments;
use super::{V4, V6, extended, frame, ip, tuples};
use crate::Proto;

/// What a byte may become, besides each of its bits turned: ends of its range, and headers that come after others.
const VALUES: [u8; 10] = [0, 1, 6, 17, 43, 44, 60, 0x7f, 0x80, 0xff];

/// One packet of each kind.
fn corpus() -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    for v4 in [true, false] {
        let router = ip(if v4 { V4[2] } else { V6[2] });
        for proto in [Proto::TCP, Proto::UDP, Proto::SCTP] {
            let whole = frame(&tuples(v4, proto, 40_000).0, &[7; 24]);
            let long =
                if v4 { extended(&whole, 3, &[]) } else { extended(&whole, 0, &[(0, 0), (60, 1), (43, 0)]) };
            let parts = fragments(&whole, 3);
            let quote = whole.len() - L3;
            corpus.extend([error(router, &whole, quote), error(router, &long, long.len() - L3)]);
            corpus.push(error(router, &parts[1], parts[1].len() - L3));
            corpus.extend(parts);
            corpus.extend([whole, long]);
        }
        let mut echo = error(router, &frame(&tuples(v4, Proto::UDP, 9).0, b""), 28);
        echo[L3 + if v4 { 20 } else { 40 }] = if v4 { 8 } else { 128 };
        corpus.push(echo);
    }
    corpus
}

/// What a packet is taken for, as far as it decides what is done to it.
fn kind(bytes: &[u8]) -> String {
    let mut buffer = bytes.to_vec();
    let packet = Bytes::new(&mut buffer, bytes.len());
    let Parsed::Ip(headers) = parse(&packet) else { return "nothing".to_owned() };
    let quoted = icmp::quoted(&packet, &headers).is_some();
    format!("{:?} {:?} {} quoted={quoted}", headers.kind, headers.part, if headers.is_v4() { 4 } else { 6 })
}

fn walk_options(bytes: &[u8]) {
    let mut buffer = bytes.to_vec();
    let packet = Bytes::new(&mut buffer, bytes.len());
    if let Parsed::Ip(headers) = parse(&packet)
        && headers.has_options()
    {
        let mut walk = options::Walk::new(headers.l4);
        let steps = (0..=options::MOST).take_while(|_| walk.step(&packet)).count();
        assert!(steps <= options::MOST as usize, "it ends");
    }
}

#[test]
fn every_neighbour_of_every_kind_of_packet_is_taken_without_harm() {
    let (mut kinds, mut tried) = (BTreeSet::new(), 0_u32);
    for packet in corpus() {
        kinds.insert(kind(&packet));
        for len in 0..packet.len() {
            take_all(&packet[..len]);
        }
        for at in 12..packet.len() {
            let turned = (0..8).map(|bit| packet[at] ^ 1 << bit);
            for value in turned.chain(VALUES) {
                let mut spoilt = packet.clone();
                spoilt[at] = value;
                take_all(&spoilt);
                walk_options(&spoilt);
                kinds.insert(kind(&spoilt));
                tried += 1;
            }
        }
    }
    println!("{tried} packets of {} kinds", kinds.len());
    for family in [4, 6] {
        for wanted in
            ["Transport Whole", "Transport First", "LaterFragment Later", "Echo Whole", "Other Whole"]
        {
            let wanted = format!("{wanted} {family} quoted=false");
            assert!(kinds.contains(&wanted), "{wanted} is not among {kinds:?}");
        }
        for quoted in [true, false] {
            let wanted = format!("IcmpError Whole {family} quoted={quoted}");
            assert!(kinds.contains(&wanted), "{wanted} is not among {kinds:?}");
        }
    }
    assert!(kinds.contains("nothing"));
}
