//! Hops and sizes: what a router answers, packets that are sent on must be answered with.

use lb_common::{Counter, Proto};
use lb_tests::packet::{Body, Packet, icmp};
use lb_tests::programs::{Device, Hook, Lab, NARROW_MTU, Verdict};

use crate::case::{Case, converse, each, each_of};

/// What a router answers to a packet: type and code, value, and the packet as it came.
#[track_caller]
fn assert_answers(answer: &Packet, packet: &Packet, case: Case, number: (u8, u8), value: u32) {
    let Body::Icmp { data, .. } = &answer.body else { panic!("{answer:?}") };
    assert_eq!(data[..], packet.ip_bytes()[..data.len()]);
    assert!(data.len() >= 28, "enough to know the flow by");
    let mut expected = icmp(case.node(), packet.src.ip(), number.0, number.1, value, data);
    expected.ethernet = answer.ethernet;
    expected.dont_fragment = case.v4;
    assert_eq!(answer, &expected);
}

#[test]
fn a_packet_on_its_last_hop_is_answered_where_it_would_be_sent_on() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let number = if case.v4 { (11, 0) } else { (3, 0) };
        for ttl in [0, 1] {
            let dial = case.dial().ttl(ttl);
            let ran = lab.from_outside(&dial);
            assert!(ran.counts().contains(&Counter::TtlExpired), "{:?}", ran.counts());
            assert_answers(&ran.redirected(), &dial, case, number, 0);
        }
        let sent = lab.from_outside(&case.dial().ttl(2)).redirected();
        assert_eq!(sent.ttl, 1);
    });
}

#[test]
fn a_packet_on_its_last_hop_reaches_a_local_backend() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let dial = case.dial().ttl(1);
        assert_eq!(lab.from_outside(&dial).passed(), dial.to(case.here()));
    });
}

#[test]
fn a_packet_too_big_for_the_way_is_answered_with_what_the_way_takes() {
    each_of(&[Proto::TCP, Proto::UDP], |case, lab| {
        lab.serve(&case.service(case.narrow()));
        converse(lab, case, case.client(), case.frontend());
        let number = if case.v4 { (3, 4) } else { (2, 0) };
        let headers = case.go_on(case.client(), case.frontend()).data(&[]).ip_bytes().len();
        let fits = vec![7; usize::from(NARROW_MTU) - headers];
        let big = vec![7; usize::from(NARROW_MTU) - headers + 1];
        let packet = case.go_on(case.client(), case.frontend()).dont_fragment();
        let _sent =
            lab.from_outside(&packet.clone().data(&fits)).counting(&[Counter::TcForward]).redirected();
        let packet = packet.data(&big);
        let ran = lab.from_outside(&packet).counting(&[Counter::TooBig]);
        assert_answers(&ran.redirected(), &packet, case, number, NARROW_MTU.into());
    });
}

#[test]
fn an_answer_too_big_for_the_way_to_its_client_is_answered_likewise() {
    // The client is behind the narrow way.
    each_of(&[Proto::TCP, Proto::UDP], |case, lab| {
        lab.serve(&case.service(case.there()));
        let client = case.narrow();
        let went_on = converse(lab, case, client, case.frontend());
        let answer = case.go_on(went_on.dst, went_on.src).data(&[7; 1_420]).dont_fragment();
        let ran = lab.from_outside(&answer).counting(&[Counter::TooBig]);
        let number = if case.v4 { (3, 4) } else { (2, 0) };
        assert_answers(&ran.redirected(), &answer, case, number, NARROW_MTU.into());
    });
}

#[test]
fn a_packet_that_will_be_cut_is_measured_by_its_segments() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.narrow()));
        converse(lab, case, case.client(), case.frontend());
        let packet = case.go_on(case.client(), case.frontend()).data(&[7; 3_000]).dont_fragment();
        let headers = packet.ip_bytes().len() - 3_000;
        let fits = u32::from(NARROW_MTU) - headers as u32;
        let ran = lab.run_bytes(Hook::Ingress, Device::External, &packet.bytes(), fits);
        assert_eq!(ran.verdict(), Verdict::Redirect);
        assert_eq!(ran.redirected().dst, case.narrow());
        let ran = lab.run_bytes(Hook::Ingress, Device::External, &packet.bytes(), fits + 1);
        let ran = ran.counting(&[Counter::TooBig]);
        assert_answers(
            &ran.redirected(),
            &packet,
            case,
            if case.v4 { (3, 4) } else { (2, 0) },
            NARROW_MTU.into(),
        );
    });
}

#[test]
fn an_ipv4_packet_that_may_be_fragmented_is_answered_likewise_for_nobody_here_fragments() {
    let case = Case { v4: true, proto: Proto::UDP };
    let mut lab = Lab::new();
    lab.serve(&case.service(case.narrow()));
    let packet = case.dial().data(&[7; 1_420]);
    let ran = lab.from_outside(&packet).counting(&[Counter::NewFlow, Counter::TooBig]);
    assert_answers(&ran.redirected(), &packet, case, (3, 4), NARROW_MTU.into());
}
