//! Any bytes at all: nothing that is not ours is changed, and what is changed is right.

use std::cell::RefCell;

use lb_common::{FrontendFlags, NodeFlags, Proto, RangeSet};
use lb_tests::packet::{DESTINATION_OPTIONS, HOP_BY_HOP, Packet, echo, icmp};
use lb_tests::programs::{Device, Hook, Lab, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::case::{Case, PROTOS, converse, ip};

/// Bytes behind an Ethernet header without which the kernel runs nothing (net/bpf/test_run.c). What is shorter is
/// tried on the host, where the same code takes it.
const SHORTEST: usize = 40;

/// A node that has something to say to everything: local, remote and no backends, guards, ranges, flows.
fn busy() -> Lab {
    let mut lab = Lab::new();
    lab.node(NodeFlags::VIP_PING.with(NodeFlags::POD_DEVICES).with(NodeFlags::CLUSTER_IP_RANGES));
    lab.add_range(RangeSet::CLUSTER_IPS, ip("10.96.0.0"), 16);
    for v4 in [true, false] {
        for proto in PROTOS {
            let case = Case { v4, proto };
            lab.guard(case.frontend().ip(), FrontendFlags::default());
            lab.serve(&case.service(case.here()).to(case.there()));
            converse(&mut lab, case, case.client(), case.frontend());
        }
    }
    lab
}

/// Packets of every kind, to be spoilt.
fn seeds() -> Vec<Packet> {
    let mut seeds = Vec::new();
    for v4 in [true, false] {
        for proto in PROTOS {
            let case = Case { v4, proto };
            let dial = case.dial();
            let mut wrong = case.frontend();
            wrong.set_port(81);
            seeds.extend([
                case.open(case.client(), wrong),
                case.go_on(case.client(), case.frontend()),
                case.close(case.here(), case.client()),
                echo(case.client().ip(), case.frontend().ip()),
                icmp(
                    ip(if v4 { "192.0.2.1" } else { "2001:db8::1" }),
                    case.client().ip(),
                    if v4 { 3 } else { 1 },
                    3,
                    0,
                    &dial.ip_bytes(),
                ),
                if v4 {
                    dial.clone().options(&[1; 12])
                } else {
                    dial.clone().extension(HOP_BY_HOP).extension(DESTINATION_OPTIONS)
                },
            ]);
            seeds.extend(dial.clone().data(&[0; 40]).fragments(5, 24));
            seeds.push(dial);
        }
    }
    seeds
}

/// What holds whatever the bytes are.
fn check(lab: &mut Lab, hook: Hook, bytes: &[u8]) -> Result<(), TestCaseError> {
    let device = if hook == Hook::PodIn { Device::PodSide } else { Device::External };
    let ran = lab.run_bytes(hook, device, bytes, 0);
    match ran.verdict() {
        Verdict::Pass if ran.counts().is_empty() => prop_assert_eq!(ran.bytes(), bytes),
        // A packet that was right is right: one that was wrong may be anything but must stay a packet.
        Verdict::Pass | Verdict::Redirect => {
            prop_assert!(!ran.counts().is_empty());
            if Packet::read(bytes).is_ok() {
                let read = Packet::read(ran.bytes());
                prop_assert!(read.is_ok(), "{:?}: {:02x?} became {:02x?}", read, bytes, ran.bytes());
            }
        }
        Verdict::Drop => prop_assert!(!ran.counts().is_empty(), "a drop is counted"),
        Verdict::Other(code) => prop_assert!(false, "verdict {}", code),
    }
    Ok(())
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn any_bytes_are_taken_without_harm() {
    let lab = RefCell::new(busy());
    let bytes = prop::collection::vec(any::<u8>(), SHORTEST - 1..200);
    let ethertype = prop::sample::select(vec![[0x08, 0x00, 0x45], [0x86, 0xdd, 0x60], [0x81, 0x00, 0x00]]);
    let hook = prop::sample::select(Hook::ALL.to_vec());
    let ran = runner(20_000).run(&(bytes, ethertype, hook), |(bytes, head, hook)| {
        let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &head[..], &bytes].concat();
        check(&mut lab.borrow_mut(), hook, &frame)
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_packet_spoilt_or_cut_anywhere_is_taken_without_harm() {
    let lab = RefCell::new(busy());
    let spoil = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let strategy = (
        prop::sample::select(seeds()),
        spoil,
        any::<prop::sample::Index>(),
        any::<bool>(),
        prop::sample::select(Hook::ALL.to_vec()),
    );
    let ran = runner(30_000).run(&strategy, |(packet, spoil, len, cut, hook)| {
        let mut bytes = packet.bytes();
        for (at, byte) in spoil {
            let at = 14 + at.index(bytes.len() - 14);
            bytes[at] = byte;
        }
        if cut {
            let shortest = bytes.len().min(14 + SHORTEST);
            bytes.truncate(shortest + len.index(bytes.len() + 1 - shortest));
        }
        check(&mut lab.borrow_mut(), hook, &bytes)
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_right_packet_of_any_kind_is_right_afterwards() {
    let mut lab = busy();
    for packet in seeds() {
        for hook in Hook::ALL {
            check(&mut lab, hook, &packet.bytes())
                .unwrap_or_else(|error| panic!("{hook:?} {packet:?}: {error}"));
        }
    }
    let sctp = Case { v4: true, proto: Proto::SCTP };
    converse(&mut lab, sctp, sctp.client(), sctp.frontend());
}
