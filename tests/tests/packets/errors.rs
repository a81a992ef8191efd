//! ICMP errors about packets of flows: whoever gets one finds in it what it sent itself.

use lb_common::{Counter, Proto};
use lb_tests::packet::{Body, Packet, icmp};
use lb_tests::programs::Table;

use crate::case::{Case, converse, each};

/// Who a router on the way is.
fn router(case: Case) -> std::net::IpAddr {
    crate::case::ip(if case.v4 { "192.0.2.1" } else { "2001:db8::1" })
}

/// «Host unreachable» and «packet too big», about a packet, with as much of it as routers quote.
fn errors(case: Case, about: &Packet) -> [Packet; 2] {
    let quoted = about.ip_bytes();
    let kinds = if case.v4 { [(3, 1, 0), (3, 4, 1_300)] } else { [(1, 3, 0), (2, 0, 1_300)] };
    kinds.map(|(kind, code, value)| icmp(router(case), about.src.ip(), kind, code, value, &quoted))
}

/// What an error quotes. A checksum of SCTP that is quoted can't be adjusted: it is made to be zero.
#[track_caller]
fn quoted(error: &Packet, case: Case) -> Vec<u8> {
    let Body::Icmp { data, .. } = &error.body else { panic!("{error:?}") };
    without_sctp_checksum(data, case)
}

fn without_sctp_checksum(ip: &[u8], case: Case) -> Vec<u8> {
    let mut ip = ip.to_vec();
    let l4 = if case.v4 { 20 } else { 40 };
    if case.proto == Proto::SCTP {
        ip[l4 + 8..l4 + 12].fill(0);
    }
    ip
}

/// What was sent, as it is found in an error.
fn found(packet: &Packet, case: Case) -> Vec<u8> {
    without_sctp_checksum(&packet.ip_bytes(), case)
}

#[track_caller]
fn number(error: &Packet) -> (u8, u8, u32) {
    let Body::Icmp { kind, code, value, .. } = error.body else { panic!("{error:?}") };
    (kind, code, value)
}

#[test]
fn a_local_backend_is_told_what_became_of_its_answer() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let answer = converse(lab, case, case.client(), case.frontend()).answer();
        let sent = lab.to_outside(&answer).passed();
        // One of its hops was this node's, the next is the router's that gives up.
        for error in errors(case, &sent) {
            let ran = lab.from_outside(&error).counting(&[Counter::IcmpError]);
            let told = ran.passed();
            assert_eq!(
                (told.src, told.dst.ip()),
                (error.src, case.here().ip()),
                "from the router, to the backend"
            );
            assert_eq!(number(&told), number(&error));
            assert_eq!(quoted(&told, case), found(&answer, case));
        }
    });
}

#[test]
fn a_client_is_told_what_a_local_backend_s_side_makes_of_its_packet() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let received = converse(lab, case, case.client(), case.frontend());
        let dialled = case.go_on(case.client(), case.frontend());
        for mut error in errors(case, &received) {
            error.src.set_ip(case.here().ip());
            let ran = lab.to_outside(&error).counting(&[Counter::IcmpError]);
            let told = ran.passed();
            assert_eq!(
                (told.src.ip(), told.dst.ip()),
                (case.frontend().ip(), case.client().ip()),
                "no client sees a backend's address"
            );
            assert_eq!(number(&told), number(&error));
            assert_eq!(quoted(&told, case), found(&dialled, case));
        }
    });
}

#[test]
fn a_remote_backend_is_told_what_became_of_its_answer() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let answer = converse(lab, case, case.client(), case.frontend()).answer();
        let sent = lab.from_outside(&answer).redirected();
        for error in errors(case, &sent) {
            let told = lab.from_outside(&error).counting(&[Counter::IcmpError]).redirected();
            assert_eq!(told.src.ip(), case.node(), "the backend knows nobody but the node");
            assert_eq!((told.dst.ip(), told.ttl), (case.there().ip(), 63));
            assert_eq!(number(&told), number(&error));
            assert_eq!(quoted(&told, case), found(&answer.clone().after_hops(1), case));
        }
    });
}

