//! Session affinity of clients known by their packets' source address (AFF-01 to AFF-05).

use std::collections::HashSet;
use std::net::SocketAddr;

use lb_common::{BackendFlags, Proto};
use lb_tests::programs::{Lab, frontend};

use crate::case::{Case, at, each};

/// Many backends, all remote.
fn many(case: Case) -> Vec<SocketAddr> {
    (1..=20).map(|port| SocketAddr::new(case.there().ip(), port)).collect()
}

fn dial_by(lab: &mut Lab, case: Case, port: u16, dialled: SocketAddr) -> SocketAddr {
    let mut client = case.client();
    client.set_port(port);
    lab.from_outside(&case.open(client, dialled)).redirected().dst
}

#[test]
fn a_client_has_one_backend_by_every_frontend_of_a_service() {
    each(|case, lab| {
        let mut service = case.service(many(case)[0]).affinity(3_600);
        for backend in &many(case)[1..] {
            service = service.to(*backend);
        }
        lab.serve(&service.and(frontend(case.other_frontend(), case.proto)));
        let first = dial_by(lab, case, 40_000, case.frontend());
        for port in 40_001..40_020 {
            assert_eq!(dial_by(lab, case, port, case.frontend()), first);
            assert_eq!(dial_by(lab, case, port, case.other_frontend()), first);
        }
        let others: HashSet<_> = (1..=40)
            .map(|number| {
                let client = at(&if case.v4 {
                    format!("192.0.2.{number}:7")
                } else {
                    format!("[2001:db8::{number}]:7")
                });
                lab.from_outside(&case.open(client, case.frontend())).redirected().dst
            })
            .collect();
        assert!(others.len() > 5, "other clients have other backends: {others:?}");
    });
}

#[test]
fn a_client_whose_backend_left_the_list_has_another_from_then_on() {
    let case = Case { v4: true, proto: Proto::TCP };
    let mut lab = Lab::new();
    let mut service = case.service(many(case)[0]).affinity(3_600);
    for backend in &many(case)[1..] {
        service = service.to(*backend);
    }
    let (id, backends) = lab.serve(&service);
    let first = dial_by(&mut lab, case, 40_000, case.frontend());
    let left = backends[usize::from(first.port()) - 1];
    lab.replace_backend(left, first, BackendFlags::empty(), 1, id);
    let mut second = dial_by(&mut lab, case, 40_001, case.frontend());
    // Its slot is in the list still; chance may give it again, memory must not.
    for port in 40_002..40_100 {
        if second != first {
            break;
        }
        second = dial_by(&mut lab, case, port, case.frontend());
    }
    assert_ne!(first, second);
    assert_eq!(dial_by(&mut lab, case, 41_000, case.frontend()), second);
}

#[test]
fn clients_without_affinity_are_spread() {
    let case = Case { v4: true, proto: Proto::TCP };
    let mut lab = Lab::new();
    let mut service = case.service(many(case)[0]);
    for backend in &many(case)[1..] {
        service = service.to(*backend);
    }
    lab.serve(&service);
    let seen: HashSet<_> =
        (40_000..40_100).map(|port| dial_by(&mut lab, case, port, case.frontend())).collect();
    assert!(seen.len() >= 15, "{seen:?}");
}
