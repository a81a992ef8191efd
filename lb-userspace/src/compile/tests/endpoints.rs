//! Which endpoints are usable from where.

use super::objects::*;
use crate::model::{Endpoint, EndpointSlice, NodeFacts, ObjectName};
use crate::tables::{BackendState, ServiceTable};

fn of(endpoints: Vec<Endpoint>) -> ServiceTable {
    only(&service(), &[&slice(endpoints)], &node())
}

#[test]
fn only_ready_endpoints_are_usable_where_there_is_one_eps_03() {
    let serving_only = Endpoint { ready: false, ..remote("10.244.2.14") };
    let table = of(vec![
        remote("10.244.2.11"),
        down(remote("10.244.2.12")),
        terminating(remote("10.244.2.13")),
        serving_only,
    ]);
    assert_eq!(cluster(&table), ["10.244.2.11:80"]);
}

#[test]
fn an_endpoint_that_serves_but_is_neither_ready_nor_terminating_is_never_usable_eps_03() {
    let table = of(vec![Endpoint { ready: false, ..local("10.244.1.11") }]);
    assert_eq!((cluster(&table), local_list(&table)), (vec![], vec![]));
}

#[test]
fn an_endpoint_that_serves_is_a_backend_though_in_no_list_so_that_its_flows_live_eps_13() {
    let table = of(vec![
        remote("10.244.2.11"),
        Endpoint { ready: false, ..remote("10.244.2.12") },
        terminating(remote("10.244.2.13")),
        down(remote("10.244.2.14")),
        down(terminating(remote("10.244.2.15"))),
    ]);
    assert_eq!(listed(&table, |_| true), ["10.244.2.11:80", "10.244.2.12:80", "10.244.2.13:80"]);
}

#[test]
fn an_endpoint_is_local_by_its_node_name_and_a_nameless_one_never_is_eps_04() {
    let nowhere = Endpoint { node: None, ..local("10.244.1.13") };
    let table = of(vec![local("10.244.1.11"), remote("10.244.2.12"), nowhere]);
    assert_eq!(local_list(&table), ["10.244.1.11:80"]);
    assert_eq!(listed(&table, |state| state.on_node), ["10.244.1.11:80"]);
}

