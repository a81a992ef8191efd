//! The life of a flow: its entries, and what becomes of packets that come early, late or again.

use std::collections::HashSet;

use lb_common::{BackendFlags, Counter, Moment, Proto, Seen};
use lb_tests::packet::{ACK, RST, tcp, udp};
use lb_tests::programs::{Device, Hook, Lab, Table, frontend, service};

use crate::case::{Case, at, converse, each, each_of, key};

#[test]
fn a_flow_is_two_entries_that_find_each_other() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let dial = case.dial();
        let sent = lab.from_outside(&dial).redirected();
        let (forward, reverse) = (key(&dial, case.proto), key(&sent.answer(), case.proto));
        let entry = lab.flow(Table::New, &forward).expect("the client's direction");
        assert_eq!(entry.rewritten(case.proto), key(&sent, case.proto));
        assert_eq!(forward.counterpart(&entry), reverse);
        let entry = lab.flow(Table::New, &reverse).expect("the backend's direction");
        assert_eq!(reverse.counterpart(&entry), forward);
        assert!(entry.is_reverse() && entry.is_masqueraded());
        assert_eq!(lab.count_flows(Table::New), 2);
        assert_eq!(lab.count_flows(Table::Assured), 0);
    });
}

#[test]
fn a_flow_is_assured_when_its_client_goes_on_after_an_answer() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let sent = lab.from_outside(&case.dial()).passed();
        let go_on = case.go_on(case.client(), case.frontend());
        lab.to_outside(&sent.answer()).counting(&[Counter::TcReply]).passed();
        assert_eq!(lab.count_flows(Table::New), 2, "an answer alone assures nothing");
        let _passed = lab.from_outside(&go_on).counting(&[Counter::AssuredFlow, Counter::TcForward]).passed();
        assert_eq!((lab.count_flows(Table::New), lab.count_flows(Table::Assured)), (0, 2));
        let _passed = lab.from_outside(&go_on).counting(&[Counter::TcForward]).passed();
        lab.to_outside(&sent.answer()).counting(&[Counter::TcReply]).passed();
        assert_eq!((lab.count_flows(Table::New), lab.count_flows(Table::Assured)), (0, 2));
    });
}

#[test]
fn what_opens_again_goes_where_it_went_first() {
    each(|case, lab| {
        let mut many = case.service(case.there());
        for number in 10..40 {
            let mut backend = case.there();
            backend.set_port(number);
            many = many.to(backend);
        }
        lab.serve(&many);
        let first = lab.from_outside(&case.dial()).redirected();
        for _ in 0..20 {
            let ran = lab.from_outside(&case.dial()).counting(&[Counter::TcForward]);
            assert_eq!(ran.redirected(), first);
        }
        assert_eq!(lab.count_flows(Table::New), 2, "what was reserved for the others is given back");
    });
}

#[test]
fn what_opens_again_goes_elsewhere_when_its_first_backend_is_gone() {
    each_of(&[Proto::TCP, Proto::SCTP], |case, lab| {
        let (service, backends) = lab.serve(&case.service(case.here()));
        let first = lab.from_outside(&case.dial()).passed();
        let mut other = case.here();
        other.set_port(9_090);
        lab.replace_backend(backends[0], case.here(), BackendFlags::GONE, 1, service);
        let (_, backends) =
            lab.serve(&lb_tests::programs::service(frontend(case.other_frontend(), case.proto)).to(other));
        lab.relist(service, &backends);
        let second =
            lab.from_outside(&case.dial()).counting(&[Counter::NewFlow, Counter::TcForward]).passed();
        assert_eq!((first.dst, second.dst), (case.here(), other));
        assert_eq!(lab.to_outside(&second.answer()).passed().src, case.frontend());
        assert_eq!(lab.count_flows(Table::New), 2, "nothing is left of the first");
    });
}

#[test]
fn half_a_flow_is_no_flow_to_whoever_opens_again() {
    each_of(&[Proto::TCP, Proto::SCTP], |case, lab| {
        let mut many = case.service(case.here());
        for number in 10..40 {
            let mut backend = case.here();
            backend.set_port(number);
            many = many.to(backend);
        }
        for _ in 0..10 {
            lab.serve(&many);
            let first = lab.from_outside(&case.dial()).passed();
            lab.remove_flow(Table::New, &key(&first.answer(), case.proto));
            let second = lab.from_outside(&case.dial()).passed();
            let answered = lab.to_outside(&second.answer()).passed();
            assert_eq!((answered.src, answered.dst), (case.frontend(), case.client()));
            lab.forget();
        }
    });
}

