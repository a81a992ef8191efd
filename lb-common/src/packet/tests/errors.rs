//! ICMP errors about translated packets: all four rows of the table in [`icmp`](super::super::icmp), either
//! family, every protocol, and quotes of any length.

use core::net::IpAddr;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::super::headers::Kind;
use super::super::{Bytes, L3, icmp};
use super::{V4, V6, assert_checksums, frame, headers, ip, proto, tuples};
use crate::{Addr, FlowKey, Proto};

/// «Packet too big» from `src`, with the first `len` bytes of a packet.
pub(super) fn error(src: IpAddr, about: &[u8], len: usize) -> Vec<u8> {
    let quoted = &about[L3..L3 + len];
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let mut error = Vec::new();
    match src {
        IpAddr::V4(src) => {
            let to = [quoted[12], quoted[13], quoted[14], quoted[15]];
            ethernet.ipv4(src.octets(), to, 60).icmpv4_raw(3, 4, [0, 0, 5, 0]).write(&mut error, quoted)
        }
        IpAddr::V6(src) => {
            let to = quoted[8..24].try_into().expect("an address");
            ethernet.ipv6(src.octets(), to, 60).icmpv6_raw(2, 0, [0, 0, 5, 0]).write(&mut error, quoted)
        }
    }
    .expect("written to memory");
    error
}

/// What the receiver of an error finds in it must be what it sent: `sent` became `translated` on its way.
#[track_caller]
fn check(sent: &FlowKey, translated: &FlowKey, payload: &[u8], len: prop::sample::Index) {
    let (original, about) = (frame(sent, payload), frame(translated, payload));
    let (header, proto) = (if sent.src().is_v4() { 20 } else { 40 }, sent.proto());
    // Eight bytes behind the IP header are the least that an error quotes (RFC 792).
    let shortest = header + 8;
    let len = shortest + len.index(about.len() - L3 - shortest + 1);
    let router = ip(if sent.src().is_v4() { "192.0.2.254" } else { "2001:db8::fe" });
    let mut buffer = error(router, &about, len);
    assert_checksums(&buffer);
    let size = buffer.len();
    let mut packet = Bytes::new(&mut buffer, size);
    let before = headers(&packet);
    assert_eq!(before.kind, Kind::IcmpError);
    let quoted = icmp::quoted(&packet, &before).expect("a packet with ports");
    assert_eq!(quoted.tuple, *translated);
    // The entry of the quoted packet's answers says what those become: an answer to what was sent.
    let to = sent.reversed();
    assert_eq!(icmp::rewrite(&mut packet, &before, &quoted, &to, Addr::from(router)), Some(()));
    assert_checksums(packet.as_slice());
    let after = headers(&packet);
    assert_eq!((after.tuple.src(), after.tuple.dst()), (Addr::from(router), sent.src()));
    let mut found = packet.as_slice()[after.l4 + 8..].to_vec();
    let mut expected = original[L3..L3 + len].to_vec();
    if proto == Proto::SCTP {
        // Its checksum can't be adjusted here, and nobody checks it.
        for bytes in [&mut found, &mut expected] {
            bytes.iter_mut().skip(header + 8).take(4).for_each(|byte| *byte = 0);
        }
    }
    // A checksum of TCP that is cut in two is nobody's.
    if proto == Proto::TCP && len == header + 17 {
        (found, expected) = (found[..header + 16].to_vec(), expected[..header + 16].to_vec());
    }
    assert_eq!(found, expected, "{len} bytes quoted");
}

proptest! {
    #[test]
    fn whoever_is_told_of_a_fault_finds_what_it_sent(
        v4: bool, proto in proto(), sport: u16, masqueraded: bool,
        payload in prop::collection::vec(any::<u8>(), 0..500), len: prop::sample::Index,
    ) {
        let (dialled, mut sent) = tuples(v4, proto, sport);
        if !masqueraded {
            sent = FlowKey::new(dialled.src(), dialled.sport(), sent.dst(), sent.dport(), proto);
        }
        // The backend's side refuses what the client sent, and the client's side what the backend answered.
        check(&dialled, &sent, &payload, len);
        check(&sent.reversed(), &dialled.reversed(), &payload, len);
    }
}

#[test]
fn an_error_about_what_has_no_ports_is_not_translated() {
    for names in [V4, V6] {
        let [client, frontend, ..] = names.map(ip);
        let tuple = tuples(client.is_ipv4(), Proto::UDP, 9).0;
        let mut about = frame(&tuple, b"payload");
        // ESP, whose first bytes are no ports.
        about[L3 + if client.is_ipv4() { 9 } else { 6 }] = 50;
        let len = about.len() - L3;
        let mut buffer = error(frontend, &about, len);
        let size = buffer.len();
        let packet = Bytes::new(&mut buffer, size);
        assert_eq!(icmp::quoted(&packet, &headers(&packet)), None);
    }
}
