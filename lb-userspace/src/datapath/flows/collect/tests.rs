//! Which flows go when, on tables in memory.

mod bits;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::{Addr, BackendId, FlowFlags, Owner, Port, ServiceId};
use proptest::prelude::*;

use super::*;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN: u8 = 0x11;
const RST: u8 = 0x04;

#[derive(Default)]
struct Memory {
    assured: BTreeMap<FlowKey, Flow>,
    new: BTreeMap<FlowKey, Flow>,
    gone: BTreeSet<BackendId>,
}

impl Memory {
    fn table(&mut self, table: Table) -> &mut BTreeMap<FlowKey, Flow> {
        if table == Table::Assured { &mut self.assured } else { &mut self.new }
    }
}

impl Flows for Memory {
    fn walk(&self, table: Table, see: &mut dyn FnMut(&FlowKey, &Flow)) -> io::Result<()> {
        let table = if table == Table::Assured { &self.assured } else { &self.new };
        table.iter().for_each(|(key, flow)| see(key, flow));
        Ok(())
    }

    fn get(&self, table: Table, key: &FlowKey) -> Option<Flow> {
        let table = if table == Table::Assured { &self.assured } else { &self.new };
        table.get(key).copied()
    }

    fn remove(&mut self, table: Table, key: &FlowKey) -> bool {
        self.table(table).remove(key).is_some()
    }

    fn is_gone(&self, backend: BackendId, _generation: u32) -> bool {
        self.gone.contains(&backend)
    }
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().expect(text).into()
}

fn at(second: u32) -> Moment {
    Moment::from_ns(u64::from(second) * 1_000_000_000)
}

const OWNER: Owner =
    Owner { backend: BackendId::from_number(7), generation: 1, service: ServiceId::from_number(1) };

/// A flow from this client's port to 10.0.0.1:80 at a backend, begun at second 100, with what each direction has had.
struct Sample {
    forward: (FlowKey, Flow),
    reverse: (FlowKey, Flow),
}

fn sample(port: u16, proto: Proto, forward: &[Seen], reverse: &[Seen]) -> Sample {
    let client = (addr("192.0.2.9"), Port::new(port));
    let dialled = FlowKey::new(client.0, client.1, addr("10.0.0.1"), Port::new(80), proto);
    let sent = FlowKey::new(client.0, client.1, addr("10.244.0.7"), Port::new(8080), proto);
    let seen = |kinds: &[Seen]| kinds.iter().fold(Seen::NOTHING, |seen, kind| seen.then(*kind));
    let begun = at(100);
    let there = Flow::new(&sent, FlowFlags::empty(), OWNER, begun).with_seen(seen(forward));
    let back = Flow::new(&dialled.reversed(), FlowFlags::REVERSE, OWNER, begun).with_seen(seen(reverse));
    Sample { forward: (dialled, there), reverse: (sent.reversed(), back) }
}

fn tcp(port: u16, forward: &[u8], reverse: &[u8]) -> Sample {
    let of = |flags: &[u8]| flags.iter().map(|flags| Seen::of_tcp(*flags)).collect::<Vec<_>>();
    sample(port, Proto::TCP, &of(forward), &of(reverse))
}

fn udp(port: u16) -> Sample {
    sample(port, Proto::UDP, &[Seen::PACKET], &[Seen::PACKET])
}

fn put(memory: &mut Memory, table: Table, sample: &Sample) {
    for (key, flow) in [sample.forward, sample.reverse] {
        memory.table(table).insert(key, flow);
    }
}

fn round(memory: &mut Memory, second: u32) -> Collected {
    // In a first round everything is looked at.
    Collector::default().collect_at(memory, BTreeSet::new(), at(second)).expect("memory can be read")
}

/// A flow is there until, and gone after, so many idle seconds (within a unit of the clock).
#[track_caller]
fn check_life(table: Table, sample: &Sample, seconds: u32) {
    let mut memory = Memory::default();
    put(&mut memory, table, sample);
    round(&mut memory, 100 + seconds - 1);
    assert_eq!(memory.table(table).len(), 2, "before");
    assert_eq!(round(&mut memory, 100 + seconds + 1).expired, 1);
    assert_eq!(memory.table(table).len(), 0, "after");
}

