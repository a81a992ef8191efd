//! Every counter of the packet path is moved by something.

use lb_common::{BackendFlags, Counter, FrontendFlags, NodeFlags, PortRange, Proto, RangeSet};
use lb_tests::packet::{RST, echo, icmp, tcp};
use lb_tests::programs::{Device, Hook, Lab, service};

use crate::case::{Case, converse, ip};

const TCP: Case = Case { v4: true, proto: Proto::TCP };
const UDP: Case = Case { v4: true, proto: Proto::UDP };
const SCTP: Case = Case { v4: true, proto: Proto::SCTP };

/// What a packet of a client counts, on a node that serves one backend.
fn dialling(case: Case, backend: std::net::SocketAddr) -> Vec<Counter> {
    let mut lab = Lab::new();
    lab.serve(&case.service(backend));
    lab.from_outside(&case.dial()).counts().to_vec()
}

/// A way to move a counter, for each that the packet path has.
fn moved_by(counter: Counter) -> Vec<Counter> {
    let mut lab = Lab::new();
    let (client, frontend) = (TCP.client(), TCP.frontend());
    match counter {
        Counter::TcForward | Counter::NewFlow => dialling(TCP, TCP.here()),
        Counter::TcReply => {
            lab.serve(&TCP.service(TCP.here()));
            let answer = lab.from_outside(&TCP.dial()).passed().answer();
            lab.to_outside(&answer).counts().to_vec()
        }
        Counter::AssuredFlow | Counter::FlowTableFull => {
            let mut lab = Lab::with_sizes(&[("FLOWS", if counter == Counter::AssuredFlow { 2 } else { 1 })]);
            lab.serve(&UDP.service(UDP.here()));
            let answer = lab.from_outside(&UDP.dial()).passed().answer();
            let _answered = lab.to_outside(&answer).passed();
            lab.from_outside(&UDP.dial()).counts().to_vec()
        }
        Counter::MasqueradeExhausted => {
            lab.node_with_ports(NodeFlags::empty(), [PortRange::EMPTY; 2]);
            lab.serve(&TCP.service(TCP.there()));
            lab.from_outside(&TCP.dial()).counts().to_vec()
        }
        Counter::RefusedRst | Counter::RefusedIcmp => {
            let case = if counter == Counter::RefusedRst { TCP } else { UDP };
            lab.serve(&service(case.served()));
            lab.from_outside(&case.dial()).counts().to_vec()
        }
        Counter::EchoAnswered => {
            lab.guard(frontend.ip(), FrontendFlags::PING_ONLY);
            lab.from_outside(&echo(client.ip(), frontend.ip())).counts().to_vec()
        }
        Counter::FragmentUnknown => {
            lab.guard(frontend.ip(), FrontendFlags::default());
            lab.from_outside(&UDP.dial().data(&[0; 80]).fragments(1, 40)[1]).counts().to_vec()
        }
        Counter::TtlExpired | Counter::TooBig => {
            lab.serve(&UDP.service(UDP.narrow()));
            let dial = UDP.dial().dont_fragment();
            let dial = if counter == Counter::TooBig { dial.data(&[0; 1_450]) } else { dial.ttl(1) };
            lab.from_outside(&dial).counts().to_vec()
        }
        Counter::Malformed => {
            lab.serve(&SCTP.service(SCTP.here()));
            lab.from_outside(&SCTP.dial().data(&[0; 80]).fragments(1, 40)[0]).counts().to_vec()
        }
        Counter::NoRoute => dialling(TCP, TCP.nowhere()),
        Counter::NoFlow | Counter::Unanswered => {
            lab.serve(&TCP.service(TCP.here()));
            lab.from_outside(&tcp(client, frontend, RST)).counts().to_vec()
        }
        Counter::IcmpError => {
            lab.serve(&TCP.service(TCP.here()));
            let sent = converse(&mut lab, TCP, client, frontend).answer().from(frontend);
            let error = icmp(ip("192.0.2.1"), frontend.ip(), 3, 1, 0, &sent.ip_bytes());
            lab.from_outside(&error).counts().to_vec()
        }
        Counter::StaleFlow => {
            let (id, backends) = lab.serve(&UDP.service(UDP.here()));
            converse(&mut lab, UDP, client, frontend);
            lab.replace_backend(backends[0], UDP.here(), BackendFlags::GONE, 1, id);
            lab.from_outside(&UDP.dial()).counts().to_vec()
        }
        Counter::UnallocatedAddress => {
            lab.node(NodeFlags::CLUSTER_IP_RANGES);
            lab.add_range(RangeSet::CLUSTER_IPS, ip("10.96.0.0"), 16);
            lab.from_outside(&TCP.dial()).counts().to_vec()
        }
        Counter::ForgedSource => {
            lab.serve(&TCP.service(TCP.here()));
            let source = std::net::SocketAddr::new(TCP.node(), 40_000);
            lab.from_outside(&TCP.open(source, frontend)).counts().to_vec()
        }
        Counter::AnswerLimited => {
            lab.serve(&service(UDP.served()));
            let (frame, mut out) = (UDP.dial().bytes(), Vec::new());
            // As many as it takes on a machine that is busy with other things.
            for _ in 0..1_000 {
                for _ in 0..200 {
                    lab.pour(Hook::Ingress, Device::External, &frame, &mut out);
                }
                let ran = lab.from_outside(&UDP.dial());
                if ran.counts().contains(&Counter::AnswerLimited) {
                    return ran.counts().to_vec();
                }
            }
            Vec::new()
        }
        other => panic!("{other}: no way to move it is known here"),
    }
}

#[test]
fn every_counter_of_the_packet_path_is_moved_by_something() {
    for counter in Counter::ALL {
        if counter >= Counter::TcForward {
            let moved = moved_by(counter);
            assert!(moved.contains(&counter), "{counter} was not moved, but {moved:?}");
        }
    }
}