#[test]
fn two_packets_at_once_leave_one_flow() {
    const ROUNDS: u16 = 1_500;
    let case = Case { v4: true, proto: Proto::TCP };
    let mut lab = Lab::new();
    lab.serve(&case.service(case.here()));
    for number in 0..ROUNDS {
        let client = std::net::SocketAddr::new(case.client().ip(), 2_000 + number);
        let opened = lab.from_outside(&case.open(client, case.frontend())).passed();
        lab.to_outside(&opened.answer()).passed();
        let go_on = case.go_on(client, case.frontend());
        let said = tcp(opened.dst, opened.src, ACK).data(b"said");
        let is_answer = number % 2 == 0;
        let (hook, other) = if is_answer { (Hook::Egress, &said) } else { (Hook::Ingress, &go_on) };
        let both = [(Hook::Ingress, Device::External, &go_on), (hook, Device::External, other)];
        let [first, second] = lab.at_once(both).map(|ran| ran.passed());
        assert_eq!(first.dst, case.here());
        let expected = if is_answer { (case.frontend(), client) } else { (client, case.here()) };
        assert_eq!((second.src, second.dst), expected);
    }
    assert_eq!(lab.count_flows(Table::New), 0, "what is left in the cache is half a flow");
    assert_eq!(lab.count_flows(Table::Assured), 2 * usize::from(ROUNDS));
}

#[test]
fn a_closed_tuple_begins_a_flow_of_its_own_when_it_opens_again() {
    each_of(&[Proto::TCP, Proto::SCTP], |case, lab| {
        let (service, _) = lab.serve(&case.service(case.there()));
        let went_on = converse(lab, case, case.client(), case.frontend());
        let _closing = lab.from_outside(&case.close(case.client(), case.frontend())).redirected();
        let again = lab.from_outside(&case.dial()).counting(&[Counter::TcForward]).redirected();
        assert_eq!(again.src, went_on.src, "half closed is not closed");
        let _closing = lab.from_outside(&case.close(went_on.dst, went_on.src)).redirected();
        // Another backend by now.
        let mut other = case.there();
        other.set_port(9_090);
        let (_, backends) =
            lab.serve(&lb_tests::programs::service(frontend(case.other_frontend(), case.proto)).to(other));
        lab.replace_backend(backends[0], other, BackendFlags::IN_CLUSTER, 1, service);
        lab.relist(service, &backends);
        let ran = lab.from_outside(&case.dial()).counting(&[Counter::NewFlow, Counter::TcForward]);
        assert_eq!(ran.redirected().dst, other);
        let went_on = lab.from_outside(&case.go_on(case.client(), case.frontend())).redirected();
        assert_eq!(went_on.dst, other, "the closed flow is not in the way");
    });
}

#[test]
fn a_reset_tuple_begins_a_flow_of_its_own_when_it_opens_again() {
    let case = Case { v4: false, proto: Proto::TCP };
    for by_client in [true, false] {
        let mut lab = Lab::new();
        lab.serve(&case.service(case.there()));
        let went_on = converse(&mut lab, case, case.client(), case.frontend());
        let (src, dst) =
            if by_client { (case.client(), case.frontend()) } else { (went_on.dst, went_on.src) };
        let _reset = lab.from_outside(&tcp(src, dst, RST)).redirected();
        let ran = lab.from_outside(&case.dial()).counting(&[Counter::NewFlow, Counter::TcForward]);
        let opened = ran.redirected();
        let answered = lab.from_outside(&opened.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), case.client()));
    }
}

#[test]
fn an_open_tuple_that_opens_again_stays_the_flow_that_it_is() {
    each_of(&[Proto::TCP, Proto::SCTP], |case, lab| {
        lab.serve(&case.service(case.there()));
        let went_on = converse(lab, case, case.client(), case.frontend());
        let again = lab.from_outside(&case.dial()).counting(&[Counter::TcForward]).redirected();
        assert_eq!((again.src, again.dst), (went_on.src, went_on.dst));
    });
}

