//! Any bytes at all: nothing that is not ours is changed, and what is changed is right.

use fastrand::Rng;
use lb_common::{FrontendFlags, NodeFlags, RangeSet};
use lb_tests::packet::{DESTINATION_OPTIONS, HERE, HOP_BY_HOP, PEER, Packet, echo, icmp};
use lb_tests::programs::{Device, Hook, Lab, Verdict};

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
#[track_caller]
fn check(lab: &mut Lab, hook: Hook, bytes: &[u8]) {
    let device = if hook == Hook::PodIn { Device::PodSide } else { Device::External };
    let ran = lab.run_bytes(hook, device, bytes, 0);
    match ran.verdict() {
        Verdict::Pass if ran.counts().is_empty() => assert_eq!(ran.bytes(), bytes, "{hook:?}"),
        // A packet that was right is right; one that was wrong has nothing to become.
        Verdict::Pass | Verdict::Redirect => {
            assert!(!ran.counts().is_empty(), "{hook:?} {bytes:02x?}");
            if Packet::read(bytes).is_ok()
                && let Err(error) = Packet::read(ran.bytes())
            {
                panic!("{error}: {hook:?} {bytes:02x?}\nbecame {:02x?}", ran.bytes());
            }
        }
        Verdict::Drop => assert!(!ran.counts().is_empty(), "not counted: {hook:?} {bytes:02x?}"),
        Verdict::Other(code) => panic!("verdict {code}: {hook:?} {bytes:02x?}"),
    }
}

#[track_caller]
fn any<'a, T>(random: &mut Rng, of: &'a [T]) -> &'a T {
    &of[random.usize(..of.len())]
}

#[test]
fn any_bytes_are_taken_without_harm() {
    let (mut lab, mut random) = (busy(), Rng::with_seed(7));
    let heads = [[0x08, 0x00, 0x45], [0x86, 0xdd, 0x60], [0x81, 0x00, 0x00]];
    for _ in 0..20_000 {
        let mut bytes = vec![0; random.usize(SHORTEST - 1..200)];
        random.fill(&mut bytes);
        let head = any(&mut random, &heads);
        let frame = [&HERE[..], &PEER, head, &bytes].concat();
        check(&mut lab, *any(&mut random, &Hook::ALL), &frame);
    }
}

#[test]
fn a_packet_spoilt_or_cut_anywhere_is_taken_without_harm() {
    let (mut lab, mut random, seeds) = (busy(), Rng::with_seed(7), seeds());
    for _ in 0..40_000 {
        let mut bytes = any(&mut random, &seeds).bytes();
        for _ in 0..random.usize(..4) {
            let at = random.usize(14..bytes.len());
            bytes[at] = random.u8(..);
        }
        if random.bool() {
            let shortest = bytes.len().min(14 + SHORTEST);
            bytes.truncate(random.usize(shortest..=bytes.len()));
        }
        check(&mut lab, *any(&mut random, &Hook::ALL), &bytes);
    }
}

#[test]
fn a_right_packet_of_any_kind_is_right_afterwards() {
    let mut lab = busy();
    for packet in seeds() {
        for hook in Hook::ALL {
            check(&mut lab, hook, &packet.bytes());
        }
    }
}
