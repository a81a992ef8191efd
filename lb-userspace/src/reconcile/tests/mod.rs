//! Behaviour of the reconciler, on maps in memory that check every prefix of every plan by themselves.

mod packets;
mod stalled;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::{Addr, BackendFlags, FrontendFlags, FrontendKey, FrontendKind, Port, Proto};
use proptest::prelude::*;

use super::memory::Memory;
use super::{Outcome, Reconciler, Store};
use crate::model::{Family, ObjectName, ServiceType};
use crate::tables::{BackendKey, BackendState, ServiceKey, ServiceTable};

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().expect(text).into()
}

/// A Service whose ClusterIP is 10.96.0.N, with endpoints 10.244.0.E in its cluster list, the even ones in
/// its local list too.
pub(crate) fn table(number: u8, endpoints: &[u8]) -> ServiceTable {
    let cluster_ip = addr(&format!("10.96.0.{number}"));
    let backend = |endpoint: u8| {
        let key = BackendKey { addr: addr(&format!("10.244.0.{endpoint}")), port: Port::new(80) };
        let local = endpoint.is_multiple_of(2);
        (key, BackendState { in_cluster: true, in_local: local, on_node: local })
    };
    ServiceTable {
        key: key(number),
        kind: ServiceType::ClusterIP,
        port: 80,
        target_port: "80".to_owned(),
        node_port: 0,
        created: None,
        frontends: BTreeMap::from([(
            FrontendKey::new(cluster_ip, Port::new(80), Proto::TCP),
            FrontendFlags::of(FrontendKind::ClusterIp),
        )]),
        backends: endpoints.iter().map(|endpoint| backend(*endpoint)).collect(),
        affinity_seconds: 0,
        source_ranges: None,
    }
}

pub(crate) fn key(number: u8) -> ServiceKey {
    ServiceKey {
        service: ObjectName::new("default", format!("s{number}")),
        port_name: String::new(),
        protocol: Proto::TCP,
        family: Family::V4,
    }
}

/// With a NodePort on an address of the node.
fn with_node_port(mut table: ServiceTable, port: u16) -> ServiceTable {
    table.frontends.insert(
        FrontendKey::new(addr("192.168.0.2"), Port::new(port), Proto::TCP),
        FrontendFlags::of(FrontendKind::NodePort),
    );
    table
}

fn reconciler() -> Reconciler<Memory> {
    Reconciler::adopt(Memory::new(16, 64, 64)).expect("memory can be read")
}

/// What a dial to `frontend` may reach.
#[track_caller]
fn reached(reconciler: &Reconciler<Memory>, frontend: &str, port: u16) -> Vec<String> {
    let key = FrontendKey::new(addr(frontend), Port::new(port), Proto::TCP);
    reconciler.store().view().remove(&key).unwrap_or_else(|| panic!("no frontend {key}"))[0].clone()
}

#[test]
fn a_service_is_reached_by_its_frontend_and_gone_when_it_is_removed() {
    let mut reconciler = reconciler();
    assert_eq!(reconciler.replace_all(vec![table(1, &[11, 12])]).refusals, []);
    assert_eq!(reached(&reconciler, "10.96.0.1", 80), ["10.244.0.11:80", "10.244.0.12:80"]);
    reconciler.replace(&key(1).service, Vec::new());
    assert!(reconciler.store().view().is_empty());
}

#[test]
fn what_is_said_twice_is_written_once() {
    let mut reconciler = reconciler();
    reconciler.replace_all(vec![table(1, &[11])]);
    assert_eq!(reconciler.replace(&key(1).service, vec![table(1, &[11])]).writes, 0);
    assert_eq!(reconciler.replace_all(vec![table(1, &[11])]).writes, 0);
}

#[test]
fn one_endpoint_more_is_its_bit_a_backend_its_slots_and_a_word() {
    let mut reconciler = reconciler();
    reconciler.replace_all(vec![table(1, &[11, 13]), table(2, &[11])]);
    let outcome = reconciler.replace(&key(1).service, vec![table(1, &[11, 13, 15])]);
    assert_eq!(outcome.writes, 4);
}