#[test]
fn a_flow_lives_as_long_as_its_state_allows_and_goes_with_both_directions() {
    check_life(Table::Assured, &tcp(1, &[SYN, ACK], &[SYN | ACK]), 86_400);
    check_life(Table::Assured, &tcp(1, &[SYN, ACK], &[SYN | ACK, FIN]), 3_600);
    check_life(Table::Assured, &tcp(1, &[SYN, ACK, FIN], &[SYN | ACK, FIN]), 30);
    check_life(Table::Assured, &tcp(1, &[SYN, ACK, RST], &[SYN | ACK]), 10);
    check_life(Table::New, &tcp(1, &[SYN], &[]), 60);
    check_life(Table::Assured, &udp(1), 120);
    check_life(Table::New, &sample(1, Proto::UDP, &[Seen::PACKET], &[]), 30);
}

#[test]
fn a_packet_of_either_direction_keeps_both() {
    for reverse in [false, true] {
        let mut memory = Memory::default();
        let mut sample = udp(1);
        let touched = if reverse { &mut sample.reverse.1 } else { &mut sample.forward.1 };
        touched.touch(Seen::PACKET, at(200));
        put(&mut memory, Table::Assured, &sample);
        round(&mut memory, 318);
        assert_eq!(memory.assured.len(), 2);
        round(&mut memory, 322);
        assert_eq!(memory.assured.len(), 0);
    }
}

#[test]
fn a_direction_that_has_lost_the_other_goes_as_a_new_flow() {
    let mut memory = Memory::default();
    let sample = tcp(1, &[SYN, ACK], &[SYN | ACK]);
    memory.assured.insert(sample.reverse.0, sample.reverse.1);
    round(&mut memory, 159);
    assert_eq!(memory.assured.len(), 1);
    assert_eq!(round(&mut memory, 161).expired, 1);
    assert_eq!(memory.assured.len(), 0);
}

#[test]
fn a_direction_in_the_other_table_counts() {
    let mut memory = Memory::default();
    let sample = tcp(1, &[SYN, ACK], &[SYN | ACK]);
    memory.assured.insert(sample.forward.0, sample.forward.1);
    memory.new.insert(sample.reverse.0, sample.reverse.1);
    round(&mut memory, 100 + 3_600);
    assert_eq!((memory.assured.len(), memory.new.len()), (1, 1));
}

#[test]
fn datagrams_to_a_backend_that_is_gone_are_forgotten_and_connections_go_on() {
    let mut memory = Memory::default();
    put(&mut memory, Table::Assured, &udp(1));
    put(&mut memory, Table::Assured, &tcp(2, &[SYN, ACK], &[SYN | ACK]));
    memory.gone.insert(OWNER.backend);
    assert_eq!(round(&mut memory, 105).orphaned, 0, "what is on its way is translated still");
    assert_eq!(round(&mut memory, 111).orphaned, 1);
    assert_eq!(memory.assured.len(), 2);
    assert!(memory.assured.keys().all(|key| key.proto() == Proto::TCP));
}

#[test]
fn bits_that_a_flow_needs_are_told_from_those_that_none_does() {
    let mut memory = Memory::default();
    put(&mut memory, Table::New, &udp(1));
    let frontend = FrontendKey::new(addr("10.0.0.1"), Port::new(80), Proto::UDP);
    let needed =
        [FilterBit::frontend(&frontend), FilterBit::backend(addr("10.244.0.7"), Port::new(8080), Proto::UDP)];
    let unused = FilterBit::node_address(addr("10.0.0.1"));
    let bits = needed.into_iter().chain([unused]).collect();
    let collected = Collector::default().collect_at(&mut memory, bits, at(101)).expect("readable");
    assert_eq!(collected.unused_bits, BTreeSet::from([unused]));
}

