//! What the packet path is told of the node: pure, from its devices and the flags.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::{Addr, NodeConfig, NodeFlags, PortRange, RangeSet};

use super::devices::{Device, Role};
use super::links::Link;
use super::ports::MasqueradePorts;
use crate::model::Family;
use crate::reconcile::{NodePath, Range};

/// What the flags say, and the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFacts {
    /// `--node-ip`; empty where addresses are found.
    pub node_ips: Vec<IpAddr>,
    /// `--cluster-cidr`
    pub cluster_cidrs: Vec<IpNet>,
    /// `--service-cidr`
    pub service_cidrs: Vec<IpNet>,
    /// `--node-port-range`
    pub node_ports: PortRange,
    /// `--no-vip-ping` was not given.
    pub vip_ping: bool,
    /// Whether the kernel tells the source address of a route (Linux 6.7).
    pub fib_source: bool,
}

/// What the packet path is told where the node has these devices, used as `devices` says, and the kernel gives
/// `local_ports` to sockets.
pub fn path(facts: &PathFacts, links: &[Link], devices: &[Device], local_ports: PortRange) -> NodePath {
    let masquerade =
        |family| masquerade_address(facts, links, devices, family).map_or(Addr::UNSPECIFIED, Addr::from);
    let service_cidrs = apart_from(&facts.service_cidrs, links);
    let leads_to_pods = devices.iter().any(|device| device.role == Ok(Role::Pods));
    let flags = NodeFlags::empty()
        .with_if(facts.vip_ping, NodeFlags::VIP_PING)
        .with_if(facts.fib_source, NodeFlags::FIB_SOURCE)
        .with_if(leads_to_pods, NodeFlags::POD_DEVICES)
        .with_if(!facts.cluster_cidrs.is_empty(), NodeFlags::POD_RANGES)
        .with_if(!service_cidrs.is_empty(), NodeFlags::CLUSTER_IP_RANGES);
    let MasqueradePorts { ranges: ports, are_shared } = MasqueradePorts::new(local_ports, facts.node_ports);
    let flags = flags.with_if(are_shared, NodeFlags::SHARED_PORTS);
    let ranges = |set, nets: &[IpNet]| nets.iter().map(|net| Range::new(set, net)).collect::<BTreeSet<_>>();
    let mut all_ranges = ranges(RangeSet::PODS, &facts.cluster_cidrs);
    all_ranges.extend(ranges(RangeSet::CLUSTER_IPS, &service_cidrs));
    let unseen = devices.iter().filter(|device| device.is_unseen());
    all_ranges.extend(unseen.map(|device| Range::device(RangeSet::UNSEEN_DEVICES, device.index)));
    let addresses = links.iter().flat_map(|link| link.addresses.iter().map(IpNet::addr));
    NodePath {
        config: NodeConfig::new(masquerade(Family::V4), masquerade(Family::V6), ports, flags),
        addresses: addresses.chain(facts.node_ips.iter().copied()).map(Addr::from).collect(),
        ranges: all_ranges,
        service_cidrs,
    }
}

/// Those in which the node has no network of its own: what has no Service there is dropped (CIP-04), and the
/// flag's default may happen to be somebody's network.
fn apart_from(cidrs: &[IpNet], links: &[Link]) -> Vec<IpNet> {
    let overlap = |a: &IpNet, b: &IpNet| a.contains(&b.network()) || b.contains(&a.network());
    let is_apart =
        |cidr: &&IpNet| !links.iter().flat_map(|link| &link.addresses).any(|net| overlap(cidr, net));
    cidrs.iter().filter(is_apart).copied().collect()
}

/// The address that stands for the node where a route has none of its own: the one that the node is known by,
/// else one of the device with the default route, else of any device that leads outside.
fn masquerade_address(
    facts: &PathFacts,
    links: &[Link],
    devices: &[Device],
    family: Family,
) -> Option<IpAddr> {
    let of_family = |ip: &IpAddr| Family::of(*ip) == family;
    if let Some(ip) = facts.node_ips.iter().copied().find(of_family) {
        return Some(ip);
    }
    let is_external = |link: &Link| {
        devices.iter().any(|device| device.index == link.index && device.role == Ok(Role::External))
    };
    let mut external: Vec<&Link> = links.iter().filter(|link| is_external(link)).collect();
    external.sort_by_key(|link| (!link.has_default_route, link.index));
    external.into_iter().flat_map(|link| &link.addresses).map(IpNet::addr).find(of_family)
}

#[cfg(test)]
mod tests {
    use lb_common::RangeKey;

    use super::*;
    use crate::node::devices::DeviceRules;
    use crate::node::links::LinkKind;

    const LOCAL: PortRange = PortRange::new(32_768, 60_999);

    fn facts() -> PathFacts {
        PathFacts {
            node_ips: Vec::new(),
            cluster_cidrs: Vec::new(),
            service_cidrs: Vec::new(),
            node_ports: PortRange::new(30_000, 32_767),
            vip_ping: true,
            fib_source: false,
        }
    }