#[test]
fn ids_keep_their_meaning_over_a_restart() {
    let mut first = reconciler();
    first.replace_all(vec![table(1, &[11, 12]), table(2, &[12, 13])]);
    let before = first.store().observe().expect("readable");
    let mut second = Reconciler::adopt(first.into_store()).expect("readable");
    assert_eq!(second.replace_all(vec![table(1, &[11, 12]), table(2, &[12, 13])]).writes, 0);
    assert_eq!(second.store().observe().expect("readable"), before);
}

#[test]
fn what_is_gone_at_a_restart_is_removed_and_the_rest_goes_on() {
    let mut first = reconciler();
    first.replace_all(vec![with_node_port(table(1, &[11]), 30001), table(2, &[12])]);
    let mut second = Reconciler::adopt(first.into_store()).expect("readable");
    second.replace_all(vec![table(2, &[12])]);
    assert_eq!(second.store().view().len(), 1);
    assert_eq!(reached(&second, "10.96.0.2", 80), ["10.244.0.12:80"]);
}

#[test]
fn of_two_services_that_claim_one_address_the_older_has_it_until_it_goes() {
    let mut reconciler = reconciler();
    let young = ServiceTable { created: Some(20), ..with_node_port(table(1, &[11]), 30001) };
    let old = ServiceTable { created: Some(10), ..with_node_port(table(2, &[12]), 30001) };
    reconciler.replace_all(vec![young]);
    assert_eq!(reached(&reconciler, "192.168.0.2", 30001), ["10.244.0.11:80"]);
    reconciler.replace(&key(2).service, vec![old]);
    assert_eq!(reached(&reconciler, "192.168.0.2", 30001), ["10.244.0.12:80"]);
    reconciler.replace(&key(2).service, Vec::new());
    assert_eq!(reached(&reconciler, "192.168.0.2", 30001), ["10.244.0.11:80"]);
}

#[test]
fn a_frontend_that_finds_no_room_is_refused_by_name_and_put_when_room_comes() {
    let mut memory = Memory::new(16, 64, 64);
    memory.frontends_room = 1;
    let mut reconciler = Reconciler::adopt(memory).expect("readable");
    let outcome = reconciler.replace_all(vec![table(1, &[11]), table(2, &[12])]);
    let [refusal] = outcome.refusals.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(refusal.service, Some(key(2)));
    assert_eq!(refusal.message, "frontend 10.96.0.2:80/TCP: map FRONTENDS is full");
    assert_eq!(reached(&reconciler, "10.96.0.1", 80), ["10.244.0.11:80"], "the others go on");
    reconciler.replace(&key(1).service, Vec::new());
    reconciler.replace(&key(3).service, Vec::new());
    assert_eq!(reached(&reconciler, "10.96.0.2", 80), ["10.244.0.12:80"]);
}

#[test]
fn a_service_whose_label_cannot_be_written_gets_its_frontends_when_it_can() {
    let mut memory = Memory::new(16, 64, 64);
    memory.labels_room = 1;
    let mut reconciler = Reconciler::adopt(memory).expect("readable");
    let outcome = reconciler.replace_all(vec![table(1, &[11]), table(2, &[12])]);
    let [refusal] = outcome.refusals.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(refusal.service, Some(key(2)));
    assert!(refusal.message.ends_with("map LABELS is full"), "{refusal:?}");
    assert_eq!(reconciler.store().view().len(), 1, "no frontend leads where there is no label");
    reconciler.replace(&key(1).service, Vec::new());
    reconciler.replace(&key(3).service, Vec::new());
    assert_eq!(reached(&reconciler, "10.96.0.2", 80), ["10.244.0.12:80"]);
}

#[test]
fn endpoints_that_find_no_room_leave_the_service_as_it_was_until_room_comes() {
    let mut reconciler = Reconciler::adopt(Memory::new(16, 4, 64)).expect("readable");
    reconciler.replace_all(vec![table(1, &[11, 13]), table(2, &[15])]);
    let outcome = reconciler.replace(&key(2).service, vec![table(2, &[15, 17])]);
    assert!(outcome.refusals[0].message.contains("map BACKENDS is full"), "{outcome:?}");
    assert_eq!(reached(&reconciler, "10.96.0.2", 80), ["10.244.0.15:80"]);
    reconciler.replace(&key(1).service, Vec::new());
    reconciler.settle();
    assert_eq!(reconciler.replace(&key(3).service, Vec::new()).refusals, []);
    assert_eq!(reached(&reconciler, "10.96.0.2", 80), ["10.244.0.15:80", "10.244.0.17:80"]);
}

