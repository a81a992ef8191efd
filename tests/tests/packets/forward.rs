//! From a client to a backend, and back: what each side sees of it.

use lb_common::{Counter, FrontendFlags, NodeFlags};
use lb_tests::programs::{frontend, service};

use crate::case::{Case, at, converse, each, key};

#[test]
fn a_packet_to_a_local_backend_goes_up_the_stack_with_nothing_but_its_destination_changed() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let dial = case.dial();
        let ran = lab.from_outside(&dial).counting(&[Counter::NewFlow, Counter::TcForward]);
        assert_eq!(ran.passed(), dial.to(case.here()));
    });
}

#[test]
fn a_packet_to_a_remote_backend_is_masqueraded_and_sent_on_one_hop_older() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let dial = case.dial();
        let ran = lab.from_outside(&dial).counting(&[Counter::NewFlow, Counter::TcForward]);
        let sent = ran.redirected();
        assert_eq!(sent.src.ip(), case.node());
        let port = sent.src.port();
        assert!((1_024..=29_999).contains(&port) || port >= 61_000, "{port}");
        let expected = dial.from(sent.src).to(case.there()).after_hops(1);
        assert_eq!(sent, expected);
    });
}

#[test]
fn the_answer_of_a_local_backend_comes_from_the_frontend() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let sent = lab.from_outside(&case.dial()).passed();
        let answer = sent.answer();
        let ran = lab.to_outside(&answer).counting(&[Counter::TcReply]);
        assert_eq!(ran.passed(), answer.from(case.frontend()));
    });
}

#[test]
fn the_answer_of_a_remote_backend_comes_from_the_frontend_to_the_client() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let sent = lab.from_outside(&case.dial()).redirected();
        let answer = sent.answer();
        let ran = lab.from_outside(&answer).counting(&[Counter::TcReply]);
        assert_eq!(ran.redirected(), answer.from(case.frontend()).to(case.client()).after_hops(1));
    });
}

#[test]
fn a_client_outside_has_a_conversation_with_whom_it_dialled() {
    each(|case, lab| {
        for backend in [case.here(), case.there()] {
            let dialled = if backend == case.here() { case.frontend() } else { case.other_frontend() };
            lab.serve(&service(frontend(dialled, case.proto)).to(backend));
            let went_on = converse(lab, case, case.client(), dialled);
            assert_eq!(went_on.dst, backend);
        }
    });
}

#[test]
fn a_packet_of_nobody_s_is_not_touched() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let other = case.open(case.client(), case.there());
        lab.from_outside(&other).untouched();
        lab.from_pod(&other).untouched();
        lab.to_outside(&other).untouched();
        // Of the backend, but no answer to anything.
        lab.to_outside(&case.open(case.here(), case.client())).untouched();
    });
}

#[test]
fn a_local_backend_is_masqueraded_where_that_is_asked_for_and_pods_devices_are_seen() {
    each(|case, lab| {
        lab.node(NodeFlags::POD_DEVICES.with(NodeFlags::FIB_SOURCE));
        lab.serve(&case.service_with(FrontendFlags::OUTSIDE_MASQUERADE, case.here()));
        let dial = case.dial();
        let sent = lab.from_outside(&dial).redirected();
        assert_eq!(sent, dial.clone().from(sent.src).to(case.here()).after_hops(1));
        assert_eq!(sent.src.ip(), case.node());
        let answer = sent.answer();
        let answered = lab.from_pod(&answer).counting(&[Counter::TcReply]).redirected();
        assert_eq!(answered, answer.from(case.frontend()).to(case.client()).after_hops(1));
    });
}

#[test]
fn a_pod_that_reaches_itself_is_masqueraded() {
    each(|case, lab| {
        lab.node(NodeFlags::POD_DEVICES.with(NodeFlags::FIB_SOURCE));
        lab.serve(&case.service(case.here()));
        let mut client = case.here();
        client.set_port(40_000);
        let dial = case.open(client, case.frontend());
        let sent = lab.from_pod(&dial).redirected();
        assert_eq!(sent.src.ip(), case.node());
        assert_eq!(sent, dial.from(sent.src).to(case.here()).after_hops(1));
        let answered = lab.from_pod(&sent.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), client));
    });
}

#[test]
fn a_pod_of_this_node_keeps_its_address_toward_any_backend() {
    each(|case, lab| {
        lab.node(NodeFlags::POD_DEVICES.with(NodeFlags::FIB_SOURCE));
        lab.serve(&case.service(case.there()));
        let pod = at(if case.v4 { "10.244.1.7:40000" } else { "[fd00:10:244:1::7]:40000" });
        let dial = case.open(pod, case.frontend());
        let sent = lab.from_pod(&dial).passed();
        assert_eq!(sent, dial.to(case.there()));
        let answer = sent.answer();
        assert_eq!(lab.to_pod(&answer).passed(), answer.from(case.frontend()));
    });
}

#[test]
fn an_answer_is_translated_whichever_device_it_leaves_by() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let answer = lab.from_outside(&case.dial()).passed().answer();
        assert_eq!(lab.to_pod(&answer).passed(), answer.from(case.frontend()));
    });
}

#[test]
fn two_clients_with_one_source_port_have_a_conversation_each() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let mut other = case.client();
        other.set_ip(at(if case.v4 { "192.0.2.10:1" } else { "[2001:db8::a]:1" }).ip());
        let mut sent = Vec::new();
        for client in [case.client(), other] {
            sent.push(converse(lab, case, client, case.frontend()));
        }
        assert_ne!(sent[0].src, sent[1].src);
        for (sent, client) in sent.iter().zip([case.client(), other]) {
            let answered = lab.from_outside(&sent.answer()).redirected();
            assert_eq!((answered.src, answered.dst), (case.frontend(), client));
        }
    });
}

#[test]
fn one_client_of_two_frontends_in_front_of_one_backend_has_a_conversation_with_each() {
    for backend in [Case::here as fn(Case) -> _, Case::there] {
        each(|case, lab| {
            let both = case.service(backend(case)).and(frontend(case.other_frontend(), case.proto));
            lab.serve(&both);
            let frontends = [case.frontend(), case.other_frontend()];
            let sent = frontends.map(|dialled| converse(lab, case, case.client(), dialled));
            assert_ne!(key(&sent[0], case.proto), key(&sent[1], case.proto));
            for (sent, dialled) in sent.iter().zip(frontends) {
                let answer = sent.answer();
                let ran = if sent.dst == case.here() {
                    lab.to_outside(&answer).passed()
                } else {
                    lab.from_outside(&answer).redirected()
                };
                assert_eq!((ran.src, ran.dst), (dialled, case.client()));
            }
        });
    }
}

#[test]
fn a_packet_without_a_route_to_its_backend_is_dropped_and_counted() {
    each(|case, lab| {
        lab.serve(&case.service(case.nowhere()));
        lab.from_outside(&case.dial()).counting(&[Counter::NoRoute]).dropped();
    });
}

#[test]
fn a_backend_on_the_node_s_own_address_is_reached_without_masquerade() {
    each(|case, lab| {
        let mut backend = case.here();
        backend.set_ip(case.node());
        lab.serve(&case.service(backend));
        let dial = case.dial();
        assert_eq!(lab.from_outside(&dial).passed(), dial.to(backend));
    });
}
