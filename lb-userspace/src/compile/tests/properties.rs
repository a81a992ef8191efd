//! What holds for any objects.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::{FrontendFlags, Proto};
use proptest::prelude::*;

use super::objects::{ip, net, only, slice};
use crate::compile::compile;
use crate::model::{
    DetectLocal, Endpoint, EndpointSlice, Family, Hints, Ingress, IngressMode, NodeFacts, NodePortAddresses,
    ObjectName, Service, ServicePort, ServiceType, SlicePort, TargetPort, TrafficPolicy,
};

/// Few addresses, names and numbers, so that they meet; special ones among them.
pub(crate) fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        8 => (1_u8..5).prop_map(|last| IpAddr::from([10, 244, 1, last])),
        4 => (1_u16..4).prop_map(|last| IpAddr::from([0xfd00, 0x10, 0x244, 0, 0, 0, 0, last])),
        1 => prop::sample::select(vec!["0.0.0.0", "127.0.0.1", "192.168.0.2", "::1", "::", "::ffff:1.2.3.4"])
            .prop_map(ip),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(""), 2 => Just("a"), 1 => Just("b")].prop_map(str::to_owned)
}

pub(crate) fn number() -> impl Strategy<Value = u16> {
    prop_oneof![1 => Just(0_u16), 6 => Just(80), 3 => Just(31_000)]
}

pub(crate) fn proto() -> impl Strategy<Value = Proto> {
    prop_oneof![8 => Just(Proto::TCP), 2 => Just(Proto::UDP), 1 => Just(Proto::SCTP), 1 => Just(Proto::ANY)]
}

fn family() -> impl Strategy<Value = Family> {
    prop::sample::select(Family::ALL.to_vec())
}

fn hints() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), 0..3)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let conditions = prop_oneof![2 => Just([true, true, false]), 1 => any::<[bool; 3]>()];
    (address(), conditions, prop::option::of(name()), hints(), hints()).prop_map(
        |(address, [ready, serving, terminating], node, zone_hints, node_hints)| Endpoint {
            address,
            ready,
            serving,
            terminating,
            node: node.map(Into::into),
            hints: Hints { zones: zone_hints, nodes: node_hints }.shared(),
            pod: None,
        },
    )
}

pub(crate) fn any_slice() -> impl Strategy<Value = EndpointSlice> {
    let port =
        (name(), proto(), number()).prop_map(|(name, protocol, port)| SlicePort { name, protocol, port });
    let ports = prop::collection::vec(port, 1..4);
    (name(), family(), ports, prop::collection::vec(endpoint(), 0..6)).prop_map(
        |(name, family, ports, endpoints)| EndpointSlice {
            name: ObjectName::new("default", name),
            service: "web".into(),
            family,
            ports,
            endpoints,
        },
    )
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    prop::sample::select(vec![TrafficPolicy::Cluster, TrafficPolicy::Local])
}

pub(crate) fn any_service() -> impl Strategy<Value = Service> {
    let port = (name(), proto(), number(), prop::option::of(number())).prop_map(
        |(name, protocol, port, node_port)| ServicePort {
            name,
            protocol,
            port,
            target_port: TargetPort::Number(80),
            node_port,
        },
    );
    let ingress = (address(), prop::sample::select(vec![IngressMode::Vip, IngressMode::Proxy]))
        .prop_map(|(ip, mode)| Ingress { ip, mode });
    let ranges = prop::sample::select(vec!["10.0.0.0/8", "10.244.1.2/32", "fd00::/8", "0.0.0.0/0"]);
    let addresses = || prop::collection::vec(address(), 0..3);
    let spec = (
        prop_oneof![8 => prop::sample::select(ServiceType::ALL[..3].to_vec()), 1 => Just(ServiceType::ExternalName)],
        addresses(),
        prop::collection::vec(port, 1..4),
        addresses(),
        prop::collection::vec(ingress, 0..3),
        prop::option::of(prop::collection::vec(ranges.prop_map(net), 0..3)),
    );
    (spec, policy(), policy()).prop_map(
        |((kind, cluster_ips, ports, external_ips, ingress, source_ranges), internal, external)| Service {
            name: ObjectName::new("default", "web"),
            uid: None,
            created: None,
            kind,
            cluster_ips,
            ports,
            external_ips,
            ingress,
            source_ranges,
            affinity_seconds: None,
            internal_policy: internal,
            external_policy: external,
            health_check_node_port: None,
        },
    )
}

