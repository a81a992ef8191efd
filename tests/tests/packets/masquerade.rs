//! Ports to masquerade with: unique, enough, never a socket's, and what becomes of it when they run out.

use std::collections::HashSet;
use std::net::{TcpListener, UdpSocket};

use lb_common::{Counter, NodeFlags, PortRange, Proto};
use lb_tests::packet::Packet;
use lb_tests::programs::{Device, Hook, Lab, Table, Verdict};

use crate::case::{Case, each_of};

/// Opens a flow of each of `count` clients, and gives how many were sent on and the sources they were given.
fn open_many(
    lab: &mut Lab,
    case: Case,
    count: u32,
) -> (u32, HashSet<(std::net::SocketAddr, std::net::SocketAddr)>) {
    let (mut sent, mut sources, mut out) = (0, HashSet::new(), Vec::new());
    for number in 0..count {
        let mut client = case.client();
        client.set_port((number % 50_000) as u16 + 1_024);
        if number >= 50_000 {
            client.set_ip("192.0.2.77".parse().expect("an address"));
        }
        let frame = case.open(client, case.frontend()).bytes();
        if lab.pour(Hook::Ingress, Device::External, &frame, &mut out) == Verdict::Redirect {
            sent += 1;
            let packet = Packet::read(&out).unwrap_or_else(|error| panic!("{error}"));
            assert!(sources.insert((packet.src, packet.dst)), "{} was given twice", packet.src);
        }
    }
    (sent, sources)
}

#[test]
fn thirty_thousand_flows_to_one_backend_have_a_port_each() {
    let case = Case { v4: true, proto: Proto::UDP };
    let mut lab = Lab::new();
    let (_, backends) = lab.serve(&case.service(case.there()));
    let (sent, sources) = open_many(&mut lab, case, 30_000);
    assert_eq!((sent, sources.len()), (30_000, 30_000));
    assert_eq!(lab.exhausted(backends[0]), 0);
    assert_eq!(lab.count_flows(Table::New), 60_000);
}

#[test]
fn ports_that_run_out_are_counted_for_their_backend_and_for_it_alone() {
    let case = Case { v4: true, proto: Proto::UDP };
    let mut lab = Lab::new();
    let ports = [PortRange::new(20_000, 20_599), PortRange::EMPTY];
    lab.node_with_ports(NodeFlags::FIB_SOURCE, ports);
    let (_, backends) = lab.serve(&case.service(case.there()));
    let (sent, _) = open_many(&mut lab, case, 900);
    assert!((540..=600).contains(&sent), "{sent} of 600 ports given away");
    let mut client = case.client();
    let mut refused = 0;
    for port in 100..200 {
        client.set_port(port);
        let ran = lab.from_outside(&case.open(client, case.frontend()));
        if ran.verdict() == Verdict::Drop {
            ran.counting(&[Counter::MasqueradeExhausted]).dropped();
            refused += 1;
        }
    }
    assert!(refused >= 40, "{refused}");
    assert_eq!(lab.exhausted(backends[0]), u64::from(900 - sent) + refused);
    // Another backend has all its ports still.
    let mut other = case;
    other.v4 = false;
    let (_, backends) = lab.serve(&other.service(other.there()));
    let _sent = lab.from_outside(&other.dial()).redirected();
    assert_eq!(lab.exhausted(backends[0]), 0);
}

#[test]
fn a_port_that_a_socket_of_the_node_has_is_never_given_away() {
    // 512 ports, of which all but 12 are the node's own sockets'.
    for proto in [Proto::TCP, Proto::UDP] {
        let case = Case { v4: true, proto };
        let mut lab = Lab::new();
        lab.node_with_ports(NodeFlags::FIB_SOURCE, [PortRange::new(20_000, 20_511), PortRange::EMPTY]);
        lab.serve(&case.service(case.there()));
        let taken = 20_000..=20_499;
        let node = case.node();
        let _listeners: Vec<_> = match proto {
            Proto::TCP => taken.clone().map(|port| TcpListener::bind((node, port)).map(drop_none)).collect(),
            _ => taken.clone().map(|port| UdpSocket::bind((node, port)).map(drop_none)).collect(),
        };
        let (_, sources) = open_many(&mut lab, case, 100);
        for (source, _) in &sources {
            assert!(!taken.contains(&source.port()), "{source} is a socket's");
        }
        assert!(!sources.is_empty() && sources.len() <= 12, "{}", sources.len());
    }
}

/// Keeps a socket whose type is of no interest.
fn drop_none<T: 'static>(socket: T) -> Box<dyn std::any::Any> {
    Box::new(socket)
}

#[test]
fn a_client_that_keeps_its_address_keeps_its_port_unless_it_is_taken() {
    each_of(&[Proto::TCP, Proto::UDP], |case, mut lab| {
        lab.serve(&case.service(case.here()));
        lab.serve(
            &lb_tests::programs::service(lb_tests::programs::frontend(case.other_frontend(), case.proto))
                .to(case.here()),
        );
        let first = lab.from_outside(&case.dial()).passed();
        assert_eq!(first.src, case.client());
        let second = lab.from_outside(&case.open(case.client(), case.other_frontend())).passed();
        assert_eq!(second.src.ip(), case.client().ip());
        assert_ne!(second.src.port(), case.client().port());
    });
}
