//! What becomes of events.

use super::*;
use crate::compile::tests::objects::{load_balancer_service, net, node};
use crate::compile::tests::objects::{remote, service, slice};
use crate::model::{NodeObject, ServicePort, SlicePort};
use crate::reconcile::memory::Memory;

fn engine(detect_local: DetectLocal) -> Engine<Memory> {
    let node = NodeFacts { detect_local, cluster_cidrs: vec![net("10.244.0.0/16")], ..node() };
    Engine::new(node, Reconciler::adopt(Memory::new(16, 64, 64)).expect("an empty store"))
}

fn says_of_node(first: bool, mut changes: Vec<Change>, node: NodeObject) -> Event {
    changes.push(Change::Node(node));
    Event::Source(SourceEvent { first, changes, ..SourceEvent::default() })
}

fn says(cidrs: &[&str], first: bool) -> Event {
    let service = Change::Service(Box::new(load_balancer_service()));
    let pod_cidrs = cidrs.iter().map(|text| net(text)).collect();
    says_of_node(first, vec![service], NodeObject { pod_cidrs, ..NodeObject::default() })
}

#[test]
fn cfg_dl_with_node_cidr_pods_are_within_what_the_node_says_now_and_all_is_compiled_anew() {
    let mut engine = engine(DetectLocal::NodeCidr);
    engine.handle(says(&["10.244.1.0/24", "10.245.1.0/24"], true)).expect("a report");
    let known = |engine: &Engine<Memory>| engine.snapshot().node.cluster_cidrs;
    assert_eq!(known(&engine), [net("10.244.1.0/24"), net("10.245.1.0/24")]);
    let report = engine.handle(says(&["fd00:10:244:1::/64"], false)).expect("a report");
    assert_eq!((report.services, known(&engine)), (1, vec![net("fd00:10:244:1::/64")]));
    engine.handle(says(&[], false)).expect("a report");
    assert!(!engine.snapshot().node.can_tell_pods(Family::V4));
}

#[test]
fn nod_03_nod_04_of_the_addresses_that_there_are_the_node_object_says_which_is_the_primary_one() {
    let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let mut engine = engine(DetectLocal::ClusterCidr);
    engine.handle(Event::Addresses(ips(&["172.16.0.5", "192.168.0.2", "fd00::2"])));
    let addresses = ips(&["192.168.0.2", "203.0.113.9"]);
    let object = NodeObject { addresses, ..NodeObject::default() };
    engine.handle(says_of_node(true, vec![], object)).expect("a report");
    let expected = ips(&["192.168.0.2", "172.16.0.5", "fd00::2"]);
    assert_eq!(engine.node().addresses, expected, "203.0.113.9 is another machine's translation");
    engine.handle(Event::Addresses(ips(&["172.16.0.5", "fd00::2"]))).expect("a report");
    assert_eq!(engine.node().addresses, ips(&["172.16.0.5", "fd00::2"]), "it is gone (NOD-04)");
}

#[test]
fn nod_03_addresses_that_were_given_are_as_they_were_given() {
    let mut engine = engine(DetectLocal::ClusterCidr);
    let given = engine.node().addresses.clone();
    let addresses = given.iter().rev().copied().collect();
    engine.handle(says_of_node(true, vec![], NodeObject { addresses, ..NodeObject::default() }));
    assert_eq!(engine.node().addresses, given);
}

#[test]
fn cfg_dl_with_cluster_cidr_what_the_node_says_is_not_looked_at() {
    let mut engine = engine(DetectLocal::ClusterCidr);
    engine.handle(says(&["10.250.1.0/24"], true)).expect("a report");
    assert_eq!(engine.snapshot().node.cluster_cidrs, [net("10.244.0.0/16")]);
}

