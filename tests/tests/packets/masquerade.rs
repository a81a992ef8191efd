//! Ports to masquerade with: unique, enough, never a socket's, and what becomes of it when they run out.

use std::any::Any;
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use lb_common::{Counter, FlowKey, Moment, NodeFlags, PortRange, Proto, Seen};
use lb_tests::packet::Packet;
use lb_tests::programs::{Device, Hook, Lab, Table, Verdict, frontend, service};

use crate::case::{Case, converse, each_of, ip, key};

const UDP: Case = Case { v4: true, proto: Proto::UDP };

/// The client of that number.
fn client(number: u16) -> SocketAddr {
    SocketAddr::new(UDP.client().ip(), 1_024 + number)
}

/// A packet of a client, with neither counters nor checks.
fn send(lab: &mut Lab, packet: &Packet) -> Option<Packet> {
    let mut out = Vec::new();
    match lab.pour(Hook::Ingress, Device::External, &packet.bytes(), &mut out) {
        Verdict::Redirect => Some(Packet::read(&out).unwrap_or_else(|error| panic!("{error}"))),
        _ => None,
    }
}

/// Opens a flow of a client, and gives what its backend was sent.
fn open(lab: &mut Lab, case: Case, number: u16) -> Option<Packet> {
    send(lab, &case.open(client(number), case.frontend()))
}

/// Opens a flow and assures it.
fn assure(lab: &mut Lab, case: Case, number: u16) -> Option<Packet> {
    let opened = open(lab, case, number)?;
    send(lab, &opened.answer()).expect("an answer of a flow");
    send(lab, &case.go_on(client(number), case.frontend()))
}

fn narrow(lab: &mut Lab, first: u16, last: u16) {
    lab.node_with_ports(NodeFlags::FIB_SOURCE, [PortRange::new(first, last), PortRange::EMPTY]);
}

#[test]
fn thirty_thousand_flows_to_one_backend_have_a_port_each() {
    let mut lab = Lab::new();
    let (_, backends) = lab.serve(&UDP.service(UDP.there()));
    let mut sources = HashSet::new();
    for number in 0..30_000 {
        let sent = assure(&mut lab, UDP, number).unwrap_or_else(|| panic!("no port for flow {number}"));
        assert!(sources.insert(sent.src), "{} was given twice", sent.src);
    }
    assert_eq!(lab.exhausted(backends[0]), 0);
    assert_eq!((lab.count_flows(Table::Assured), lab.count_flows(Table::New)), (60_000, 0));
}

#[test]
fn ports_that_run_out_are_counted_for_their_backend_and_for_it_alone() {
    let mut lab = Lab::new();
    narrow(&mut lab, 20_000, 20_599);
    let (_, backends) = lab.serve(&UDP.service(UDP.there()));
    let (_, others) = lab.serve(&service(frontend(UDP.other_frontend(), UDP.proto)).to(UDP.narrow()));
    let mut sources = HashSet::new();
    let mut refused = 0;
    for number in 0..900 {
        match assure(&mut lab, UDP, number) {
            Some(sent) => assert!(sources.insert(sent.src), "{} was given twice", sent.src),
            None => refused += 1,
        }
    }
    assert!((590..=600).contains(&sources.len()), "{} of 600 ports given away", sources.len());
    assert_eq!(lab.exhausted(backends[0]), refused);
    let mut late = None;
    for number in 900..1_000 {
        let ran = lab.from_outside(&UDP.open(client(number), UDP.frontend()));
        if ran.verdict() == Verdict::Drop {
            late = Some(ran);
        }
    }
    late.expect("a full range").counting(&[Counter::MasqueradeExhausted]).dropped();
    // Another backend has all its ports still.
    let dial = UDP.open(UDP.client(), UDP.other_frontend());
    let _sent = lab.from_outside(&dial).counting(&[Counter::NewFlow, Counter::TcForward]).redirected();
    assert_eq!(lab.exhausted(others[0]), 0);
}

