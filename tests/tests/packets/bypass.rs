//! Ways around what is guarded: addresses that no client has, frames for many hosts, packets that lie about
//! themselves. Named in `docs/security.md`.

use std::net::{IpAddr, SocketAddr};

use lb_common::{Counter, FrontendFlags, NodeFlags, Proto};
use lb_tests::packet::{ACK, FIN, RST, SYN, tcp};
use lb_tests::programs::{Lab, Table, frontend, service};

use crate::case::{Case, at, converse, each, each_of, ip, key};

/// Both families of what is a Service's to a local, and of what is one's to a remote backend.
#[track_caller]
fn each_backend(test: impl Fn(Case, &mut Lab)) {
    each(|case, lab| {
        for backend in [case.here(), case.there()] {
            lab.serve(&case.service(backend));
            test(case, lab);
            lab.forget();
        }
    });
}

fn of_family<'a>(case: Case, v4: &'a [&str], v6: &'a [&str]) -> Vec<IpAddr> {
    (if case.v4 { v4 } else { v6 }).iter().map(|text| ip(text)).collect()
}

#[test]
fn a_node_port_on_loopback_is_not_served_to_a_packet_from_a_wire() {
    // What the kernel drops as a martian (and what CVE-2020-8558 was about).
    each(|case, lab| {
        for addr in of_family(case, &["127.0.0.1", "127.9.9.9", "0.0.0.0"], &["::1", "::"]) {
            let node_port = SocketAddr::new(addr, 31_111);
            lab.serve(&service(frontend(node_port, case.proto)).to(case.there()));
            let dial = case.open(case.client(), node_port);
            lab.from_outside(&dial).untouched();
            lab.from_pod(&dial).untouched();
        }
    });
}

#[test]
fn an_address_of_many_hosts_is_never_a_frontend() {
    each(|case, lab| {
        for addr in of_family(case, &["224.0.0.1", "239.1.1.1", "255.255.255.255"], &["ff02::1", "ff0e::1"]) {
            let many = SocketAddr::new(addr, 80);
            lab.serve(&service(frontend(many, case.proto)).to(case.there()));
            let dial = case.open(case.client(), many);
            lab.from_outside(&dial).untouched();
            lab.from_pod(&dial).untouched();
        }
    });
}

#[test]
fn a_frame_for_many_hosts_is_served_by_none() {
    // Each node on the wire would serve it, and each would answer (RFC 1122 §3.3.6).
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        lab.serve(&service(frontend(case.other_frontend(), case.proto)));
        for to in [[0xff; 6], [0x33, 0x33, 0, 0, 0, 1], [1, 0, 0x5e, 0, 0, 1]] {
            for dialled in [case.frontend(), case.other_frontend()] {
                let mut dial = case.open(case.client(), dialled);
                dial.ethernet[0] = to;
                lab.from_outside(&dial).untouched();
                lab.from_pod(&dial).untouched();
            }
        }
    });
}

#[test]
fn a_source_that_is_the_node_itself_begins_no_flow() {
    // The kernel drops it as a martian; a masqueraded one would never come to the kernel's eyes.
    each_backend(|case, lab| {
        let forged = case.open(SocketAddr::new(case.node(), 40_000), case.frontend());
        lab.from_outside(&forged).counting(&[Counter::ForgedSource]).dropped();
        lab.from_pod(&forged).counting(&[Counter::ForgedSource]).dropped();
    });
}

#[test]
fn a_source_that_is_a_services_begins_no_flow() {
    // Two Services that answer would answer each other for ever.
    each_backend(|case, lab| {
        lab.guard(case.other_frontend().ip(), FrontendFlags::default());
        let forged = case.open(case.other_frontend(), case.frontend());
        lab.from_outside(&forged).counting(&[Counter::ForgedSource]).dropped();
        lab.from_pod(&forged).counting(&[Counter::ForgedSource]).dropped();
    });
}