pub(crate) fn any_node() -> impl Strategy<Value = NodeFacts> {
    let accepted = prop_oneof![
        Just(NodePortAddresses::All),
        Just(NodePortAddresses::Primary),
        Just(NodePortAddresses::Within(vec![net("10.0.0.0/8")])),
    ];
    (name(), prop::collection::vec(address(), 0..4), prop::option::of(name()), accepted, any::<[bool; 2]>())
        .prop_map(|(name, addresses, zone, node_port_addresses, [tells_pods, masquerade_always])| NodeFacts {
            name,
            addresses,
            zone,
            bind_address: None,
            detect_local: DetectLocal::ClusterCidr,
            cluster_cidrs: if tells_pods { vec![net("10.244.0.0/16")] } else { vec![] },
            node_port_addresses,
            masquerade_always,
        })
}

proptest! {
    #[test]
    fn any_objects_compile_to_tables_that_hold_together(
        service in any_service(),
        slices in prop::collection::vec(any_slice(), 0..4),
        node in any_node(),
    ) {
        let slices: Vec<&EndpointSlice> = slices.iter().collect();
        let tables = compile(&service, &slices, &node);
        let keys: BTreeSet<_> = tables.iter().map(|table| table.key.clone()).collect();
        prop_assert_eq!(keys.len(), tables.len(), "a key is compiled once");
        for table in &tables {
            let v4 = table.key.family == Family::V4;
            for (key, flags) in &table.frontends {
                prop_assert!(flags.kind().is_some());
                let is_port_guard = key.addr() == lb_common::Addr::UNSPECIFIED;
                prop_assert!(is_port_guard || key.addr().is_v4() == v4, "{} in {}", key, table.key);
                prop_assert_eq!(
                    flags.has(FrontendFlags::SOURCE_RANGES) && table.source_ranges.is_none(), false
                );
            }
            for (key, state) in &table.backends {
                prop_assert_eq!(key.addr.is_v4(), v4);
                prop_assert!(key.port.number() != 0);
                prop_assert!(!state.in_local || state.on_node, "a local list keeps to the node");
            }
            let any = |list: fn(&crate::tables::BackendState) -> bool| table.backends.values().any(list);
            prop_assert!(!any(|state| state.in_local) || any(|state| state.in_cluster), "EPS-09");
        }
    }

    #[test]
    fn the_order_of_slices_endpoints_and_ports_is_of_no_matter(
        service in any_service(),
        slices in prop::collection::vec(any_slice(), 0..4)
            .prop_flat_map(|slices| (Just(slices.clone()), Just(slices).prop_shuffle())),
        node in any_node(),
    ) {
        let (slices, mut shuffled) = slices;
        for slice in &mut shuffled {
            slice.endpoints.reverse();
            slice.ports.reverse();
        }
        let before = compile(&service, &slices.iter().collect::<Vec<_>>(), &node);
        prop_assert_eq!(before, compile(&service, &shuffled.iter().collect::<Vec<_>>(), &node));
    }

    #[test]
    fn the_cluster_list_is_empty_exactly_where_nothing_is_ready_nor_ends_serving_eps_09(
        endpoints in prop::collection::btree_map(1_u8..9, endpoint(), 0..6),
        node in any_node(),
    ) {
        let endpoints: Vec<Endpoint> = endpoints
            .into_iter()
            .map(|(last, endpoint)| Endpoint { address: IpAddr::from([10, 244, 1, last]), ..endpoint })
            .collect();
        let has_any = endpoints.iter().any(|one| one.ready || (one.serving && one.terminating));
        let table = only(&super::objects::service(), &[&slice(endpoints)], &node);
        prop_assert_eq!(table.backends.values().any(|state| state.in_cluster), has_any);
    }
}
