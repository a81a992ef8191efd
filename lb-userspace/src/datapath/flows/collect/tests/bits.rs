//! Bits of the filter that a flow needs are never cleared, whatever comes and goes meanwhile (EPS-13).

use std::collections::BTreeMap;

use lb_common::{NodeConfig, NodeFlags, PortRange};

use super::*;
use crate::reconcile::memory::Memory as Maps;
use crate::reconcile::tests::{key, table};
use crate::reconcile::{NodePath, Reconciler};
use crate::tables::ServiceTable;

/// What happens on a node. A round of the collector has parts, between which anything else can happen.
#[derive(Debug, Clone)]
enum Step {
    /// A Service has these endpoints; without any it is gone.
    Endpoints(u8, Vec<u8>),
    /// A program that has found a frontend and a backend of it some time ago makes a flow.
    Begin { client: u16, seen: usize },
    /// Time goes by: what is old is over.
    Wait,
    /// The next part of a round of the collector.
    Collect,
    /// The kernel is told to give sockets other ports.
    Ports,
    /// The instance ends and another takes over.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_u8..4, proptest::collection::btree_set(11_u8..15, 0..3))
            .prop_map(|(number, endpoints)| Step::Endpoints(number, endpoints.into_iter().collect())),
        3 => (1_u16..6, 0_usize..64).prop_map(|(client, seen)| Step::Begin { client, seen }),
        1 => Just(Step::Wait),
        6 => Just(Step::Collect),
        1 => Just(Step::Ports),
        1 => Just(Step::Restart),
    ]
}

/// What a program read of the maps: a frontend and a backend of it, whether that one is on this node, and the
/// first port to masquerade with.
type Found = (FrontendKey, u8, bool, u16);

/// A node, its maps, and everything that reads or writes them.
struct Scene {
    reconciler: Reconciler<Maps>,
    world: BTreeMap<u8, ServiceTable>,
    flows: Memory,
    now: u32,
    /// What programs that run now may have read: before the last time that idle bits were asked for, and since.
    /// No program runs for as long as it takes from one time to the next.
    read: [Vec<Found>; 2],
    round: Round,
    /// The first of the 256 ports to masquerade with; when programs may have read another, that one is in `read`.
    first_port: u16,
}

/// How far a round of the collector is.
enum Round {
    Over,
    Asked(BTreeSet<FilterBit>),
    Looked(BTreeSet<FilterBit>),
}

const NODE: &str = "192.168.0.2";

impl Scene {
    fn new() -> Self {
        let reconciler = Reconciler::adopt(Maps::new(16, 64, 64)).expect("readable");
        let mut scene = Self {
            reconciler,
            world: BTreeMap::new(),
            flows: Memory::default(),
            now: 1_000,
            read: [Vec::new(), Vec::new()],
            round: Round::Over,
            first_port: 1_024,
        };
        scene.tell_all();
        scene
    }

    fn tell_all(&mut self) {
        self.tell_node();
        self.reconciler.replace_all(self.world.values().cloned().collect());
    }