    fn link(index: u32, kind: LinkKind, addresses: &[&str]) -> Link {
        let addresses = addresses.iter().map(|text| text.parse().expect(text)).collect();
        Link { index, name: format!("dev{index}"), kind, is_ethernet: true, addresses, ..Link::default() }
    }

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().expect(text).into()
    }

    fn of(facts: &PathFacts, links: &[Link]) -> NodePath {
        path(facts, links, &DeviceRules::default().choose(links), LOCAL)
    }

    #[test]
    fn clients_are_masqueraded_with_the_address_toward_the_default_route() {
        let bridge = link(1, LinkKind::Bridge, &["10.244.1.1/24"]);
        let storage = link(2, LinkKind::Other, &["10.9.0.2/24"]);
        let uplink =
            Link { has_default_route: true, ..link(3, LinkKind::Other, &["192.168.0.2/24", "fd00::2/64"]) };
        let path = of(&facts(), &[bridge, storage, uplink]);
        assert_eq!(path.config.masquerade(addr("192.0.2.1")), addr("192.168.0.2"));
        assert_eq!(path.config.masquerade(addr("fd00::9")), addr("fd00::2"));
        let all = ["10.244.1.1", "10.9.0.2", "192.168.0.2", "fd00::2"].map(addr);
        assert_eq!(path.addresses, BTreeSet::from(all));
    }

    #[test]
    fn clients_are_masqueraded_with_the_address_that_the_node_is_said_to_have() {
        let facts = PathFacts { node_ips: vec!["192.168.0.7".parse().expect("an address")], ..facts() };
        let path = of(&facts, &[link(2, LinkKind::Other, &["192.168.0.2/24", "fd00::2/64"])]);
        assert_eq!(path.config.masquerade(addr("192.0.2.1")), addr("192.168.0.7"));
        assert_eq!(path.config.masquerade(addr("fd00::9")), addr("fd00::2"));
        assert!(path.addresses.contains(&addr("192.168.0.7")));
    }

    #[test]
    fn without_an_address_of_a_family_nothing_of_it_is_masqueraded() {
        let path = of(&facts(), &[link(2, LinkKind::Other, &["192.168.0.2/24"])]);
        assert_eq!(path.config.masquerade(addr("fd00::9")), Addr::UNSPECIFIED);
    }

    #[test]
    fn a_network_of_the_node_is_never_taken_for_that_of_services() {
        let facts = PathFacts { service_cidrs: vec!["10.96.0.0/12".parse().expect("a network")], ..facts() };
        let path = of(&facts, &[link(2, LinkKind::Other, &["10.100.0.2/24"])]);
        assert_eq!(path.ranges, BTreeSet::new());
        assert!(!path.config.flags().has(NodeFlags::CLUSTER_IP_RANGES));
    }

    #[test]
    fn flags_say_which_ranges_there_are() {
        let net = |text: &str| text.parse::<IpNet>().expect(text);
        let facts = PathFacts {
            cluster_cidrs: vec![net("10.244.0.0/16")],
            service_cidrs: vec![net("10.96.0.0/12"), net("fd00:10:96::/112")],
            ..facts()
        };
        let path = of(&facts, &[]);
        let flags = NodeFlags::VIP_PING.with(NodeFlags::POD_RANGES).with(NodeFlags::CLUSTER_IP_RANGES);
        assert_eq!(path.config.flags(), flags);
        assert_eq!(path.ranges.len(), 3);
        assert_eq!(of(&self::facts(), &[]).ranges, BTreeSet::new());
    }

    #[test]
    fn devices_that_lead_somewhere_and_have_no_programs_are_told() {
        let bridge = link(2, LinkKind::Bridge, &["10.244.1.1/24"]);
        let port = Link { master: Some(2), ..link(3, LinkKind::Pair, &[]) };
        let links = [
            link(1, LinkKind::Loopback, &[]),
            bridge,
            port,
            link(4, LinkKind::Pair, &[]),
            link(5, LinkKind::Other, &["192.168.0.2/24"]),
            Link { is_ethernet: false, ..link(6, LinkKind::Other, &["10.244.1.0/32"]) },
        ];
        let unseen = |rules: DeviceRules| {
            let ranges = path(&facts(), &links, &rules.choose(&links), LOCAL).ranges;
            ranges.into_iter().map(|range| range.key).collect::<Vec<_>>()
        };
        let keys = |devices: &[u32]| {
            let keys = devices.iter().map(|index| RangeKey::device(RangeSet::UNSEEN_DEVICES, *index));
            keys.collect::<Vec<_>>()
        };
        assert_eq!(unseen(DeviceRules::default()), keys(&[2, 4, 6]));
        assert_eq!(unseen(DeviceRules { all_pods: true, ..DeviceRules::default() }), keys(&[6]));
    }

    #[test]
    fn where_sockets_have_all_ports_they_share_them() {
        let path = path(&facts(), &[], &[], PortRange::new(1_024, 65_535));
        assert!(path.config.flags().has(NodeFlags::SHARED_PORTS));
        assert!(path.config.port_count() > 30_000);
        assert!(!of(&facts(), &[]).config.flags().has(NodeFlags::SHARED_PORTS));
    }
}
