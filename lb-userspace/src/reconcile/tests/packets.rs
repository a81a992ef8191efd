//! What is there for the packet path: the filter, ranges, the node.

use std::collections::BTreeSet;

use ipnet::IpNet;
use lb_common::{Addr, FilterBit, FrontendKey, NodeConfig, NodeFlags, Port, PortRange, Proto, RangeSet};

use super::{addr, key, reconciler, table, with_node_port};
use crate::reconcile::memory::Memory;
use crate::reconcile::{NodePath, Range, Reconciler, Store};
use crate::tables::ServiceTable;

/// The bits that may be cleared if no flow needs them: they are told at the second time of asking.
pub(super) fn idle(reconciler: &mut Reconciler<Memory>) -> BTreeSet<FilterBit> {
    reconciler.idle_bits();
    reconciler.idle_bits()
}

pub(super) fn net(text: &str) -> IpNet {
    text.parse().expect(text)
}

/// The networks of source ranges, by the frontends that lead to the Service of each.
pub(super) fn ranges(reconciler: &Reconciler<Memory>) -> BTreeSet<(FrontendKey, Addr, u32)> {
    let store = reconciler.store();
    let of = |range: &Range| {
        let frontends = store.frontends.iter();
        let frontends =
            frontends.filter(|(_, frontend)| RangeSet::sources(frontend.service()) == range.key.set());
        let (addr, prefix_len) = (range.key.addr(), range.prefix_len);
        frontends.map(move |(key, _)| (*key, addr, prefix_len)).collect::<Vec<_>>()
    };
    store.ranges.iter().flat_map(of).collect()
}

fn frontend_bit(number: u8) -> FilterBit {
    let cluster_ip = addr(&format!("10.96.0.{number}"));
    FilterBit::frontend(&FrontendKey::new(cluster_ip, Port::new(80), Proto::TCP))
}

fn backend_bit(endpoint: u8) -> FilterBit {
    FilterBit::backend(addr(&format!("10.244.0.{endpoint}")), Port::new(80), Proto::TCP)
}

pub(super) fn node(addresses: &[&str], ranges: &[&str]) -> NodePath {
    let flags = NodeFlags::empty().with_if(!ranges.is_empty(), NodeFlags::POD_RANGES);
    let first = addresses.first().map_or(Addr::UNSPECIFIED, |text| addr(text));
    NodePath {
        config: NodeConfig::new(first, Addr::UNSPECIFIED, [PortRange::EMPTY; 2], flags),
        addresses: addresses.iter().map(|text| addr(text)).collect(),
        ranges: ranges.iter().map(|text| Range::new(RangeSet::PODS, &net(text))).collect(),
        service_cidrs: vec![],
    }
}

#[test]
fn the_filter_has_frontends_and_backends_whatever_node_they_are_said_to_be_on() {
    let mut reconciler = reconciler();
    // Odd endpoints are elsewhere, by their node's name.
    reconciler.replace_all(vec![table(1, &[11, 12])]);
    let expected = BTreeSet::from([frontend_bit(1), backend_bit(11), backend_bit(12)]);
    assert_eq!(reconciler.store().filter, expected);
}

#[test]
fn a_bit_of_what_is_gone_stays_until_no_flow_needs_it() {
    let mut reconciler = reconciler();
    reconciler.replace_all(vec![table(1, &[12])]);
    reconciler.replace(&key(1).service, Vec::new());
    let bits = BTreeSet::from([frontend_bit(1), backend_bit(12)]);
    assert_eq!(reconciler.store().filter, bits);
    assert!(reconciler.idle_bits().is_empty(), "a program may have found them just now");
    assert_eq!(reconciler.idle_bits(), bits);
    reconciler.clear_bits([backend_bit(12)]);
    assert_eq!(reconciler.store().filter, BTreeSet::from([frontend_bit(1)]));
}

#[test]
fn a_bit_that_stands_for_something_again_is_not_cleared() {
    let mut reconciler = reconciler();
    reconciler.replace_all(vec![table(1, &[12])]);
    reconciler.replace(&key(1).service, Vec::new());
    let idle = idle(&mut reconciler);
    reconciler.replace(&key(1).service, vec![table(1, &[12])]);
    reconciler.clear_bits(idle);
    assert_eq!(reconciler.store().filter, BTreeSet::from([frontend_bit(1), backend_bit(12)]));
    assert!(self::idle(&mut reconciler).is_empty());
}

#[test]
fn a_bit_that_stood_for_something_while_flows_were_looked_at_is_not_cleared() {
    let mut reconciler = reconciler();
    reconciler.replace_all(vec![table(1, &[12])]);
    reconciler.replace(&key(1).service, Vec::new());
    let idle = idle(&mut reconciler);
    reconciler.replace(&key(1).service, vec![table(1, &[12])]);
    reconciler.replace(&key(1).service, Vec::new());
    reconciler.clear_bits(idle.clone());
    assert_eq!(reconciler.store().filter, idle);
    reconciler.idle_bits();
    let idle = reconciler.idle_bits();
    reconciler.clear_bits(idle);
    assert!(reconciler.store().filter.is_empty());
}

