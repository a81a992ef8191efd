//! Questions and answers, row by row.

mod access;
mod batch;
mod drawings;
mod hints;
mod live;
mod oracle;
mod paths;
mod properties;

use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::Proto;

use super::*;
use crate::compile::tests::objects::*;
use crate::model::{Change, Endpoint, EndpointSlice, NodeFacts, Service, World};

const POD: &str = "10.244.1.5";
const NODE: &str = "192.168.0.2";
const CLIENT: &str = "203.0.113.7";

/// A world of Services and slices.
fn world(services: Vec<Service>, slices: Vec<EndpointSlice>) -> World {
    let mut world = World::default();
    for service in services {
        world.apply(Change::Service(Box::new(service)));
    }
    for slice in slices {
        world.apply(Change::Slice(Box::new(slice)));
    }
    world
}

/// A world of one Service and its endpoints.
fn served(service: Service, endpoints: Vec<Endpoint>) -> World {
    world(vec![service], vec![slice(endpoints)])
}

/// One endpoint here, one elsewhere.
fn both() -> Vec<Endpoint> {
    vec![local("10.244.1.11"), remote("10.244.2.11")]
}

fn question(src: &str, proto: Proto, place: &str) -> Question {
    let place: std::net::SocketAddr = place.parse().unwrap();
    Question::new(src.parse::<IpAddr>().unwrap(), proto, place.ip(), place.port()).unwrap()
}

fn ask(world: &World, node: &NodeFacts, src: &str, place: &str) -> Answer {
    let service_cidrs: [IpNet; 1] = [net("172.20.0.0/16")];
    Index::new(world, node, &service_cidrs).explain(&question(src, Proto::TCP, place))
}

/// Verdict, endpoints and masqueraded ones as one line: `DNAT 10.244.1.11:80 10.244.2.11:80*`, a star for
/// masqueraded, and the row.
fn line(answer: &Answer) -> String {
    let mut line = answer.verdict.name().to_owned();
    for endpoint in &answer.endpoints {
        let star = if answer.masquerade.contains(endpoint) { "*" } else { "" };
        line += &format!(" {endpoint}{star}");
    }
    line + " " + answer.row
}

#[track_caller]
fn check(world: &World, node: &NodeFacts, src: &str, place: &str, expected: &str) {
    let answer = ask(world, node, src, place);
    assert_eq!(line(&answer), expected, "{src} to {place}: {answer:#?}");
}
