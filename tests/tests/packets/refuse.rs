//! Packets that can't be served: answered in the way that their client understands, or dropped.

use std::net::SocketAddr;
use std::time::Instant;

use lb_common::limit::{ANSWERS_A_SECOND, ANSWERS_AT_ONCE};
use lb_common::{BackendId, Counter, FilterBit, FrontendFlags, NodeFlags, Port, Proto, RangeSet};
use lb_tests::packet::{ACK, Body, FIN, HERE, PEER, Packet, RST, SYN, icmp, sctp, tcp};
use lb_tests::programs::{Device, Hook, Lab, Table, Verdict, service};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use crate::case::{Case, each, each_of, ip};

/// Ethernet addresses of what goes back to the peer.
const BACK: [[u8; 6]; 2] = [PEER, HERE];

/// The packet that refuses `packet`, from whom it was for.
fn refusal(packet: &Packet) -> Packet {
    let mut refusal = match &packet.body {
        Body::Tcp { flags, sequence, acknowledged, data } => {
            let mut reset = tcp(packet.dst, packet.src, if flags & ACK == 0 { RST | ACK } else { RST });
            let phantom = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            let numbers = if flags & ACK == 0 {
                (0, sequence + data.len() as u32 + phantom)
            } else {
                (*acknowledged, 0)
            };
            if let Body::Tcp { sequence, acknowledged, .. } = &mut reset.body {
                (*sequence, *acknowledged) = numbers;
            }
            reset
        }
        _ => unreachable(packet),
    };
    refusal.ethernet = BACK;
    refusal.dont_fragment = packet.is_v4();
    refusal
}

/// The ICMP error «port unreachable».
fn unreachable(packet: &Packet) -> Packet {
    let mut quoted = packet.ip_bytes();
    quoted.truncate(quoted.len() & !3);
    let (kind, code) = if packet.is_v4() { (3, 3) } else { (1, 4) };
    icmp(packet.dst.ip(), packet.src.ip(), kind, code, 0, &quoted)
}

const fn counter(proto: Proto) -> Counter {
    match proto {
        Proto::TCP => Counter::RefusedRst,
        _ => Counter::RefusedIcmp,
    }
}

#[test]
fn a_service_without_endpoints_refuses() {
    each(|case, lab| {
        lab.serve(&service(case.served()));
        let dial = case.dial();
        let ran = lab.from_outside(&dial).counting(&[Counter::NoEndpoint, counter(case.proto)]);
        assert_eq!(ran.redirected(), refusal(&dial));
        let ran = lab.from_pod(&dial).counting(&[Counter::NoEndpoint, counter(case.proto)]);
        assert_eq!(ran.redirected(), refusal(&dial));
    });
}

#[test]
fn a_port_that_no_service_has_on_its_address_is_refused() {
    each(|case, lab| {
        lab.serve(&case.service(case.here()));
        lab.guard(case.frontend().ip(), FrontendFlags::default());
        let mut wrong = case.frontend();
        wrong.set_port(81);
        let dial = case.open(case.client(), wrong);
        let ran = lab.from_outside(&dial).counting(&[Counter::UnknownPort, counter(case.proto)]);
        assert_eq!(ran.redirected(), refusal(&dial));
    });
}

#[test]
fn a_port_of_an_address_that_is_guarded_for_echo_only_is_not_touched() {
    each(|case, lab| {
        lab.guard(case.frontend().ip(), FrontendFlags::PING_ONLY);
        lab.from_outside(&case.dial()).untouched();
    });
}

#[test]
fn a_service_without_endpoints_on_this_node_is_silent_where_policy_is_local() {
    each(|case, lab| {
        lab.serve(&case.service_with(FrontendFlags::OUTSIDE_LOCAL, case.there()));
        lab.from_outside(&case.dial()).counting(&[Counter::NoLocalEndpoint]).dropped();
    });
}

#[test]
fn local_policy_is_for_clients_outside_or_inside_as_its_flag_says() {
    each(|case, lab| {
        lab.node(NodeFlags::POD_DEVICES.with(NodeFlags::POD_RANGES).with(NodeFlags::FIB_SOURCE));
        lab.add_range(
            RangeSet::PODS,
            ip(if case.v4 { "10.244.0.0" } else { "fd00:10:244::" }),
            if case.v4 { 16 } else { 48 },
        );
        lab.serve(&case.service_with(FrontendFlags::INSIDE_LOCAL, case.there()));
        let _sent =
            lab.from_outside(&case.dial()).counting(&[Counter::NewFlow, Counter::TcForward]).redirected();
        let mut pod = case.there();
        pod.set_port(40_001);
        // A pod of another node, and one of this node.
        lab.from_outside(&case.open(pod, case.frontend())).counting(&[Counter::NoLocalEndpoint]).dropped();
        lab.from_pod(&case.open(case.client(), case.frontend()).from(pod))
            .counting(&[Counter::NoLocalEndpoint])
            .dropped();
    });
}