#[test]
fn a_masqueraded_answer_needs_the_address_of_the_node_and_its_port() {
    let sample = udp(1);
    let flags = FlowFlags::REVERSE.with(FlowFlags::MASQUERADED);
    let answer = Flow::new(&sample.forward.0.reversed(), flags, OWNER, at(100));
    let frontend = FrontendKey::new(addr("10.0.0.1"), Port::new(80), Proto::UDP);
    let (addr, port) = (sample.reverse.0.dst(), sample.reverse.0.dport());
    let needed =
        [FilterBit::node_address(addr), FilterBit::masquerade_port(port), FilterBit::frontend(&frontend)];
    assert!(bits_of(&sample.reverse.0, &answer).eq(needed));
}

#[test]
fn one_direction_alone_tells_the_bits_of_both() {
    let sample = udp(1);
    let (key, flow) = sample.forward;
    assert!(bits_of(&key, &flow).eq(bits_of(&sample.reverse.0, &sample.reverse.1)));
}

proptest! {
    /// However many flows there are, and whatever their age: no half of a pair is left behind, and none
    /// that had a packet lately is touched.
    #[test]
    fn pairs_go_together(flows in proptest::collection::btree_map(1_u16..200, (0_u32..300, 0_u8..4), 0..60)) {
        let mut memory = Memory::default();
        for (port, (age, kind)) in &flows {
            let mut sample = match kind {
                0 => tcp(*port, &[SYN, ACK, FIN], &[SYN | ACK, FIN]),
                1 => tcp(*port, &[SYN], &[]),
                2 => udp(*port),
                _ => tcp(*port, &[SYN, ACK], &[SYN | ACK]),
            };
            sample.forward.1.touch(Seen::NOTHING, at(400 - age));
            put(&mut memory, if *kind == 1 { Table::New } else { Table::Assured }, &sample);
        }
        let collected = round(&mut memory, 400);
        let left: Vec<_> = memory.assured.iter().chain(&memory.new).collect();
        prop_assert_eq!(left.len() + 2 * collected.expired, 2 * flows.len());
        for (key, flow) in &left {
            let other = key.counterpart(flow);
            prop_assert!(left.iter().any(|(key, _)| **key == other), "{:?} is alone", key);
        }
        let fresh = flows.values().filter(|(age, _)| *age < FRESH).count();
        prop_assert!(left.len() >= 2 * fresh);
    }
}

/// Tables in which packets pass between the walk and the removal.
struct Busy {
    tables: RefCell<Memory>,
    passes: RefCell<Vec<(Table, FlowKey, Flow)>>,
}

impl Flows for Busy {
    fn walk(&self, table: Table, see: &mut dyn FnMut(&FlowKey, &Flow)) -> io::Result<()> {
        self.tables.borrow().walk(table, see)?;
        for (table, key, flow) in self.passes.take() {
            self.tables.borrow_mut().table(table).insert(key, flow);
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &FlowKey) -> Option<Flow> {
        self.tables.borrow().get(table, key)
    }

    fn remove(&mut self, table: Table, key: &FlowKey) -> bool {
        self.tables.borrow_mut().remove(table, key)
    }

    fn is_gone(&self, backend: BackendId, generation: u32) -> bool {
        self.tables.borrow().is_gone(backend, generation)
    }
}

#[test]
fn a_flow_that_begins_by_a_tuple_while_its_last_is_collected_stays() {
    let closed = tcp(1, &[SYN, ACK, FIN], &[SYN | ACK, FIN]);
    let mut tables = Memory::default();
    put(&mut tables, Table::Assured, &closed);
    let again = [closed.forward, closed.reverse].map(|(key, mut flow)| {
        flow.touch(Seen::PACKET, at(200));
        (Table::Assured, key, flow)
    });
    let mut busy = Busy { tables: RefCell::new(tables), passes: RefCell::new(again[..1].to_vec()) };
    let collected = Collector::default().collect_at(&mut busy, BTreeSet::new(), at(200)).expect("a round");
    assert_eq!((collected.expired, busy.tables.borrow().assured.len()), (0, 2));
}