#[test]
fn a_service_that_grows_too_large_stays_as_it_was_is_told_and_grows_back() {
    let mut engine = engine(DetectLocal::ClusterCidr);
    let of_width = |ports: u16, endpoints: u16| {
        let (mut service, mut slice) = (service(), slice(vec![]));
        let port = service.ports[0].clone();
        service.ports = (0..ports)
            .map(|number| ServicePort { name: format!("p{number}"), port: 80 + number, ..port.clone() })
            .collect();
        let slice_port = slice.ports[0].clone();
        let ports = (0..ports).map(|number| SlicePort { name: format!("p{number}"), ..slice_port.clone() });
        slice.ports = ports.collect();
        let address = |number: u16| format!("10.9.{}.{}", number / 250, number % 250 + 1);
        slice.endpoints = (0..endpoints).map(|number| remote(&address(number))).collect();
        vec![Change::Service(Box::new(service)), Change::Slice(Box::new(slice))]
    };
    let event = |first, changes| Event::Source(SourceEvent { first, changes, ..SourceEvent::default() });
    let in_force = |engine: &Engine<Memory>| {
        let observed = engine.reconciler.store().observe().expect("maps");
        observed.backends.values().filter(|backend| !backend.is_free()).count()
    };
    engine.handle(event(true, of_width(1, 3))).expect("a report");
    assert_eq!((in_force(&engine), engine.is_behind()), (3, false));
    let report = engine.handle(event(false, of_width(2000, 1000))).expect("a report");
    let [refusal] = &report.refusals[..] else { panic!("one: {:?}", report.refusals) };
    assert!(refusal.message.contains("stays as it was: its ports have 2000000"), "{}", refusal.message);
    engine.handle(Event::Addresses(vec!["172.16.0.5".parse().unwrap()])).expect("a report");
    assert_eq!((in_force(&engine), engine.is_behind()), (3, true), "all was compiled anew");
    assert_eq!(engine.handle(Event::Retry).expect("a report").refusals.len(), 1);
    let report = engine.handle(event(false, of_width(2, 4))).expect("a report");
    assert_eq!((report.refusals, engine.is_behind()), (vec![], false));
    assert_eq!(engine.snapshot().services[0].ports.len(), 2);
}

#[test]
fn services_that_are_too_much_together_are_told_and_the_rest_is_served_until_there_is_room() {
    let node = NodeFacts { detect_local: DetectLocal::ClusterCidr, ..node() };
    let memory = Memory::new(16, 64, 256);
    let mut engine = Engine::new(node, Reconciler::adopt(memory).expect("an empty store"));
    let of_size = |name: &str, endpoints: u16| {
        let (mut service, mut slice) = (service(), slice(vec![]));
        service.name = ObjectName::new("default", name);
        service.cluster_ips = vec![format!("10.96.0.{}", name.len()).parse().expect("an address")];
        slice.service = name.into();
        slice.name = ObjectName::new("default", format!("{name}-1"));
        let address = |number: u16| format!("10.9.{}.{}", number / 250, number % 250 + 1);
        slice.endpoints = (0..endpoints).map(|number| remote(&address(number))).collect();
        vec![Change::Service(Box::new(service)), Change::Slice(Box::new(slice))]
    };
    let event = |first, changes| Event::Source(SourceEvent { first, changes, ..SourceEvent::default() });
    let ways_in = |engine: &Engine<Memory>| {
        let frontends = engine.reconciler.store().observe().expect("maps").frontends;
        let addresses = frontends.keys().map(|key| key.addr().to_string());
        addresses.filter(|address| address.starts_with("10.96.")).collect::<Vec<_>>()
    };
    // 320 is four times what the maps have places for.
    engine.handle(event(true, [of_size("a", 260), of_size("ccc", 1)].concat())).expect("a report");
    let report = engine.handle(event(false, of_size("bb", 62))).expect("a report");
    let messages: Vec<&str> = report.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    let [full, too_much] = messages[..] else { panic!("two: {messages:?}") };
    assert!(full.starts_with("map BACKENDS is full"), "{full}");
    assert!(too_much.contains("/bb stays as it was: it has 63 ports and endpoints"), "{too_much}");
    assert!(ways_in(&engine).iter().all(|address| address == "10.96.0.3"), "{:?}", ways_in(&engine));
    let addresses = Event::Addresses(vec!["172.16.0.5".parse().expect("an address")]);
    assert_eq!(engine.handle(addresses).expect("a report").refusals.len(), 2, "all is compiled anew");
    let report = engine.handle(event(false, of_size("a", 0))).expect("a report");
    assert_eq!((report.refusals, engine.is_behind()), (vec![], false));
    assert!(ways_in(&engine).contains(&"10.96.0.2".to_owned()), "{:?}", ways_in(&engine));
}