#[test]
fn what_refuses_a_segment_says_what_it_refuses() {
    for v4 in [true, false] {
        let case = Case { v4, proto: Proto::TCP };
        let mut lab = Lab::new();
        lab.serve(&service(case.served()));
        let dial = |flags| tcp(case.client(), case.frontend(), flags);
        let syn_with_data = dial(SYN).data(b"fast open");
        assert_eq!(lab.from_outside(&syn_with_data).redirected(), refusal(&syn_with_data));
        for flags in [ACK, FIN | ACK, SYN | ACK, FIN] {
            let segment = dial(flags).data(b"some data");
            let ran = lab.from_outside(&segment).counting(&[Counter::NoFlow, Counter::RefusedRst]);
            assert_eq!(ran.redirected(), refusal(&segment), "{flags:#x}");
        }
        lab.from_outside(&dial(RST)).counting(&[Counter::NoFlow, Counter::Unanswered]).dropped();
        lab.from_outside(&dial(RST | ACK)).counting(&[Counter::NoFlow, Counter::Unanswered]).dropped();
    }
}

#[test]
fn a_segment_of_no_flow_to_a_served_frontend_is_reset() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.here()));
        let segment = case.go_on(case.client(), case.frontend());
        let ran = lab.from_outside(&segment).counting(&[Counter::NoFlow, Counter::RefusedRst]);
        assert_eq!(ran.redirected(), refusal(&segment));
    });
}

#[test]
fn an_sctp_packet_of_no_flow_is_dropped() {
    each_of(&[Proto::SCTP], |case, lab| {
        lab.serve(&case.service(case.here()));
        lab.from_outside(&sctp(case.client(), case.frontend(), 0)).counting(&[Counter::NoFlow]).dropped();
    });
}

#[test]
fn a_refusal_quotes_as_much_as_fits() {
    each_of(&[Proto::UDP], |case, lab| {
        lab.serve(&service(case.served()));
        let dial = case.dial().data(&[0x5a; 1_450]);
        let refused = lab.from_outside(&dial).redirected();
        let (most, quoted) = if case.v4 { (576, 548) } else { (1_280, 1_232) };
        assert_eq!(refused.ip_bytes().len(), most);
        let Body::Icmp { data, .. } = &refused.body else { panic!("{refused:?}") };
        assert_eq!(data[..], dial.ip_bytes()[..quoted]);
    });
}

#[test]
fn an_unallocated_address_of_services_is_dropped_where_their_network_is_known() {
    each(|case, lab| {
        let unallocated = if case.v4 { "10.96.7.7" } else { "fd00:10:96::77" };
        let mut frontend = case.frontend();
        frontend.set_ip(ip(unallocated));
        let dial = case.open(case.client(), frontend);
        lab.from_outside(&dial).untouched();
        lab.node(NodeFlags::CLUSTER_IP_RANGES);
        lab.add_range(
            RangeSet::CLUSTER_IPS,
            ip(if case.v4 { "10.96.0.0" } else { "fd00:10:96::" }),
            if case.v4 { 16 } else { 108 },
        );
        lab.from_outside(&dial).counting(&[Counter::UnallocatedAddress]).dropped();
        lab.from_pod(&dial).counting(&[Counter::UnallocatedAddress]).dropped();
    });
}

#[test]
fn bits_that_are_set_by_chance_let_nothing_by() {
    each_of(&[Proto::TCP, Proto::UDP], |case, lab| {
        let mut elsewhere = case.frontend();
        elsewhere.set_port(81);
        let unallocated = SocketAddr::new(ip(if case.v4 { "10.96.7.7" } else { "fd00:10:96::77" }), 81);
        lab.set_by_chance(FilterBit::masquerade_port(Port::new(81)));
        for addr in [elsewhere, unallocated] {
            lab.set_by_chance(FilterBit::node_address(addr.ip().into()));
        }
        lab.guard(case.frontend().ip(), FrontendFlags::default());
        lab.node(NodeFlags::CLUSTER_IP_RANGES);
        let network = if case.v4 { ("10.96.0.0", 16) } else { ("fd00:10:96::", 108) };
        lab.add_range(RangeSet::CLUSTER_IPS, ip(network.0), network.1);
        let ran = lab.from_outside(&case.open(case.client(), elsewhere));
        assert!(ran.counts().contains(&Counter::UnknownPort), "{:?}", ran.counts());
        let _refusal = ran.redirected();
        let ran = lab.from_outside(&case.open(case.client(), unallocated));
        ran.counting(&[Counter::UnallocatedAddress]).dropped();
    });
}