/// The lists of one address told in two slices, whichever slice comes first.
#[track_caller]
fn check_duplicate(one: Endpoint, other: Endpoint, expected: BackendState) {
    let named = |name: &str, endpoint: Endpoint| EndpointSlice {
        name: ObjectName::new("default", name),
        ..slice(vec![endpoint])
    };
    let (first, second) = (named("web-1", one.clone()), named("web-2", other.clone()));
    let (swapped_first, swapped_second) = (named("web-1", other), named("web-2", one));
    for slices in [
        [&first, &second],
        [&second, &first],
        [&swapped_first, &swapped_second],
        [&swapped_second, &swapped_first],
    ] {
        let table = only(&service(), &slices, &node());
        assert_eq!(table.backends.values().copied().collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn of_two_that_are_one_the_one_not_terminating_stays_eps_05() {
    let in_both = BackendState { in_cluster: true, in_local: true, on_node: true };
    check_duplicate(local("10.244.1.11"), terminating(local("10.244.1.11")), in_both);
    let ready_terminating = Endpoint { terminating: true, ..local("10.244.1.11") };
    let serving = Endpoint { ready: false, ..remote("10.244.1.11") };
    check_duplicate(ready_terminating, serving, BackendState::default());
}

#[test]
fn of_two_that_are_one_the_ready_one_stays_eps_05() {
    let in_both = BackendState { in_cluster: true, in_local: true, on_node: true };
    check_duplicate(local("10.244.1.11"), down(local("10.244.1.11")), in_both);
}

#[test]
fn backends_are_in_order_of_address_and_port_eps_06() {
    let table = of(vec![remote("10.244.2.9"), remote("10.244.2.10"), remote("10.244.1.11")]);
    assert_eq!(cluster(&table), ["10.244.1.11:80", "10.244.2.9:80", "10.244.2.10:80"]);
}

#[test]
fn without_a_ready_endpoint_the_terminating_ones_that_serve_are_used_wherever_they_are_eps_07() {
    let hinted = Endpoint { hints: zones(&["b"]), ..remote("10.244.2.12") };
    let table = of(vec![
        terminating(remote("10.244.2.11")),
        terminating(hinted),
        down(terminating(local("10.244.1.9"))),
    ]);
    assert_eq!(cluster(&table), ["10.244.2.11:80", "10.244.2.12:80"]);
}

#[test]
fn the_local_list_falls_back_to_local_terminating_ones_though_others_are_ready_elsewhere_eps_08() {
    let table =
        of(vec![remote("10.244.2.11"), terminating(local("10.244.1.11")), down(local("10.244.1.12"))]);
    assert_eq!(cluster(&table), ["10.244.2.11:80"]);
    assert_eq!(local_list(&table), ["10.244.1.11:80"]);
}

#[test]
fn the_local_list_has_no_terminating_one_while_a_local_one_is_ready_eps_08() {
    let table = of(vec![local("10.244.1.11"), terminating(local("10.244.1.12"))]);
    assert_eq!(local_list(&table), ["10.244.1.11:80"]);
}

#[test]
fn the_cluster_list_is_empty_exactly_where_there_is_no_endpoint_at_all_eps_09() {
    let empty = |endpoints: Vec<Endpoint>| cluster(&of(endpoints)).is_empty();
    assert!(empty(vec![]));
    assert!(empty(vec![down(local("10.244.1.11")), Endpoint { ready: false, ..local("10.244.1.12") }]));
    assert!(!empty(vec![terminating(remote("10.244.2.11"))]));
    assert!(!empty(vec![down(local("10.244.1.11")), remote("10.244.2.11")]));
}

#[test]
fn a_terminating_endpoint_elsewhere_makes_an_empty_local_list_a_drop_noe_03() {
    let table = of(vec![terminating(remote("10.244.2.11"))]);
    assert_eq!((cluster(&table).len(), local_list(&table).len()), (1, 0));
}

#[test]
fn what_is_reachable_is_what_either_list_has_eps_10() {
    let table = of(vec![
        remote("10.244.2.11"),
        terminating(local("10.244.1.11")),
        terminating(remote("10.244.2.12")),
    ]);
    let reachable = listed(&table, |state| state.in_cluster || state.in_local);
    assert_eq!(reachable, ["10.244.1.11:80", "10.244.2.11:80"]);
}

#[test]
fn an_endpoint_published_before_it_is_ready_or_while_it_ends_is_usable_eps_14() {
    let published = Endpoint { ready: true, serving: false, terminating: true, ..local("10.244.1.11") };
    let table = of(vec![published, terminating(local("10.244.1.12"))]);
    assert_eq!(cluster(&table), ["10.244.1.11:80"]);
    assert_eq!(local_list(&table), ["10.244.1.11:80"]);
}

#[test]
fn slices_of_another_service_or_namespace_have_no_part_eps_00() {
    let mut elsewhere = slice(vec![local("10.244.1.11")]);
    elsewhere.name = crate::model::ObjectName::new("other", &elsewhere.name.name);
    let mut of_another = slice(vec![local("10.244.1.12")]);
    of_another.service = "api".into();
    let table = only(&service(), &[&elsewhere, &of_another], &node());
    assert_eq!(listed(&table, |_| true), Vec::<String>::new());
}

#[test]
fn a_slice_of_the_other_family_has_no_part_eps_00() {
    let mut mislabelled = slice(vec![local("10.244.1.11")]);
    mislabelled.endpoints.push(local("fd00:10:244:1::11"));
    let v6 = slice(vec![local("fd00:10:244:1::12")]);
    assert_eq!(cluster(&only(&service(), &[&mislabelled, &v6], &node())), ["10.244.1.11:80"]);
}

#[test]
fn endpoints_are_the_same_whatever_the_node_but_for_what_is_local_eps_04() {
    let endpoints = slice(vec![local("10.244.1.11"), remote("10.244.2.11")]);
    let other = NodeFacts { name: "n2".into(), ..node() };
    let table = only(&service(), &[&endpoints], &other);
    assert_eq!(cluster(&table), ["10.244.1.11:80", "10.244.2.11:80"]);
    assert_eq!(local_list(&table), ["10.244.2.11:80"]);
}

#[test]
fn no_endpoint_is_the_node_itself_or_on_a_link_or_many_hosts_eps_02() {
    let table = of(vec![
        local("127.0.0.1"),
        remote("169.254.169.254"),
        remote("224.0.0.1"),
        remote("0.0.0.0"),
        remote("255.255.255.255"),
        remote("10.244.2.11"),
    ]);
    assert_eq!(listed(&table, |_| true), ["10.244.2.11:80"]);
}