#[test]
fn an_open_tuple_whose_endpoint_is_gone_begins_a_flow_of_its_own_when_it_opens_again() {
    each_of(&[Proto::TCP, Proto::SCTP], |case, lab| {
        let (service, backends) = lab.serve(&case.service(case.here()));
        let went_on = converse(lab, case, case.client(), case.frontend());
        let mut other = case.here();
        other.set_port(9_090);
        lab.replace_backend(backends[0], case.here(), BackendFlags::GONE, 1, service);
        let (_, backends) =
            lab.serve(&lb_tests::programs::service(frontend(case.other_frontend(), case.proto)).to(other));
        lab.relist(service, &backends);
        // Whoever is connected still stays so.
        assert_eq!(lab.from_outside(&case.go_on(case.client(), case.frontend())).passed(), went_on);
        let ran = lab.from_outside(&case.dial()).counting(&[Counter::NewFlow, Counter::TcForward]);
        let opened = ran.passed();
        assert_eq!(opened.dst, other);
        assert_eq!(lab.to_outside(&opened.answer()).passed().src, case.frontend());
        assert_eq!((lab.count_flows(Table::New), lab.count_flows(Table::Assured)), (2, 0));
    });
}

#[test]
fn a_retransmission_after_the_close_is_translated_still() {
    each_of(&[Proto::TCP, Proto::SCTP], |case, lab| {
        lab.serve(&case.service(case.here()));
        let went_on = converse(lab, case, case.client(), case.frontend());
        let _closing = lab.from_outside(&case.close(case.client(), case.frontend())).passed();
        let late = case.close(went_on.dst, went_on.src);
        for _ in 0..2 {
            let ran = lab.to_outside(&late).counting(&[Counter::TcReply]);
            assert_eq!(
                ran.passed(),
                late.clone().from(case.frontend()),
                "no client sees a backend's address"
            );
        }
    });
}

#[test]
fn an_answer_after_a_reset_is_translated_still() {
    let case = Case { v4: true, proto: Proto::TCP };
    let mut lab = Lab::new();
    lab.serve(&case.service(case.here()));
    let went_on = converse(&mut lab, case, case.client(), case.frontend());
    let _reset = lab.from_outside(&tcp(case.client(), case.frontend(), RST)).passed();
    let late = tcp(went_on.dst, went_on.src, ACK).data(b"late");
    assert_eq!(lab.to_outside(&late).passed(), late.from(case.frontend()));
}

#[test]
fn a_connection_survives_the_end_of_its_frontend_and_of_its_backend_s_service() {
    each_of(&[Proto::TCP, Proto::SCTP], |case, lab| {
        let (service, backends) = lab.serve(&case.service(case.there()));
        let went_on = converse(lab, case, case.client(), case.frontend());
        lab.remove_frontend(case.frontend(), case.proto);
        lab.replace_backend(backends[0], case.there(), BackendFlags::GONE, 1, service);
        let still = lab.from_outside(&case.go_on(case.client(), case.frontend())).redirected();
        assert_eq!(still, went_on);
    });
}

#[test]
fn a_datagram_whose_backend_is_gone_goes_to_another_at_once() {
    each_of(&[Proto::UDP], |case, lab| {
        let other = at(if case.v4 { "10.244.2.6:8080" } else { "[fd00:10:244:2::6]:8080" });
        let (service, backends) = lab.serve(&case.service(case.there()).to(other));
        for gone in [BackendFlags::GONE, BackendFlags::empty()] {
            for assured in [false, true] {
                lab.relist(service, &backends[..1]);
                lab.replace_backend(backends[0], case.there(), BackendFlags::IN_CLUSTER, 1, service);
                let mut client = case.client();
                client.set_port(50_000 + u16::from(assured) * 2 + u16::from(gone == BackendFlags::GONE));
                if assured {
                    converse(lab, case, client, case.frontend());
                } else {
                    let _opened = lab.from_outside(&case.open(client, case.frontend())).redirected();
                }
                // Gone, or the id is somebody else's.
                let generation = if gone == BackendFlags::GONE { 1 } else { 2 };
                lab.replace_backend(backends[0], case.there(), gone, generation, service);
                lab.relist(service, &backends[1..]);
                let ran = lab.from_outside(&case.open(client, case.frontend())).counting(&[
                    Counter::StaleFlow,
                    Counter::NewFlow,
                    Counter::TcForward,
                ]);
                let sent = ran.redirected();
                assert_eq!(sent.dst, other);
                let ran =
                    lab.from_outside(&case.go_on(client, case.frontend())).counting(&[Counter::TcForward]);
                assert_eq!(ran.redirected().dst, other);
                let answered = lab.from_outside(&sent.answer()).redirected();
                assert_eq!((answered.src, answered.dst), (case.frontend(), client));
            }
        }
    });
}