#[test]
fn what_the_maps_contradict_themselves_about_is_dropped_so_that_its_client_sends_again() {
    each(|case, lab| {
        let (service, backends) = lab.serve(&case.service(case.here()));
        // A slot of the list leads to nobody: the list was changed while it was read.
        lab.relist(service, &[BackendId::from_number(999)]);
        lab.from_outside(&case.dial()).counting(&[Counter::Inconsistent]).dropped();
        assert_eq!(lab.count_flows(Table::New), 0);
        lab.relist(service, &backends);
        assert_eq!(lab.from_outside(&case.dial()).passed().dst, case.here());
    });
}

#[test]
fn a_refused_packet_with_ip_options_is_refused_without_following_them() {
    let case = Case { v4: true, proto: Proto::TCP };
    let mut lab = Lab::new();
    lab.serve(&service(case.served()));
    // Record route (RFC 791 §3.1).
    let dial = case.dial().options(&[7, 7, 4, 192, 0, 2, 1, 0]);
    let refused = lab.from_outside(&dial).redirected();
    assert_eq!(refused, refusal(&dial).options(&[1; 8]));
}

#[test]
fn an_icmp_message_that_asks_nothing_is_never_answered() {
    // RFC 1122 §3.2.2, RFC 4443 §2.4 (e): a redirect, an error not known yet, an answer nobody asked for.
    each_of(&[Proto::UDP], |case, lab| {
        lab.guard(case.frontend().ip(), FrontendFlags::default());
        let kinds: &[u8] = if case.v4 { &[0, 5] } else { &[100, 129, 137] };
        for &kind in kinds {
            let message = icmp(case.client().ip(), case.frontend().ip(), kind, 0, 0, &case.dial().ip_bytes());
            lab.from_outside(&message).counting(&[Counter::UnknownPort]).dropped();
        }
    });
}

#[test]
fn a_packet_that_no_host_can_have_sent_is_never_answered() {
    each(|case, lab| {
        lab.serve(&service(case.served()));
        let sources: &[&str] = if case.v4 {
            &["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"]
        } else {
            &["::", "::1", "ff02::1"]
        };
        for source in sources {
            let mut client = case.client();
            client.set_ip(ip(source));
            lab.from_outside(&case.open(client, case.frontend())).untouched();
        }
    });
}

/// Answers are counted on each processor by itself.
fn stay_on_this_processor() {
    let mut here = CpuSet::new();
    here.set(sched_getcpu().expect("a processor")).expect("its number");
    sched_setaffinity(Pid::from_raw(0), &here).expect("it may run here");
}

#[test]
fn a_flood_of_what_is_to_be_answered_by_icmp_is_answered_now_and_then() {
    stay_on_this_processor();
    for v4 in [true, false] {
        let case = Case { v4, proto: Proto::UDP };
        let mut lab = Lab::new();
        lab.serve(&service(case.served()));
        let frame = case.dial().bytes();
        let (mut out, mut answered) = (Vec::new(), 0);
        let begun = Instant::now();
        for _ in 0..20_000 {
            answered +=
                u32::from(lab.pour(Hook::Ingress, Device::External, &frame, &mut out) == Verdict::Redirect);
        }
        let most = ANSWERS_AT_ONCE + ANSWERS_A_SECOND * (begun.elapsed().as_secs() as u32 + 1);
        assert!((ANSWERS_AT_ONCE..=most).contains(&answered), "{answered} of at most {most}");
        assert!(answered < 20_000);
        // A refusal by RST costs its sender as much as us, and says what a client must know.
        let tcp = Case { v4, proto: Proto::TCP };
        lab.serve(&service(tcp.served()));
        for _ in 0..200 {
            let verdict = lab.pour(Hook::Ingress, Device::External, &tcp.dial().bytes(), &mut out);
            assert_eq!(verdict, Verdict::Redirect);
        }
    }
}

#[test]
fn a_path_s_width_is_told_however_often_it_is_asked_for() {
    each_of(&[Proto::UDP], |case, lab| {
        lab.serve(&case.service(case.narrow()));
        let dial = case.dial().dont_fragment().data(&[0; 1_450]);
        let mut out = Vec::new();
        for _ in 0..2_000 {
            assert_eq!(lab.pour(Hook::Ingress, Device::External, &dial.bytes(), &mut out), Verdict::Redirect);
        }
    });
}
