//! What the maps say is what the objects say, whatever the objects are; and where it is not, it is told.

use lb_common::{FrontendKey, Port, RangeSet};
use proptest::prelude::*;

use super::oracle::addresses;
use super::properties::any_world;
use super::*;
use crate::compile::compile;
use crate::compile::tests::properties::{any_node, proto};
use crate::reconcile::memory::Memory;
use crate::reconcile::{Observed, Range, Reconciler, Store};

const SERVICE_CIDR: &str = "172.20.0.0/16";

/// The maps of a node that serves `world`.
fn maps(world: &World, node: &NodeFacts) -> Observed {
    let mut reconciler = Reconciler::adopt(Memory::new(256, 1 << 12, 1 << 16)).expect("empty maps");
    let tables = world
        .services()
        .flat_map(|service| compile(service, &world.slices_of(&service.name), node))
        .collect();
    let outcome = reconciler.replace_all(tables);
    assert_eq!(outcome.refusals, [], "there is room");
    let mut maps = reconciler.store().observe().expect("memory");
    maps.ranges.insert(Range::new(RangeSet::CLUSTER_IPS, &net(SERVICE_CIDR)));
    maps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn maps_and_objects_agree_on_any_question(
        world in any_world(),
        node in any_node(),
        proto in proto(),
    ) {
        let (maps, cidrs) = (maps(&world, &node), [net(SERVICE_CIDR)]);
        let index = Index::new(&world, &node, &cidrs);
        for (src, dst) in addresses().into_iter().flat_map(|src| addresses().into_iter().map(move |dst| (src, dst))) {
            for dport in [80, 31_000] {
                let Ok(question) = Question::new(src, proto, dst, dport) else { continue };
                let answer = index.explain(&question);
                let live = Live::read(&maps, &node, &question).compared_with(&answer);
                prop_assert!(live.disagreements.is_empty(), "{question:?}: {live:?} {answer:#?}");
            }
        }
    }
}

/// What is told where the maps are changed behind the back of an instance.
fn told(change: impl FnOnce(&mut Observed)) -> Vec<String> {
    let (world, node) = (served(node_port_service(), both()), node());
    let mut maps = maps(&world, &node);
    change(&mut maps);
    let question = question(CLIENT, Proto::TCP, "192.168.0.2:31111");
    let answer = Index::new(&world, &node, &[]).explain(&question);
    Live::read(&maps, &node, &question).compared_with(&answer).disagreements
}

#[test]
fn maps_that_nobody_has_changed_say_the_same() {
    assert_eq!(told(|_| {}), Vec::<String>::new());
}

#[test]
fn a_frontend_that_is_missing_in_the_maps_is_told() {
    let key = FrontendKey::new(ip("192.168.0.2").into(), Port::new(31_111), Proto::TCP);
    let told = told(|maps| maps.frontends.retain(|frontend, _| *frontend != key));
    assert_eq!(told, ["the maps say PASS, the objects DNAT"]);
}

#[test]
fn an_endpoint_that_is_missing_in_the_maps_is_told() {
    let told = told(|maps| {
        let missing = maps.backends.iter().find(|(_, backend)| backend.addr() == ip("10.244.2.11").into());
        let id = *missing.expect("a backend").0;
        maps.slots.retain(|_, backend| *backend != id);
    });
    assert_eq!(told, ["the maps don't have 10.244.2.11:80"]);
}

#[test]
fn without_objects_the_maps_answer_alone() {
    let (world, node) = (served(node_port_service(), both()), node());
    let maps = maps(&world, &node);
    let question = question(CLIENT, Proto::TCP, "192.168.0.2:31111");
    let answer = Live::read(&maps, &node, &question).into_answer();
    assert_eq!(line(&answer), "DNAT 10.244.1.11:80 10.244.2.11:80 ");
    assert_eq!(answer.service, "default/web:8080");
}