#[test]
fn an_endpoint_that_left_keeps_no_flow_once_a_service_of_later_is_dialled() {
    for writes in 0.. {
        let mut first = reconciler();
        first.replace_all(vec![table(1, &[11, 13])]);
        let mut memory = first.into_store();
        memory.writes_left = Some(writes);
        let mut second = Reconciler::adopt(memory).expect("readable");
        let outcome = second.replace_all(vec![table(1, &[13]), table(2, &[15])]);
        let observed = second.store().observe().expect("readable");
        let later = FrontendKey::new(addr("10.96.0.2"), Port::new(80), Proto::TCP);
        let left = observed.backends.values().find(|backend| backend.addr() == addr("10.244.0.11"));
        let is_marked = left.expect("its number rests").flags().has(BackendFlags::GONE);
        let is_dialled = observed.frontends.contains_key(&later);
        assert!(is_marked || !is_dialled, "after {writes} writes");
        if outcome.refusals.is_empty() {
            assert!(is_marked && is_dialled);
            return;
        }
    }
}

#[test]
fn a_service_that_is_gone_keeps_no_flow_once_a_service_of_later_is_dialled() {
    for writes in 0.. {
        let mut first = reconciler();
        first.replace_all(vec![with_node_port(table(1, &[11]), 30_001)]);
        let mut memory = first.into_store();
        memory.writes_left = Some(writes);
        let mut second = Reconciler::adopt(memory).expect("readable");
        let outcome = second.replace_all(vec![with_node_port(table(2, &[15]), 30_001), table(3, &[15])]);
        let observed = second.store().observe().expect("readable");
        let later = FrontendKey::new(addr("10.96.0.3"), Port::new(80), Proto::TCP);
        let gone = observed.backends.values().find(|backend| backend.addr() == addr("10.244.0.11"));
        let is_marked = gone.expect("its number rests").flags().has(BackendFlags::GONE);
        let is_dialled = observed.frontends.contains_key(&later);
        assert!(is_marked || !is_dialled, "after {writes} writes");
        if outcome.refusals.is_empty() {
            assert!(is_marked && is_dialled);
            return;
        }
    }
}

#[test]
fn what_left_the_lists_before_a_kill_is_marked_by_the_next_start_though_its_service_stays_as_it_is() {
    for writes in 0.. {
        let mut first = reconciler();
        first.replace_all(vec![table(1, &[11, 13])]);
        first.store.writes_left = Some(writes);
        let outcome = first.replace(&key(1).service, vec![table(1, &[13, 15])]);
        let mut memory = first.into_store();
        memory.writes_left = None;
        let mut second = Reconciler::adopt(memory).expect("readable");
        let told = second.replace_all_but(Vec::new(), |_| true);
        let observed = second.store().observe().expect("readable");
        let listed: Vec<_> = observed
            .services
            .values()
            .flat_map(|service| {
                let list = service.cluster();
                observed.slots.range(list.first()..list.first() + list.len()).map(|(_, id)| *id)
            })
            .collect();
        for (id, backend) in observed.backends {
            let is_marked = backend.flags().has(BackendFlags::GONE);
            assert_eq!(is_marked, !listed.contains(&id), "{backend:?} after {writes} writes");
            assert_eq!(is_marked, told.gone.iter().any(|gone| gone.id == id), "{backend:?}");
        }
        if outcome.refusals.is_empty() {
            return;
        }
    }
}

#[test]
fn a_frontend_whose_new_service_finds_no_room_for_its_label_does_not_stay_with_one_that_is_gone() {
    let mut memory = Memory::new(16, 64, 64);
    memory.labels_room = 1;
    let mut reconciler = Reconciler::adopt(memory).expect("readable");
    reconciler.replace_all(vec![with_node_port(table(1, &[11]), 30_001)]);
    let both = BTreeSet::from([key(1).service, key(2).service]);
    let outcome = reconciler.replace_several(&both, vec![with_node_port(table(2, &[12]), 30_001)]);
    assert!(outcome.refusals[0].message.ends_with("map LABELS is full"), "{outcome:?}");
    assert!(reconciler.store().view().is_empty() && reconciler.is_behind());
    assert_eq!(reconciler.retry().refusals, []);
    assert_eq!(reached(&reconciler, "192.168.0.2", 30_001), ["10.244.0.12:80"]);
    assert!(!reconciler.is_behind());
}

