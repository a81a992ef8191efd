//! Writes that fail, once or for a while, and maps that are full for a while: what is in force stays, and the
//! rest follows by itself. `Memory` checks after every write that what is there is valid.

use std::collections::BTreeMap;

use lb_common::{NodeConfig, RangeSet};
use proptest::prelude::*;

use super::packets::{idle, node, ranges};
use super::{key, make, reached, reconciler, steps, table, with_node_port};
use crate::reconcile::memory::Memory;
use crate::reconcile::{NodePath, Range, Reconciler, Store};
use crate::tables::ServiceTable;

/// What the node may be in turn.
fn nodes(choice: u8) -> NodePath {
    match choice % 3 {
        0 => node(&["192.168.0.2"], &["10.244.0.0/16"]),
        1 => node(&["192.168.0.3", "192.168.0.2"], &[]),
        _ => node(&["192.168.0.3"], &["10.245.0.0/16", "10.246.0.0/16"]),
    }
}

/// What is in force, whatever ids it has.
fn picture(reconciler: &mut Reconciler<Memory>) -> impl PartialEq + std::fmt::Debug + use<> {
    let idle = idle(reconciler);
    reconciler.clear_bits(idle);
    let store = reconciler.store();
    let pods = store.ranges.iter().filter(|range| range.key.set() == RangeSet::PODS).copied();
    let pods: Vec<Range> = pods.collect();
    let node: Option<NodeConfig> = store.node;
    (store.view(), store.labels.len(), store.filter.clone(), ranges(reconciler), pods, node)
}

fn fresh(world: BTreeMap<u8, ServiceTable>, node: Option<NodePath>) -> Reconciler<Memory> {
    let mut fresh = reconciler();
    node.map(|node| fresh.put_node(node));
    fresh.replace_all(world.into_values().collect());
    fresh
}

type Tables = Vec<ServiceTable>;

/// The world after a step, and the tables of the step.
fn turn(world: &mut BTreeMap<u8, ServiceTable>, number: u8, wanted: Option<&super::Wanted>) -> Tables {
    match wanted.map(|wanted| make(number, wanted)) {
        Some(table) => {
            world.insert(number, table.clone());
            vec![table]
        }
        None => {
            world.remove(&number);
            vec![]
        }
    }
}

proptest! {
    /// Whichever writes fail: every prefix is valid for every reader, and in the end the maps are as if none had.
    #[test]
    fn whichever_writes_fail_what_is_wanted_is_in_force_in_the_end(
        steps in steps(),
        failing in proptest::collection::vec(proptest::bool::weighted(0.3), 0..200),
        choice in 0_u8..3,
    ) {
        let mut memory = Memory::new(16, 64, 64);
        memory.failing = failing.into();
        let mut reconciler = Reconciler::adopt(memory).expect("readable");
        reconciler.put_node(nodes(0));
        reconciler.replace_all(Vec::new());
        let mut world = BTreeMap::new();
        let mut last = nodes(0);
        for (index, (number, wanted)) in (0_u8..).zip(steps) {
            let tables = turn(&mut world, number, wanted.as_ref());
            reconciler.replace(&key(number).service, tables);
            if index % 4 == 3 {
                last = nodes(choice.wrapping_add(index));
                reconciler.put_node(last.clone());
            }
            if index % 5 == 4 {
                reconciler.settle();
            }
        }
        for _ in 0..300 {
            reconciler.retry();
        }
        prop_assert!(!reconciler.is_behind());
        reconciler.store.failing.clear();
        prop_assert_eq!(picture(&mut reconciler), picture(&mut fresh(world, Some(last))));
    }

    /// Killed after any write of any plan, the next start has another world and another node before it, and
    /// puts just them in force.
    #[test]
    fn killed_after_any_write_the_next_start_puts_another_world_in_force(
        before in steps(),
        after in steps(),
        writes in 0_usize..160,
        choices in [0_u8..3, 0_u8..3],
    ) {
        let mut memory = Memory::new(16, 64, 64);
        memory.writes_left = Some(writes);
        let mut first = Reconciler::adopt(memory).expect("readable");
        first.put_node(nodes(choices[0]));
        first.replace_all(Vec::new());
        let mut world = BTreeMap::new();
        for (number, wanted) in &before {
            first.replace(&key(*number).service, turn(&mut world, *number, wanted.as_ref()));
        }
        let mut memory = first.into_store();
        memory.writes_left = None;
        let mut world = BTreeMap::new();
        for (number, wanted) in &after {
            turn(&mut world, *number, wanted.as_ref());
        }
        let mut second = Reconciler::adopt(memory).expect("readable");
        second.put_node(nodes(choices[1]));
        let outcome = second.replace_all(world.values().cloned().collect());
        prop_assert_eq!(outcome.refusals, vec![]);
        second.settle();
        prop_assert_eq!(picture(&mut second), picture(&mut fresh(world, Some(nodes(choices[1])))));
    }
}