#[test]
fn a_flow_that_lost_its_other_half_gets_it_back_from_its_client() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        let sent = lab.from_outside(&case.dial()).passed();
        lab.remove_flow(Table::New, &key(&sent.answer(), case.proto));
        lab.wait_for_another_moment();
        let _passed = lab.from_outside(&case.go_on(case.client(), case.frontend())).passed();
        let answer = sent.answer();
        assert_eq!(lab.to_outside(&answer).passed(), answer.from(case.frontend()));
    });
}

#[test]
fn a_flow_lives_on_among_the_new_where_the_assured_have_no_room() {
    let case = Case { v4: true, proto: Proto::UDP };
    let mut lab = Lab::with_sizes(&[("FLOWS", 4)]);
    lab.serve(&case.service(case.there()));
    let mut answers = Vec::new();
    for port in 0..10 {
        let mut client = case.client();
        client.set_port(40_000 + port);
        answers.push((client, converse(&mut lab, case, client, case.frontend()).answer()));
    }
    assert_eq!(lab.count_flows(Table::Assured), 4);
    assert_eq!(lab.count_flows(Table::New), 16);
    for (client, answer) in answers {
        let answered = lab.from_outside(&answer).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), client));
    }
}

#[test]
fn each_flow_has_a_source_of_its_own_and_backends_share_the_load() {
    let case = Case { v4: true, proto: Proto::UDP };
    let mut lab = Lab::new();
    let mut backends = service(case.served());
    for number in 1..=10 {
        backends = backends.to(at(&format!("10.244.2.{number}:8080")));
    }
    lab.serve(&backends);
    let mut counts = std::collections::BTreeMap::<_, u32>::new();
    let mut tuples = HashSet::new();
    for port in 1..=2_000 {
        let mut client = case.client();
        client.set_port(port);
        let sent = lab.from_outside(&udp(client, case.frontend(), b"?")).redirected();
        *counts.entry(sent.dst).or_default() += 1;
        assert!(tuples.insert((sent.src, sent.dst)), "twice");
    }
    // Five standard deviations of a binomial of 2,000 and 1/10: 67.
    assert!(counts.len() == 10 && counts.values().all(|count| (133..=267).contains(count)), "{counts:?}");
}

#[test]
fn entries_say_what_was_seen_and_when() {
    let case = Case { v4: true, proto: Proto::TCP };
    let mut lab = Lab::new();
    let (service, backends) = lab.serve(&case.service(case.here()));
    let dial = case.dial();
    converse(&mut lab, case, case.client(), case.frontend());
    let _closing = lab.from_outside(&case.close(case.client(), case.frontend())).passed();
    let entry = lab.flow(Table::Assured, &key(&dial, case.proto)).expect("an entry");
    assert_eq!((entry.service(), entry.backend(), entry.generation()), (service, backends[0], 1));
    let seen = Seen::PACKET.with(Seen::OPEN).with(Seen::ANSWERED).with(Seen::CLOSE);
    assert_eq!(entry.seen(), seen);
    let now = Moment::from_ns(lb_tests::wire::monotonic());
    assert!(now.seconds_since(entry.last()) < 5 && now.seconds_since(entry.created()) < 5);
    assert!(entry.last() > Moment::default());
    let answers =
        lab.flow(Table::Assured, &key(&dial.to(case.here()).answer(), case.proto)).expect("an entry");
    assert_eq!(answers.seen(), Seen::PACKET.with(Seen::ACCEPT));
}
