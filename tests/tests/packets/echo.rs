//! Echo requests to addresses of Services.

use lb_common::{Counter, FrontendFlags, NodeFlags, Proto};
use lb_tests::packet::{Body, HERE, HOP_BY_HOP, PEER, Packet, echo};

use crate::case::{Case, each_of};

fn reply(request: &Packet) -> Packet {
    let mut reply = request.clone();
    (reply.src, reply.dst) = (request.dst, request.src);
    reply.ethernet = [PEER, HERE];
    reply.dont_fragment = request.is_v4();
    if let Body::Icmp { kind, .. } = &mut reply.body {
        *kind = if request.is_v4() { 0 } else { 129 };
    }
    reply
}

fn request(case: Case) -> Packet {
    echo(case.client().ip(), case.frontend().ip())
}

#[test]
fn an_echo_request_to_an_address_of_services_is_answered() {
    each_of(&[Proto::TCP], |case, lab| {
        for flags in [FrontendFlags::default(), FrontendFlags::PING_ONLY] {
            lab.guard(case.frontend().ip(), flags);
            for size in [0, 1, 56, 1_400] {
                let request = request(case).data(&vec![3; size]).ttl(9);
                let ran = lab.from_outside(&request).counting(&[Counter::EchoAnswered]);
                assert_eq!(ran.redirected(), reply(&request).ttl(64));
                let ran = lab.from_pod(&request).counting(&[Counter::EchoAnswered]);
                assert_eq!(ran.redirected(), reply(&request).ttl(64));
            }
        }
    });
}

#[test]
fn an_echo_request_is_left_alone_where_none_is_wanted() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.node(NodeFlags::empty());
        lab.guard(case.frontend().ip(), FrontendFlags::PING_ONLY);
        lab.from_outside(&request(case)).untouched();
    });
}

#[test]
fn an_echo_request_to_a_cluster_ip_is_refused_where_none_is_answered() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.node(NodeFlags::empty());
        lab.guard(case.frontend().ip(), FrontendFlags::default());
        let request = request(case);
        let ran = lab.from_outside(&request).counting(&[Counter::UnknownPort, Counter::RefusedIcmp]);
        let refused = ran.redirected();
        let Body::Icmp { data, .. } = &refused.body else { panic!("{refused:?}") };
        assert_eq!(data[..], request.ip_bytes()[..data.len()]);
    });
}

#[test]
fn an_echo_request_to_another_address_is_not_ours() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.guard(case.other_frontend().ip(), FrontendFlags::default());
        lab.from_outside(&request(case)).untouched();
        lab.to_outside(&request(case)).untouched();
    });
}

#[test]
fn the_options_of_an_echo_request_are_not_sent_back() {
    let v4 = Case { v4: true, proto: Proto::TCP };
    let v6 = Case { v4: false, proto: Proto::TCP };
    let mut lab = lb_tests::programs::Lab::new();
    lab.guard(v4.frontend().ip(), FrontendFlags::default());
    lab.guard(v6.frontend().ip(), FrontendFlags::default());
    let with_options = request(v4).options(&[7, 7, 4, 0, 0, 0, 0, 0]);
    assert_eq!(lab.from_outside(&with_options).redirected(), reply(&with_options).options(&[1; 8]));
    let extended = request(v6).extension(HOP_BY_HOP);
    lab.from_outside(&extended).counting(&[Counter::Unanswered]).dropped();
}