    fn tell_node(&mut self) {
        let ports = [PortRange::new(self.first_port, self.first_port + 255), PortRange::EMPTY];
        self.reconciler.put_node(NodePath {
            config: NodeConfig::new(addr(NODE), Addr::UNSPECIFIED, ports, NodeFlags::empty()),
            addresses: BTreeSet::from([addr(NODE)]),
            ranges: BTreeSet::new(),
            service_cidrs: Vec::new(),
        });
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Endpoints(number, endpoints) => self.change(*number, endpoints),
            Step::Begin { client, seen } => self.begin(*client, *seen),
            Step::Wait => self.now += 40,
            Step::Collect => self.collect(),
            Step::Ports => {
                self.first_port = if self.first_port == 1_024 { 2_048 } else { 1_024 };
                self.tell_node();
            }
            Step::Restart => {
                let fresh = Reconciler::adopt(Maps::new(16, 64, 64)).expect("readable");
                let store = std::mem::replace(&mut self.reconciler, fresh).into_store();
                self.reconciler = Reconciler::adopt(store).expect("readable");
                self.tell_all();
                self.round = Round::Over;
            }
        }
        self.now += 1;
        self.read_maps();
    }

    fn change(&mut self, number: u8, endpoints: &[u8]) {
        let tables = if endpoints.is_empty() { Vec::new() } else { vec![table(number, endpoints)] };
        match tables.first() {
            Some(table) => drop(self.world.insert(number, table.clone())),
            None => drop(self.world.remove(&number)),
        }
        self.reconciler.replace(&key(number).service, tables);
        self.reconciler.settle();
    }

    /// A program begins: it finds what is there, if the filter lets it look.
    fn read_maps(&mut self) {
        for (frontend, [cluster, _]) in self.reconciler.store().view() {
            for backend in cluster {
                let number = backend.trim_end_matches(":80").rsplit('.').next().expect("a number");
                let number: u8 = number.parse().expect(number);
                self.read[1].push((frontend, number, number.is_multiple_of(2), self.first_port));
            }
        }
    }

    fn begin(&mut self, client: u16, seen: usize) {
        let all: Vec<&Found> = self.read.iter().flatten().collect();
        let Some((frontend, endpoint, on_node, first_port)) =
            (!all.is_empty()).then(|| *all[seen % all.len()])
        else {
            return;
        };
        let (source, flags) = if on_node {
            (addr("192.0.2.9"), FlowFlags::empty())
        } else {
            (addr(NODE), FlowFlags::MASQUERADED)
        };
        let port = Port::new(client);
        let sent_from = if on_node { port } else { Port::new(first_port + client) };
        let dialled =
            FlowKey::new(addr("192.0.2.9"), port, frontend.addr(), frontend.port(), frontend.proto());
        let backend = addr(&format!("10.244.0.{endpoint}"));
        let sent = FlowKey::new(source, sent_from, backend, Port::new(80), frontend.proto());
        let there = Flow::new(&sent, flags, OWNER, at(self.now)).with_seen(Seen::of_tcp(SYN));
        let back = Flow::new(&dialled.reversed(), flags.with(FlowFlags::REVERSE), OWNER, at(self.now));
        self.flows.new.insert(dialled, there);
        // The cache may lose one half at once; the next packet makes it again.
        if client > 1 {
            self.flows.new.insert(sent.reversed(), back);
        }
    }

    fn collect(&mut self) {
        self.round = match std::mem::replace(&mut self.round, Round::Over) {
            Round::Over => {
                self.read.swap(0, 1);
                self.read[1].clear();
                Round::Asked(self.reconciler.idle_bits())
            }
            Round::Asked(bits) => {
                let collected = Collector::default().collect_at(&mut self.flows, bits, at(self.now));
                Round::Looked(collected.expect("memory can be read").unused_bits)
            }
            Round::Looked(bits) => {
                self.reconciler.clear_bits(bits);
                Round::Over
            }
        };
    }

    /// Every packet of every flow is found.
    #[track_caller]
    fn check(&self, after: &Step) {
        let filter = &self.reconciler.store().filter;
        for (key, flow) in self.flows.new.iter().chain(&self.flows.assured) {
            for bit in bits_of(key, flow) {
                assert!(filter.contains(&bit), "after {after:?}: the filter hides {key} or its answer");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_bit_that_a_flow_needs_is_never_cleared_eps_13(steps in proptest::collection::vec(step(), 1..80)) {
        let mut scene = Scene::new();
        for step in &steps {
            scene.take(step);
            scene.check(step);
        }
        // When all flows are over, nothing is left but what stands for something.
        scene.now += 100_000;
        for _ in 0..9 {
            scene.collect();
        }
        assert!(scene.flows.new.is_empty() && scene.flows.assured.is_empty());
        let mut fresh = Scene { world: scene.world.clone(), first_port: scene.first_port, ..Scene::new() };
        // What was told of the node before counts no more.
        fresh.reconciler = Reconciler::adopt(Maps::new(16, 64, 64)).expect("readable");
        fresh.tell_all();
        prop_assert_eq!(&scene.reconciler.store().filter, &fresh.reconciler.store().filter);
    }
}