#[test]
fn a_source_that_is_an_external_address_of_a_service_may_be_another_node_s_own() {
    each_backend(|case, lab| {
        lab.guard(case.other_frontend().ip(), FrontendFlags::PING_ONLY);
        let mut client = case.other_frontend();
        client.set_port(40_000);
        let ran = lab.from_outside(&case.open(client, case.frontend()));
        assert!(ran.counts().contains(&Counter::NewFlow), "{case:?} {:?}", ran.counts());
    });
}

#[test]
fn a_source_of_the_link_alone_begins_no_flow() {
    // RFC 4291 §2.5.6: no router sends it on.
    each_backend(|case, lab| {
        if !case.v4 {
            let forged = case.open(at("[fe80::7]:40000"), case.frontend());
            lab.from_outside(&forged).counting(&[Counter::ForgedSource]).dropped();
        }
    });
}

#[test]
fn a_mapped_ipv4_address_in_an_ipv6_packet_is_never_translated() {
    let v4 = Case { v4: true, proto: Proto::TCP };
    each_of(&[Proto::TCP, Proto::UDP], |case, lab| {
        if case.v4 {
            return;
        }
        let [client, served] = ["[::ffff:192.0.2.9]:40000", "[::ffff:10.96.0.1]:80"].map(at);
        lab.serve(&Case { proto: case.proto, ..v4 }.service(v4.there()));
        lab.serve(&case.service(case.there()));
        lab.guard(v4.frontend().ip(), FrontendFlags::default());
        for (src, dst) in [(case.client(), served), (client, case.frontend()), (client, served)] {
            lab.from_outside(&case.open(src, dst)).untouched();
            lab.from_pod(&case.open(src, dst)).untouched();
        }
    });
}

#[test]
fn a_packet_routed_by_its_source_is_the_kernel_s_to_judge() {
    // Loose and strict (RFC 791 §3.1), and behind other options: the kernel drops them unless it is told
    // otherwise (accept_source_route), and a redirected packet never comes to its eyes.
    let routes: [&[u8]; 3] = [
        &[131, 7, 4, 192, 0, 2, 1, 0],
        &[137, 7, 4, 192, 0, 2, 1, 0],
        &[1, 1, 68, 4, 5, 0, 131, 7, 4, 192, 0, 2, 1, 0, 0, 0],
    ];
    each_backend(|case, lab| {
        if case.v4 {
            for route in routes {
                lab.from_outside(&case.dial().options(route)).untouched();
                lab.from_pod(&case.dial().options(route)).untouched();
            }
            // The same bytes inside another option are no route.
            let data = case.dial().options(&[7, 11, 4, 131, 7, 4, 1, 1, 1, 1, 1, 0]);
            let ran = lab.from_outside(&data);
            assert!(ran.counts().contains(&Counter::TcForward), "{:?}", ran.counts());
        }
    });
}

#[test]
fn a_segment_that_opens_and_ends_at_once_begins_no_flow() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.there()));
        for flags in [SYN | FIN, SYN | FIN | ACK, SYN | RST, SYN | RST | ACK, 0, 0x29, 0xff] {
            let ran = lab.from_outside(&tcp(case.client(), case.frontend(), flags));
            assert!(ran.counts().contains(&Counter::NoFlow), "{flags:#x}: {:?}", ran.counts());
            assert!(!ran.counts().contains(&Counter::NewFlow), "{flags:#x}");
        }
    });
}

#[test]
fn a_segment_that_opens_and_ends_at_once_says_nothing_about_a_connection() {
    each_of(&[Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.there()));
        converse(lab, case, case.client(), case.frontend());
        let key = key(&case.go_on(case.client(), case.frontend()), case.proto);
        let before = lab.flow(Table::Assured, &key).expect("a flow").seen();
        for flags in [SYN | FIN, SYN | RST, SYN | FIN | ACK] {
            let _sent = lab.from_outside(&tcp(case.client(), case.frontend(), flags)).redirected();
        }
        let after = lab.flow(Table::Assured, &key).expect("a flow").seen();
        assert_eq!(before, after);
    });
}