#[test]
fn a_restart_finds_the_bits_of_what_went_while_it_was_away() {
    let mut first = reconciler();
    first.replace_all(vec![table(1, &[12]), table(2, &[14])]);
    let mut second = Reconciler::adopt(first.into_store()).expect("readable");
    second.replace_all(vec![table(2, &[14])]);
    assert_eq!(idle(&mut second), BTreeSet::from([frontend_bit(1), backend_bit(12)]));
}

#[test]
fn source_ranges_follow_their_service() {
    let mut reconciler = reconciler();
    let with_ranges = |texts: &[&str]| ServiceTable {
        source_ranges: Some(texts.iter().map(|text| net(text)).collect()),
        ..with_node_port(table(1, &[11]), 30001)
    };
    let of = |reconciler: &Reconciler<Memory>| -> BTreeSet<(String, u32)> {
        let ranges = reconciler.store().ranges.iter();
        ranges.map(|range| (range.key.addr().to_string(), range.prefix_len)).collect()
    };
    reconciler.replace_all(vec![with_ranges(&["192.0.2.7/24", "10.0.0.0/8"])]);
    let expected = BTreeSet::from([("192.0.2.0".to_owned(), 152), ("10.0.0.0".to_owned(), 136)]);
    assert_eq!(of(&reconciler), expected);
    reconciler.replace(&key(1).service, vec![with_ranges(&["10.0.0.0/8"])]);
    assert_eq!(of(&reconciler), BTreeSet::from([("10.0.0.0".to_owned(), 136)]));
    let mut second = Reconciler::adopt(reconciler.into_store()).expect("readable");
    assert_eq!(second.replace_all(vec![with_ranges(&["10.0.0.0/8"])]).writes, 0);
    second.replace(&key(1).service, Vec::new());
    assert!(second.store().ranges.is_empty());
}

#[test]
fn the_node_is_told_once_and_again_when_it_is_another() {
    let mut reconciler = reconciler();
    let first = node(&["192.168.0.2", "fd00::2"], &["10.244.0.0/16"]);
    // Two bits, one range, the node.
    assert_eq!(reconciler.put_node(first.clone()).writes, 4);
    assert_eq!(reconciler.put_node(first.clone()).writes, 0);
    assert_eq!(reconciler.store().node, Some(first.config));
    assert_eq!(reconciler.store().ranges, first.ranges);

    reconciler.put_node(node(&["192.168.0.3"], &[]));
    assert!(reconciler.store().ranges.is_empty());
    let gone = ["192.168.0.2", "fd00::2"].map(|text| FilterBit::node_address(addr(text)));
    assert_eq!(idle(&mut reconciler), BTreeSet::from(gone));
    assert!(reconciler.store().filter.contains(&FilterBit::node_address(addr("192.168.0.3"))));
}

#[test]
fn ports_that_are_no_longer_given_away_have_their_bits_until_no_flow_needs_them_krn_04() {
    let mut reconciler = reconciler();
    let with_ports = |first, last| {
        let node = node(&["192.168.0.2"], &[]);
        let ports = [PortRange::new(first, last), PortRange::EMPTY];
        let config = NodeConfig::new(addr("192.168.0.2"), Addr::UNSPECIFIED, ports, node.config.flags());
        NodePath { config, ..node }
    };
    reconciler.put_node(with_ports(61_000, 61_439));
    let before = [61_000, 61_439].map(|port| FilterBit::masquerade_port(Port::new(port)));
    assert!(before.iter().all(|bit| reconciler.store().filter.contains(bit)));
    reconciler.put_node(with_ports(65_000, 65_535));
    assert!(before.iter().all(|bit| reconciler.store().filter.contains(bit)));
    let mut again = Reconciler::adopt(reconciler.into_store()).expect("readable");
    again.put_node(with_ports(65_000, 65_535));
    assert_eq!(idle(&mut again), BTreeSet::from(before));
    again.clear_bits(before);
    assert!(!before.iter().any(|bit| again.store().filter.contains(bit)));
}

#[test]
fn what_an_earlier_run_put_for_the_node_stays_when_this_run_puts_the_same() {
    let mut first = reconciler();
    let told = node(&["192.168.0.2"], &["10.244.0.0/16"]);
    first.put_node(told.clone());
    first.replace_all(vec![table(1, &[11])]);
    let before = first.store().observe().expect("readable");
    let mut second = Reconciler::adopt(first.into_store()).expect("readable");
    second.put_node(told);
    second.replace_all(vec![table(1, &[11])]);
    assert_eq!(second.store().observe().expect("readable"), before);
    assert!(idle(&mut second).is_empty());
}

#[test]
fn networks_of_the_cluster_are_read_back_from_the_maps_as_they_were_put() {
    let nets = ["10.244.1.0/24", "0.0.0.0/0", "10.1.2.3/32", "fd00:10:244:1::/64", "::/0"].map(net);
    for net in nets {
        assert_eq!(Range::new(RangeSet::PODS, &net).network(), Some(net));
    }
}