#[test]
fn a_service_that_stays_as_it_is_over_a_restart_keeps_its_ways_in_and_goes_when_it_is_gone() {
    let mut first = reconciler();
    let source_ranges = Some(vec![packets::net("192.0.2.0/24")]);
    let table = ServiceTable { source_ranges, ..with_node_port(table(1, &[11]), 30_001) };
    first.replace_all(vec![table.clone()]);
    let before = first.store().observe().expect("readable");
    let mut second = Reconciler::adopt(first.into_store()).expect("readable");
    assert_eq!(second.replace_all_but(Vec::new(), |_| true).writes, 0);
    assert_eq!(second.store().observe().expect("readable"), before);
    assert!(!second.is_behind());
    assert_eq!(packets::idle(&mut second), BTreeSet::new(), "no bit is to be cleared");
    assert_eq!(second.replace(&key(1).service, vec![table]).writes, 0);
    assert!(!second.is_behind());
    second.replace(&key(1).service, Vec::new());
    let after = second.store().observe().expect("readable");
    assert!(after.frontends.is_empty() && after.ranges.is_empty() && after.labels.is_empty());
}

#[test]
fn before_the_first_picture_no_number_is_freed_that_a_list_may_still_have() {
    for writes in 0.. {
        let mut first = reconciler();
        first.replace_all(vec![table(1, &[11])]);
        first.store.writes_left = Some(writes);
        let outcome = first.replace(&key(1).service, Vec::new());
        let mut memory = first.into_store();
        memory.writes_left = None;
        let mut second = Reconciler::adopt(memory).expect("readable");
        assert!(!second.has_resting(), "after {writes} writes");
        second.settle();
        second.replace_all(Vec::new());
        second.settle();
        if outcome.refusals.is_empty() {
            return;
        }
    }
}

#[test]
fn lists_that_change_a_thousand_times_never_run_out_of_slots_or_backends() {
    let mut reconciler = Reconciler::adopt(Memory::new(4, 8, 8)).expect("readable");
    reconciler.replace_all(Vec::new());
    for round in 0..1_000_u32 {
        let endpoints: &[u8] = if round % 2 == 0 { &[11, 13] } else { &[13, 15, 12] };
        let outcome = reconciler.replace(&key(1).service, vec![table(1, endpoints)]);
        assert_eq!(outcome.refusals, [], "round {round}");
    }
}

/// Endpoints, a NodePort, an affinity timeout.
type Wanted = (Vec<u8>, Option<u16>, u32);

/// A sequence of worlds: for each step, which Service is replaced by what.
fn steps() -> impl Strategy<Value = Vec<(u8, Option<Wanted>)>> {
    let endpoints = proptest::collection::vec(1_u8..12, 0..6);
    let node_port = proptest::option::of(30_000_u16..30_003);
    let affinity = prop_oneof![Just(0), Just(60)];
    proptest::collection::vec((1_u8..5, proptest::option::of((endpoints, node_port, affinity))), 1..30)
}

fn make(number: u8, wanted: &Wanted) -> ServiceTable {
    let (endpoints, node_port, affinity_seconds) = wanted;
    let source_ranges = node_port.map(|port| vec![packets::net(&format!("192.0.2.{}/32", port % 256))]);
    let mut table =
        ServiceTable { affinity_seconds: *affinity_seconds, source_ranges, ..table(number, endpoints) };
    // Some serve still and are chosen no more.
    for (key, state) in &mut table.backends {
        if *affinity_seconds > 0 && key.addr.to_string().ends_with('5') {
            (state.in_cluster, state.in_local) = (false, false);
        }
    }
    node_port.map_or(table.clone(), |port| with_node_port(table, port))
}

