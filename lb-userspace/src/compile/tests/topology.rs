//! How far the cluster list goes.

use super::objects::*;
use crate::model::{Endpoint, Hints, NodeFacts};
use crate::tables::ServiceTable;

fn hinted(endpoint: Endpoint, nodes: &[&str], zones: &[&str]) -> Endpoint {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Endpoint { hints: Hints { nodes: owned(nodes), zones: owned(zones) }.shared(), ..endpoint }
}

fn of(endpoints: Vec<Endpoint>, node: &NodeFacts) -> ServiceTable {
    only(&service(), &[&slice(endpoints)], node)
}

#[test]
fn node_hints_keep_traffic_on_the_node_and_go_before_zone_hints_topo_02() {
    let table = of(
        vec![hinted(local("10.244.1.11"), &["n1"], &["a"]), hinted(remote("10.244.2.11"), &["n2"], &["a"])],
        &node(),
    );
    assert_eq!(cluster(&table), ["10.244.1.11:80"]);
}

#[test]
fn without_an_endpoint_hinted_for_the_node_the_zone_decides_topo_03() {
    let table = of(
        vec![
            hinted(remote("10.244.2.11"), &["n2"], &["a"]),
            hinted(remote("10.244.3.11"), &["n3"], &["b", "a"]),
            hinted(remote("10.244.4.11"), &["n4"], &["b"]),
        ],
        &node(),
    );
    assert_eq!(cluster(&table), ["10.244.2.11:80", "10.244.3.11:80"]);
}

#[test]
fn an_endpoint_without_node_hints_leaves_the_choice_to_the_zone_topo_03() {
    let table = of(
        vec![
            hinted(local("10.244.1.11"), &["n1"], &["a"]),
            hinted(remote("10.244.2.11"), &[], &["a"]),
            hinted(remote("10.244.3.11"), &["n3"], &["b"]),
        ],
        &node(),
    );
    assert_eq!(cluster(&table), ["10.244.1.11:80", "10.244.2.11:80"]);
}

#[test]
fn a_single_ready_endpoint_without_hints_opens_the_list_to_all_topo_04() {
    let near = hinted(local("10.244.1.11"), &[], &["a"]);
    let far = hinted(remote("10.244.2.11"), &[], &["b"]);
    let table = of(vec![near, far, remote("10.244.3.11")], &node());
    assert_eq!(cluster(&table).len(), 3);
}

#[test]
fn an_endpoint_that_is_not_ready_has_no_say_in_topology_topo_04() {
    let near = hinted(local("10.244.1.11"), &[], &["a"]);
    let far = hinted(remote("10.244.2.11"), &[], &["b"]);
    let table = of(vec![near, far, down(remote("10.244.3.11")), terminating(remote("10.244.4.11"))], &node());
    assert_eq!(cluster(&table), ["10.244.1.11:80"]);
}

#[test]
fn a_zone_that_no_endpoint_is_hinted_for_is_sent_to_all_topo_04() {
    let endpoints =
        vec![hinted(remote("10.244.2.11"), &[], &["b"]), hinted(remote("10.244.3.11"), &[], &["c"])];
    assert_eq!(cluster(&of(endpoints, &node())).len(), 2);
}

#[test]
fn a_node_without_a_zone_is_sent_to_all_topo_04() {
    for zone in [None, Some(String::new())] {
        let endpoints =
            vec![hinted(remote("10.244.2.11"), &[], &["a"]), hinted(remote("10.244.3.11"), &[], &["", "b"])];
        assert_eq!(cluster(&of(endpoints, &NodeFacts { zone, ..node() })).len(), 2);
    }
}

#[test]
fn local_lists_are_never_narrowed_by_topology_topo_05() {
    let table = of(
        vec![hinted(local("10.244.1.11"), &[], &["b"]), hinted(remote("10.244.2.11"), &[], &["a"])],
        &node(),
    );
    assert_eq!(cluster(&table), ["10.244.2.11:80"]);
    assert_eq!(local_list(&table), ["10.244.1.11:80"]);
}

#[test]
fn another_zone_of_the_node_is_another_list_topo_06() {
    let endpoints =
        || vec![hinted(remote("10.244.2.11"), &[], &["a"]), hinted(remote("10.244.3.11"), &[], &["b"])];
    let moved = NodeFacts { zone: Some("b".into()), ..node() };
    assert_eq!(cluster(&of(endpoints(), &node())), ["10.244.2.11:80"]);
    assert_eq!(cluster(&of(endpoints(), &moved)), ["10.244.3.11:80"]);
}