#[test]
fn later_fragments_of_a_refused_datagram_are_not_served_either() {
    each_of(&[Proto::UDP, Proto::TCP], |case, lab| {
        let nobody: &[&str] = if case.v4 { &["198.51.100.0/24"] } else { &["2001:db8:7::/48"] };
        lab.serve(&case.service(case.there()).sources(nobody));
        let parts = case.dial().data(&[7; 200]).fragments(5, 80);
        lab.from_outside(&parts[0]).counting(&[Counter::SourceRefused]).dropped();
        // To the node's own stack, which never gets the first.
        for part in &parts[1..] {
            lab.from_outside(part).untouched();
        }
    });
}

#[test]
fn a_first_fragment_without_a_whole_header_leads_nowhere() {
    // RFC 1858: ports in one fragment, flags or the rest of the header in the next.
    each_of(&[Proto::TCP], |case, lab| {
        lab.serve(&case.service(case.there()));
        for size in [8, 16] {
            for part in case.dial().data(&[7; 200]).fragments(5, size) {
                lab.from_outside(&part).untouched();
            }
        }
    });
}

#[test]
fn a_second_first_fragment_does_not_lead_the_others_past_a_refusal() {
    // The ports that the fragments of one number are given are those of a first that was served.
    each_of(&[Proto::UDP], |case, lab| {
        let nobody: &[&str] = if case.v4 { &["198.51.100.0/24"] } else { &["2001:db8:7::/48"] };
        let mut refused = case.frontend();
        refused.set_port(81);
        lab.serve(&case.service(case.there()));
        lab.serve(&service(frontend(refused, case.proto)).to(case.narrow()).sources(nobody));
        let served = case.dial().data(&[7; 200]).fragments(5, 80);
        let other = case.open(case.client(), refused).data(&[8; 200]).fragments(5, 80);
        let first = lab.from_outside(&served[0]).redirected();
        lab.from_outside(&other[0]).counting(&[Counter::SourceRefused]).dropped();
        for part in &other[1..] {
            let sent = lab.from_outside(part).redirected();
            assert_eq!(sent.dst.ip(), first.dst.ip(), "to the backend that serves, and to no other");
        }
    });
}

#[test]
fn what_only_looks_like_an_answer_reaches_nobody() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        let sent = converse(lab, case, case.client(), case.frontend());
        let answer = sent.answer();
        let mut elsewhere = answer.src;
        elsewhere.set_port(8_081);
        let mut other_port = answer.dst;
        other_port.set_port(if answer.dst.port() == 2_000 { 2_001 } else { 2_000 });
        let stranger = SocketAddr::new(case.client().ip(), answer.src.port());
        for forged in [
            answer.clone().from(elsewhere),
            answer.clone().to(other_port),
            answer.clone().from(stranger),
            answer.clone().from(case.here()),
        ] {
            lab.from_outside(&forged).untouched();
        }
    });
}

#[test]
fn what_a_client_sends_to_a_masquerade_port_is_the_node_s_own() {
    each(|case, lab| {
        lab.serve(&case.service(case.there()));
        for port in [1_024, 20_000, 65_535] {
            let dial = case.open(case.client(), SocketAddr::new(case.node(), port));
            lab.from_outside(&dial).untouched();
        }
    });
}

#[test]
fn a_pod_can_not_answer_for_a_flow_that_was_masqueraded_elsewhere() {
    each(|case, lab| {
        lab.node(NodeFlags::POD_DEVICES.with(NodeFlags::FIB_SOURCE));
        lab.serve(&case.service(case.there()));
        let sent = converse(lab, case, case.client(), case.frontend());
        // A pod that takes the remote backend's address, and answers through the node: on the way out nothing
        // of a masqueraded flow is rewritten.
        lab.to_outside(&sent.answer()).untouched();
    });
}