#[test]
fn what_opens_takes_a_port_of_what_never_went_on_and_never_one_of_what_did() {
    let mut lab = Lab::new();
    narrow(&mut lab, 20_000, 20_599);
    let (_, backends) = lab.serve(&UDP.service(UDP.there()));
    let assured: Vec<_> = (0..300).filter_map(|number| assure(&mut lab, UDP, number)).collect();
    assert_eq!(assured.len(), 300);
    for number in 1_000..2_500 {
        assert!(open(&mut lab, UDP, number).is_some(), "flow {number}");
        if number % 500 == 0 {
            lab.wait_for_another_moment();
        }
    }
    assert_eq!(lab.exhausted(backends[0]), 0);
    assert_eq!(lab.count_flows(Table::Assured), 600);
    for (number, sent) in (0..).zip(&assured) {
        let answered = lab.from_outside(&sent.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (UDP.frontend(), client(number)));
    }
    // Both halves of a flow that lost its port are gone with it: nobody's answer reaches another.
    let new = lab.flows(Table::New);
    assert!(new.len() <= 600, "{}", new.len());
    for (tuple, flow) in &new {
        let counterpart = lab.flow(Table::New, &tuple.counterpart(flow)).expect("the other half");
        assert_eq!(tuple.counterpart(flow).counterpart(&counterpart), *tuple);
    }
}

#[test]
fn a_client_whose_port_was_taken_gets_another() {
    let mut lab = Lab::new();
    narrow(&mut lab, 20_000, 20_599);
    lab.serve(&UDP.service(UDP.there()));
    for number in 0..1_200 {
        assert!(open(&mut lab, UDP, number).is_some(), "flow {number}");
    }
    let sent = open(&mut lab, UDP, 0).expect("a port");
    let answered = lab.from_outside(&sent.answer()).redirected();
    assert_eq!((answered.src, answered.dst), (UDP.frontend(), client(0)));
    assert!(lab.flow(Table::New, &key(&sent.answer(), Proto::UDP)).is_some());
}

#[test]
fn answers_to_ports_that_are_no_longer_given_away_are_translated_krn_04() {
    each_of(&[Proto::TCP, Proto::UDP], |case, lab| {
        narrow(lab, 20_000, 20_599);
        lab.serve(&case.service(case.there()));
        let went_on = converse(lab, case, case.client(), case.frontend());
        narrow(lab, 65_001, 65_535);
        let answered = lab.from_outside(&went_on.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), case.client()));
        let still = lab.from_outside(&case.go_on(case.client(), case.frontend())).redirected();
        assert_eq!(still, went_on);
        let mut other = case.client();
        other.set_port(50_000);
        assert!(lab.from_outside(&case.open(other, case.frontend())).redirected().src.port() > 65_000);
    });
}

#[test]
fn a_port_that_a_socket_of_the_node_has_is_never_given_away() {
    for proto in [Proto::TCP, Proto::UDP] {
        let case = Case { proto, ..UDP };
        let mut lab = Lab::new();
        narrow(&mut lab, 20_000, 20_511);
        lab.serve(&case.service(case.there()));
        let taken = 20_000..=20_499;
        let sockets: Vec<_> =
            taken.clone().map(|port| bind(SocketAddr::new(case.node(), port), proto)).collect();
        assert_eq!(sockets.len(), 500);
        let sources: Vec<_> = (0..200).filter_map(|number| open(&mut lab, case, number)).collect();
        for sent in &sources {
            assert!(!taken.contains(&sent.src.port()), "{} is a socket's", sent.src);
        }
        assert!(!sources.is_empty());
        assert!(lab.count_flows(Table::New) <= 2 * 12, "a port for each that is not a socket's");
    }
}

/// A socket of the node.
#[track_caller]
fn bind(addr: SocketAddr, proto: Proto) -> Box<dyn Any> {
    match proto {
        Proto::TCP => Box::new(TcpListener::bind(addr).expect("a free port")),
        _ => Box::new(UdpSocket::bind(addr).expect("a free port")),
    }
}

