//! Bytes that may be anything: nothing outside the packet is read or written, and nothing panics.

use proptest::prelude::*;

use super::super::headers::{Headers, Kind, Parsed, parse};
use super::super::reply::{self, Message};
use super::super::{Bytes, L3, icmp, rewrite};
use super::{extended, extensions, frame, proto, tuples};
use crate::{FlowKey, Proto};

proptest! {
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
        words in 0_usize..=10, extensions in extensions(),
    ) {
        let mut bytes = extended(&frame(&tuples(v4, proto, 4000).0, &[0; 40]), words, &extensions);
        let at = spoilt.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(len.index(bytes.len() + 1));
        take_all(&bytes);
    }
}

type Step = fn(&mut Bytes<'_>, &Headers, &FlowKey) -> Option<()>;

/// Everything that a program does to a packet, on bytes that may be anything: nothing panics.
pub(super) fn take_all(bytes: &[u8]) {
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
