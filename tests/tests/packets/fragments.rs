//! Datagrams in fragments, of which only the first has ports (NAT-02, KRN-03).

use lb_common::{Counter, FrontendFlags, Proto};
use lb_tests::packet::Packet;
use lb_tests::programs::{Lab, Table};

use crate::case::{Case, converse, each_of, key};

const UDP: [Proto; 1] = [Proto::UDP];

/// A datagram of 60 kB, and its fragments.
fn big(case: Case, src: std::net::SocketAddr, dst: std::net::SocketAddr) -> (Packet, Vec<Packet>) {
    let data: Vec<u8> = (0..60_000_u32).map(|index| (index % 251) as u8).collect();
    let whole = case.open(src, dst).data(&data);
    let parts = whole.fragments(7_700, 1_400);
    (whole, parts)
}

#[track_caller]
fn together(parts: &[Packet]) -> Packet {
    Packet::reassembled(parts).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_datagram_in_fragments_reaches_a_local_backend_and_its_answer_the_client() {
    each_of(&UDP, |case, lab| {
        lab.serve(&case.service(case.here()));
        let (whole, parts) = big(case, case.client(), case.frontend());
        let received: Vec<_> = parts.iter().map(|part| lab.from_outside(part).passed()).collect();
        assert_eq!(together(&received), whole.to(case.here()));
        let (answer, parts) = big(case, case.here(), case.client());
        let answered: Vec<_> = parts.iter().map(|part| lab.to_outside(part).passed()).collect();
        assert_eq!(together(&answered), answer.from(case.frontend()));
    });
}

#[test]
fn a_datagram_in_fragments_reaches_a_remote_backend_and_its_answer_the_client() {
    each_of(&UDP, |case, lab| {
        lab.serve(&case.service(case.there()));
        let (whole, parts) = big(case, case.client(), case.frontend());
        let sent: Vec<_> = parts.iter().map(|part| lab.from_outside(part).redirected()).collect();
        let sent = together(&sent);
        assert_eq!(sent, whole.from(sent.src).to(case.there()).after_hops(1));
        let (answer, parts) = big(case, case.there(), sent.src);
        let answered: Vec<_> = parts.iter().map(|part| lab.from_outside(part).redirected()).collect();
        assert_eq!(together(&answered), answer.from(case.frontend()).to(case.client()).after_hops(1));
    });
}

#[test]
fn a_datagram_in_fragments_is_part_of_an_assured_flow_too() {
    each_of(&UDP, |case, lab| {
        lab.serve(&case.service(case.there()));
        let went_on = converse(lab, case, case.client(), case.frontend());
        let (whole, parts) = big(case, case.client(), case.frontend());
        let sent: Vec<_> = parts.iter().map(|part| lab.from_outside(part).redirected()).collect();
        assert_eq!(together(&sent), whole.from(went_on.src).to(case.there()).after_hops(1));
    });
}

#[test]
fn a_later_fragment_that_comes_before_its_first_is_dropped_at_an_address_of_services_alone() {
    each_of(&[Proto::UDP, Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.here()));
        let (_, parts) = big(case, case.client(), case.frontend());
        lab.from_outside(&parts[1]).untouched();
        lab.guard(case.frontend().ip(), FrontendFlags::default());
        lab.from_outside(&parts[1]).counting(&[Counter::FragmentUnknown]).dropped();
        let (_, foreign) = big(case, case.client(), case.there());
        lab.from_outside(&foreign[1]).untouched();
        lab.to_outside(&foreign[1]).untouched();
    });
}

#[test]
fn fragments_of_another_datagram_are_not_taken_for_the_same() {
    let case = Case { v4: true, proto: Proto::UDP };
    let mut lab = Lab::new();
    lab.serve(&case.service(case.here()));
    lab.guard(case.frontend().ip(), FrontendFlags::default());
    let (_, parts) = big(case, case.client(), case.frontend());
    let _received = lab.from_outside(&parts[0]).passed();
    let mut other = parts[1].clone();
    other.fragment = other.fragment.map(|fragment| lb_tests::packet::Fragment { id: 7_701, ..fragment });
    lab.from_outside(&other).counting(&[Counter::FragmentUnknown]).dropped();
    assert_eq!(lab.from_outside(&parts[1]).passed().dst.ip(), case.here().ip());
}

#[test]
fn sctp_in_fragments_is_dropped_for_its_checksum_covers_what_is_not_there() {
    each_of(&[Proto::SCTP], |case, lab| {
        lab.serve(&case.service(case.here()));
        let (_, parts) = big(case, case.client(), case.frontend());
        let ran = lab.from_outside(&parts[0]);
        ran.dropped();
        assert!(ran.counts().contains(&Counter::Malformed), "{:?}", ran.counts());
    });
}

#[test]
fn nothing_is_answered_to_a_later_fragment() {
    // RFC 1122 §3.2.2. Of IPv6 it is not said, but the kernel does the same.
    each_of(&UDP, |case, lab| {
        lab.serve(&case.service(case.there()));
        let (_, parts) = big(case, case.client(), case.frontend());
        let _sent = lab.from_outside(&parts[0]).redirected();
        lab.from_outside(&parts[1].clone().ttl(1)).counting(&[Counter::TtlExpired]).dropped();
    });
}

#[test]
fn a_later_fragment_whose_flow_is_gone_is_dropped_at_an_address_of_services() {
    each_of(&UDP, |case, lab| {
        lab.serve(&case.service(case.here()));
        lab.guard(case.frontend().ip(), FrontendFlags::default());
        let (whole, parts) = big(case, case.client(), case.frontend());
        let _received = lab.from_outside(&parts[0]).passed();
        lab.remove_flow(Table::New, &key(&whole, case.proto));
        lab.from_outside(&parts[1]).counting(&[Counter::FragmentUnknown]).dropped();
    });
}