#[test]
fn a_client_that_keeps_its_address_keeps_its_port_unless_it_is_taken() {
    each_of(&[Proto::TCP, Proto::UDP], |case, lab| {
        lab.serve(&case.service(case.here()).and(frontend(case.other_frontend(), case.proto)));
        let first = lab.from_outside(&case.dial()).passed();
        assert_eq!(first.src, case.client());
        let second = lab.from_outside(&case.open(case.client(), case.other_frontend())).passed();
        assert_eq!(second.src.ip(), case.client().ip());
        assert_ne!(second.src.port(), case.client().port());
    });
}

#[test]
fn the_source_is_the_route_s_where_the_kernel_tells_it_and_answers_to_it_are_known_for_ours() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.there()));
        let configured = ip(if case.v4 { "192.168.50.1" } else { "fd00:192:168:50::1" });
        lab.masquerade_as(configured, NodeFlags::empty());
        let mut client = case.client();
        let mut source = |lab: &mut Lab| {
            client.set_port(client.port() + 1);
            lab.from_outside(&case.open(client, case.frontend())).redirected().src.ip()
        };
        assert_eq!(source(lab), configured);
        lab.masquerade_as(configured, NodeFlags::FIB_SOURCE);
        assert_eq!(source(lab), case.node());
        // The route's source is no address of the node that is known: answers to it would be lost.
        lab.forget();
        lab.serve(&case.service(case.there()));
        lab.masquerade_as(configured, NodeFlags::FIB_SOURCE);
        lab.disown_addresses();
        assert_eq!(source(lab), configured);
    });
}

#[test]
fn a_node_that_is_not_described_yet_masquerades_nothing() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.there()));
        lab.masquerade_as(ip(if case.v4 { "::" } else { "0.0.0.0" }), NodeFlags::empty());
        lab.from_outside(&case.dial()).counting(&[Counter::NoRoute]).dropped();
    });
}

#[test]
fn what_opens_takes_a_port_of_what_was_closed_and_has_rested_and_never_one_of_what_is_open() {
    let case = Case { proto: Proto::TCP, ..UDP };
    let mut lab = Lab::new();
    narrow(&mut lab, 20_000, 20_599);
    lab.serve(&case.service(case.there()));
    let (mut open_ones, mut closed_ports) = (Vec::new(), HashSet::new());
    let assured: Vec<_> = (0..900).map(|number| (number, assure(&mut lab, case, number))).collect();
    for (number, sent) in assured {
        let Some(sent) = sent else { continue };
        if number % 2 == 0 {
            open_ones.push((number, sent));
            continue;
        }
        send(&mut lab, &case.close(client(number), case.frontend())).expect("a FIN");
        send(&mut lab, &case.close(sent.dst, sent.src)).expect("a FIN");
        closed_ports.insert(sent.src.port());
        rest(&mut lab, &key(&case.dial().from(client(number)), case.proto));
        rest(&mut lab, &key(&sent.answer(), case.proto));
    }
    let mut taken = 0;
    for number in 2_000..2_100 {
        let sent = open(&mut lab, case, number).unwrap_or_else(|| panic!("no port for flow {number}"));
        taken += u32::from(closed_ports.contains(&sent.src.port()));
    }
    assert!(taken >= 80, "{taken} of 100 have the port of a closed connection");
    for (number, sent) in &open_ones {
        let answered = lab.from_outside(&sent.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), client(*number)));
    }
}

/// Makes a direction of a flow have had its last packet some seconds ago.
fn rest(lab: &mut Lab, tuple: &FlowKey) {
    let earlier = Moment::from_ns(lb_tests::wire::monotonic() - 5_000_000_000);
    let mut flow = lab.flow(Table::Assured, tuple).expect("an assured flow");
    flow.touch(Seen::PACKET, earlier);
    lab.put_flow(Table::Assured, tuple, &flow);
}