#[test]
fn a_client_is_told_what_a_remote_backend_s_side_makes_of_its_packet() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let sent = converse(lab, case, case.client(), case.frontend());
        let dialled = case.go_on(case.client(), case.frontend());
        for mut error in errors(case, &sent) {
            error.src.set_ip(case.there().ip());
            let told = lab.from_outside(&error).counting(&[Counter::IcmpError]).redirected();
            assert_eq!((told.src.ip(), told.dst.ip()), (case.frontend().ip(), case.client().ip()));
            assert_eq!(told.ttl, 63);
            assert_eq!(number(&told), number(&error));
            assert_eq!(quoted(&told, case), found(&dialled.clone().after_hops(1), case));
        }
    });
}

#[test]
fn an_error_that_quotes_no_more_than_ports_is_translated() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let sent = converse(lab, case, case.client(), case.frontend());
        let dialled = case.go_on(case.client(), case.frontend()).after_hops(1).ip_bytes();
        let header = if case.v4 { 20 } else { 40 };
        for error in errors(case, &sent) {
            let short = error.data(&sent.ip_bytes()[..header + 8]);
            let told = lab.from_outside(&short).counting(&[Counter::IcmpError]).redirected();
            let Body::Icmp { data, .. } = &told.body else { panic!("{told:?}") };
            assert_eq!(data[..header + 4], dialled[..header + 4]);
        }
    });
}

#[test]
fn an_error_about_a_packet_of_no_flow_is_not_touched() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        converse(lab, case, case.client(), case.frontend());
        let mut other = case.client();
        other.set_port(1_234);
        for about in [case.open(case.frontend(), other), case.open(case.here(), other)] {
            for error in errors(case, &about) {
                lab.from_outside(&error).untouched();
                lab.to_outside(&error).untouched();
            }
        }
    });
}

#[test]
fn an_error_on_its_last_hop_is_dropped_where_it_would_be_sent_on() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let sent = converse(lab, case, case.client(), case.frontend());
        for error in errors(case, &sent) {
            lab.from_outside(&error.ttl(1)).counting(&[Counter::TtlExpired]).dropped();
        }
    });
}

#[test]
fn an_error_for_somebody_else_than_who_sent_what_it_quotes_is_not_touched() {
    // Whoever knows a flow's addresses and ports could send what it likes to the flow's ends, from anywhere.
    each(|case, lab| {
        for backend in [case.here(), case.there()] {
            lab.serve(&case.service(backend));
            let sent = converse(lab, case, case.client(), case.frontend());
            for about in [sent.clone(), sent.answer().from(case.frontend()).to(case.client())] {
                for mut error in errors(case, &about) {
                    error.dst.set_ip(case.other_frontend().ip());
                    lab.from_outside(&error).untouched();
                    lab.to_outside(&error).untouched();
                }
            }
            lab.forget();
        }
    });
}

#[test]
fn no_error_ends_a_flow_or_turns_it_elsewhere() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let sent = converse(lab, case, case.client(), case.frontend());
        let before = lab.flows(Table::Assured);
        for about in [sent.clone(), sent.answer().from(case.frontend()).to(case.client())] {
            for error in errors(case, &about) {
                let _told = lab.from_outside(&error).counting(&[Counter::IcmpError]).redirected();
            }
        }
        // Redirects (RFC 792, RFC 4861 §4.5) are no errors, and nothing of ours listens to them.
        let redirect =
            icmp(router(case), sent.src.ip(), if case.v4 { 5 } else { 137 }, 1, 0, &sent.ip_bytes());
        lab.from_outside(&redirect).untouched();
        assert_eq!(lab.flows(Table::Assured), before);
        let again = lab.from_outside(&case.go_on(case.client(), case.frontend())).redirected();
        assert_eq!((again.src, again.dst), (sent.src, sent.dst));
    });
}

#[test]
fn an_error_about_an_error_or_about_a_later_fragment_is_not_touched() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let sent = converse(lab, case, case.client(), case.frontend());
        let [error, _] = errors(case, &sent);
        for nested in errors(case, &error) {
            lab.from_outside(&nested).untouched();
        }
        for part in &sent.data(&[0; 200]).fragments(7, 80)[1..] {
            for error in errors(case, part) {
                lab.from_outside(&error).untouched();
            }
        }
    });
}