#[test]
fn a_write_that_fails_is_told_keeps_what_was_in_force_and_is_made_at_the_next_attempt() {
    let mut reconciler = reconciler();
    reconciler.replace_all(vec![table(1, &[11])]);
    // Behind the bit of the new endpoint, which is nobody's.
    reconciler.store.failing = [false, true, true].into();
    let outcome = reconciler.replace(&key(1).service, vec![table(1, &[13])]);
    assert_eq!(outcome.refusals[0].service, Some(key(1)));
    assert!(outcome.refusals[0].message.ends_with("cannot write map all: busy"), "{outcome:?}");
    assert_eq!(outcome.gone, [], "sockets of what is still in force are not ended");
    assert!(reconciler.is_stalled() && reconciler.is_behind());
    assert_eq!(reached(&reconciler, "10.96.0.1", 80), ["10.244.0.11:80"]);
    assert_eq!(reconciler.retry().refusals.len(), 1, "it fails once more");
    reconciler.retry();
    assert!(!reconciler.is_behind());
    assert_eq!(reached(&reconciler, "10.96.0.1", 80), ["10.244.0.13:80"]);
}

#[test]
fn while_writes_fail_what_waits_grows_with_the_services_and_not_with_their_changes() {
    let mut reconciler = reconciler();
    reconciler.replace_all(vec![table(1, &[11])]);
    reconciler.store.failing = vec![true; 10_000].into();
    for round in 0..1_000_u32 {
        let endpoints: &[u8] = if round % 2 == 0 { &[13] } else { &[15] };
        reconciler.replace(&key(1).service, vec![table(1, endpoints)]);
    }
    assert_eq!(reconciler.waiting.len(), 1);
    reconciler.store.failing.clear();
    reconciler.retry();
    assert_eq!(reached(&reconciler, "10.96.0.1", 80), ["10.244.0.15:80"], "the last of them");
}

#[test]
fn before_the_first_picture_an_attempt_takes_nothing_out() {
    let mut first = reconciler();
    first.replace_all(vec![table(1, &[11])]);
    let mut second = Reconciler::adopt(first.into_store()).expect("readable");
    assert!(!second.is_behind());
    second.retry();
    assert_eq!(reached(&second, "10.96.0.1", 80), ["10.244.0.11:80"]);
}

#[test]
fn frontends_labels_and_ranges_follow_by_themselves_when_room_comes() {
    let rooms: [fn(&mut Memory, usize); 3] = [
        |memory, room| memory.frontends_room = room,
        |memory, room| memory.labels_room = room,
        |memory, room| memory.ranges_room = room,
    ];
    let service = |number: u8, port| ServiceTable {
        source_ranges: Some(vec![super::packets::net(&format!("192.0.2.{number}/32"))]),
        ..with_node_port(table(number, &[11]), port)
    };
    for limit in rooms {
        let mut memory = Memory::new(16, 64, 64);
        limit(&mut memory, 1);
        let mut reconciler = Reconciler::adopt(memory).expect("readable");
        let outcome = reconciler.replace_all(vec![service(1, 30_001), service(2, 30_002)]);
        assert!(!outcome.refusals.is_empty() && reconciler.is_behind());
        assert!(!reconciler.is_stalled(), "the rest goes on");
        assert!(!reconciler.retry().refusals.is_empty(), "there is no room yet");
        limit(&mut reconciler.store, usize::MAX);
        assert_eq!(reconciler.retry().refusals, []);
        assert!(!reconciler.is_behind());
        assert_eq!(reached(&reconciler, "10.96.0.2", 80), ["10.244.0.11:80"]);
        assert_eq!(reconciler.store().observe().expect("readable").ranges.len(), 2);
    }
}
