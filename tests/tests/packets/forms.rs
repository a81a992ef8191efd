//! Packets as they come: with options, with extension headers, in tags, without checksums, cut short.

use lb_common::{Counter, Proto};
use lb_tests::packet::{DESTINATION_OPTIONS, HOP_BY_HOP, Packet, udp};
use lb_tests::programs::{Device, Hook, Lab, Verdict};

use crate::case::{Case, each, each_of};

/// Dials a local and a remote backend with a packet; each is sent it with its own address and nothing else
/// changed, and answers.
#[track_caller]
fn is_served(case: Case, dial: &Packet) {
    let mut lab = Lab::new();
    lab.serve(&case.service(case.here()));
    let received = lab.from_outside(dial).passed();
    assert_eq!(received, dial.clone().to(case.here()));
    let answer = like(&received, received.answer());
    assert_eq!(lab.to_outside(&answer).passed(), answer.clone().from(case.frontend()));

    let mut lab = Lab::new();
    lab.serve(&case.service(case.there()));
    let sent = lab.from_outside(dial).redirected();
    assert_eq!(sent, dial.clone().from(sent.src).to(case.there()).after_hops(1));
    let answer = like(&sent, sent.answer());
    let answered = lab.from_outside(&answer).redirected();
    assert_eq!(answered, answer.from(case.frontend()).to(case.client()).after_hops(1));
}

/// An answer in the form of what it answers.
fn like(packet: &Packet, answer: Packet) -> Packet {
    Packet { options: packet.options.clone(), extensions: packet.extensions.clone(), ..answer }
}

#[test]
fn a_packet_with_ipv4_options_is_served() {
    each(|case, _| {
        if case.v4 {
            for count in [4, 8, 20, 40] {
                is_served(case, &case.dial().options(&vec![1; count]));
            }
        }
    });
}

#[test]
fn a_packet_with_ipv6_extension_headers_is_served() {
    each(|case, _| {
        if !case.v4 {
            is_served(case, &case.dial().extension(HOP_BY_HOP));
            is_served(case, &case.dial().extension(DESTINATION_OPTIONS));
            is_served(case, &case.dial().extension(HOP_BY_HOP).extension(DESTINATION_OPTIONS));
            let mut long = case.dial().extension(HOP_BY_HOP);
            // Padding of 126 bytes (RFC 8200 §4.2).
            long.extensions[0].1 = [&[1, 124][..], &[0; 124]].concat();
            is_served(case, &long);
        }
    });
}

#[test]
fn a_packet_with_more_extension_headers_than_are_followed_is_not_touched() {
    each(|case, lab| {
        if !case.v4 {
            lab.serve(&case.service(case.here()));
            let mut dial = case.dial();
            for _ in 0..7 {
                dial = dial.extension(DESTINATION_OPTIONS);
            }
            lab.from_outside(&dial).untouched();
        }
    });
}

#[test]
fn a_datagram_without_a_checksum_is_served_without_one() {
    let case = Case { v4: true, proto: Proto::UDP };
    is_served(case, &case.dial().unsummed());
}

#[test]
fn a_checksum_never_becomes_the_zero_that_means_none() {
    // One datagram for each sum that there is: some become zero on their way.
    let case = Case { v4: true, proto: Proto::UDP };
    let mut lab = Lab::new();
    lab.serve(&case.service(case.here()));
    let mut out = Vec::new();
    for number in 0..=u16::MAX {
        let frame = udp(case.client(), case.frontend(), &number.to_be_bytes()).bytes();
        assert_eq!(lab.pour(Hook::Ingress, Device::External, &frame, &mut out), Verdict::Pass);
        let received = Packet::read(&out).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(received, udp(case.client(), case.here(), &number.to_be_bytes()));
    }
}

#[test]
fn what_is_no_ip_packet_of_this_device_is_not_touched() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let frame = case.dial().bytes();
        // In a tag: the VLAN's own device sees it without.
        let mut tagged = frame.clone();
        tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
        let mut arp = frame.clone();
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        // Of the other family than its ethertype says.
        let mut liar = frame.clone();
        liar[14] ^= 0x20;
        // For another host on the same wire.
        let mut other = frame.clone();
        other[5] ^= 0x40;
        for bytes in [&tagged, &arp, &liar, &other] {
            lab.run_bytes(Hook::Ingress, Device::External, bytes, 0).untouched();
        }
        for bytes in [&tagged, &arp, &liar] {
            lab.run_bytes(Hook::PodIn, Device::PodSide, bytes, 0).untouched();
            lab.run_bytes(Hook::Egress, Device::External, bytes, 0).untouched();
        }
    });
}

#[test]
fn a_packet_cut_short_anywhere_is_not_touched() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let frame = case.dial().bytes();
        // The kernel takes no shorter ones here (net/bpf/test_run.c).
        let shortest = if case.v4 { 14 + 20 } else { 14 + 40 };
        for len in shortest..frame.len() {
            let ran = lab.run_bytes(Hook::Ingress, Device::External, &frame[..len], 0);
            assert_eq!((ran.verdict(), ran.counts()), (Verdict::Pass, &[][..]), "{len} bytes");
            assert_eq!(ran.bytes(), &frame[..len], "{len} bytes");
        }
    });
}

#[test]
fn a_packet_with_padding_behind_it_is_served() {
    each_of(&[Proto::TCP, Proto::UDP, Proto::SCTP], |case, lab| {
        lab.serve(&case.service(case.here()));
        let dial = case.dial();
        let padded = [&dial.bytes()[..], &[0; 9]].concat();
        let ran = lab.run_bytes(Hook::Ingress, Device::External, &padded, 0);
        let ran = ran.counting(&[Counter::NewFlow, Counter::TcForward]);
        let expected = [&dial.to(case.here()).bytes()[..], &[0; 9]].concat();
        assert_eq!(ran.bytes(), expected);
    });
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let mut frame = case.dial().bytes();
        let last = frame.len() - 1;
        frame[last] ^= 1;
        let ran = lab.run_bytes(Hook::Ingress, Device::External, &frame, 0);
        assert_eq!(ran.verdict(), Verdict::Pass);
        assert!(Packet::read(ran.bytes()).is_err());
    });
}