proptest! {
    /// Whatever the order of changes: the maps are as if the last world had been put in from scratch, and
    /// (checked by `Memory` after every single write) every prefix was valid for every reader.
    #[test]
    fn any_sequence_of_changes_leads_where_a_fresh_start_does(steps in steps()) {
        let mut reconciler = reconciler();
        reconciler.replace_all(Vec::new());
        let mut world: BTreeMap<u8, ServiceTable> = BTreeMap::new();
        for (index, several) in steps.chunks(2).enumerate() {
            let mut changed = BTreeSet::new();
            for (number, wanted) in several {
                changed.insert(*number);
                match wanted {
                    Some(wanted) => drop(world.insert(*number, make(*number, wanted))),
                    None => drop(world.remove(number)),
                }
            }
            let tables = changed.iter().filter_map(|number| world.get(number).cloned()).collect();
            let names = changed.iter().map(|number| key(*number).service).collect();
            let outcome = reconciler.replace_several(&names, tables);
            prop_assert!(outcome.refusals.is_empty(), "{outcome:?}");
            if index % 5 == 4 {
                reconciler.settle();
            }
        }
        let mut fresh = self::reconciler();
        fresh.replace_all(world.into_values().collect());
        prop_assert_eq!(reconciler.store().view(), fresh.store().view());
        let idle = packets::idle(&mut reconciler);
        reconciler.clear_bits(idle);
        prop_assert_eq!(&reconciler.store().filter, &fresh.store().filter);
        prop_assert_eq!(packets::ranges(&reconciler), packets::ranges(&fresh));
    }

    /// Killed after any write, the next start puts in force what it is told, whatever it finds.
    #[test]
    fn killed_after_any_write_the_next_start_recovers(steps in steps(), writes in 0_usize..120) {
        let mut memory = Memory::new(16, 64, 64);
        memory.writes_left = Some(writes);
        let mut reconciler = Reconciler::adopt(memory).expect("readable");
        let mut world: BTreeMap<u8, ServiceTable> = BTreeMap::new();
        for (number, wanted) in steps {
            let tables: Vec<ServiceTable> = wanted.iter().map(|wanted| make(number, wanted)).collect();
            match tables.first() {
                Some(table) => drop(world.insert(number, table.clone())),
                None => drop(world.remove(&number)),
            }
            reconciler.replace(&key(number).service, tables);
        }
        let mut memory = reconciler.into_store();
        memory.writes_left = None;
        let mut second = Reconciler::adopt(memory).expect("readable");
        let outcome = second.replace_all(world.values().cloned().collect());
        prop_assert!(outcome.refusals.is_empty(), "{outcome:?}");
        second.settle();
        let mut fresh = self::reconciler();
        fresh.replace_all(world.into_values().collect());
        prop_assert_eq!(second.store().view(), fresh.store().view());
        prop_assert_eq!(second.store().labels.len(), fresh.store().labels.len());
        let idle = packets::idle(&mut second);
        second.clear_bits(idle);
        prop_assert_eq!(&second.store().filter, &fresh.store().filter);
        prop_assert_eq!(packets::ranges(&second), packets::ranges(&fresh));
    }
}

#[test]
fn who_goes_without_a_contested_address_is_told_once_and_again_when_that_changes_svc_14() {
    let mut reconciler = reconciler();
    let of_age = |number, created| {
        let mut table = ServiceTable { created: Some(created), ..table(number, &[11]) };
        table.frontends.extend(self::table(1, &[11]).frontends);
        table
    };
    let told = |outcome: Outcome| outcome.contests.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(reconciler.replace_all(vec![of_age(1, 20)])), Vec::<String>::new());
    let [first] = &told(reconciler.replace(&key(2).service, vec![of_age(2, 30)]))[..] else { panic!("one") };
    let (one, two) = (key(1), key(2));
    assert!(first.contains(&format!("{one} has it, {two} goes without")), "{first}");
    assert_eq!(
        told(reconciler.replace(&key(2).service, vec![of_age(2, 30)])),
        Vec::<String>::new(),
        "told already"
    );
    let [second] = &told(reconciler.replace(&key(3).service, vec![of_age(3, 10)]))[..] else { panic!("one") };
    assert!(second.contains(&format!("{} has it", key(3))), "{second}");
}
