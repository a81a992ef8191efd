//! Endpoints that are on the node although no slice says so: written by hand, without a node's name or with another's.

use std::net::IpAddr;

use lb_tests::manifest::{Manifest, service};
use lb_tests::{Inside, check, serve, slice, tcp};

use super::Edge;

const NODE_PORT: u16 = 31_031;

/// Applies a Service with these two endpoints, one of each family; `node` is the name that their slices give.
#[track_caller]
fn apply(edge: &Edge, endpoints: [IpAddr; 2], port: u16, node: Option<&str>) {
    let by_hand = service("by-hand").with("ipFamilyPolicy", "PreferDualStack".into());
    let by_hand = by_hand.port(80).target(port).node_port(NODE_PORT);
    let [v4, v6] = [("v4", endpoints[0]), ("v6", endpoints[1])].map(|(suffix, endpoint)| {
        let slice = slice("by-hand", suffix).port("", port);
        match node {
            Some(node) => slice.endpoint(endpoint, node),
            None => slice.nameless_endpoint(endpoint),
        }
    });
    edge.shunt.apply(&[&by_hand as &dyn Manifest, &v4, &v6]).expect("in force");
}

/// Both families are answered by who is called `name`, which sees the client itself.
#[track_caller]
fn is_answered_by(edge: &Edge, name: &str) {
    for target in edge.on_node(NODE_PORT) {
        let answer = check::dial(&edge.client, &tcp(&target));
        assert_eq!(answer.greeting.pod, name, "{target}");
        assert_eq!(answer.greeting.peer, answer.own, "{target}");
    }
}

#[test]
fn a_pod_of_the_node_that_no_slice_says_is_there_is_reached_from_outside() {
    for node in [None, Some("another-name")] {
        let edge = Edge::serving(&[]);
        apply(&edge, [edge.here.v4().into(), edge.here.v6().into()], 80, node);
        is_answered_by(&edge, "here");
    }
}

#[test]
fn a_process_of_the_node_that_no_slice_says_is_there_is_reached_from_outside() {
    // As the API server of a control plane's node is, by default/kubernetes.
    for node in [None, Some("another-name")] {
        let edge = Edge::serving(&[]);
        let _server = serve().http(6_443).at(&edge.node).expect("a server");
        apply(&edge, edge.node.addresses(), 6_443, node);
        is_answered_by(&edge, edge.node.place().name());
    }
}

#[test]
fn a_pod_of_another_node_that_no_slice_says_is_there_sees_the_node() {
    let edge = Edge::serving(&[]);
    apply(&edge, [edge.there.v4().into(), edge.there.v6().into()], 80, None);
    for target in edge.on_node(NODE_PORT) {
        let answer = check::dial(&edge.client, &tcp(&target));
        assert_eq!(answer.greeting.pod, "there", "{target}");
        assert!(edge.node.addresses().contains(&answer.greeting.peer.ip()), "{answer:?}");
    }
}
