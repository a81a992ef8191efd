//! Which devices packets of clients arrive by: pure, from what the devices are and what the flags say.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use wildmatch::WildMatch;

use super::links::{Link, LinkKind};

/// A pattern for names of devices: `*` is any text, `?` any character.
#[derive(Debug, Clone, PartialEq)]
pub struct DevicePattern(WildMatch);

/// No device can have such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a pattern for names of devices: {0:?}; write a name, with * for any text and ? for any character"
)]
pub struct PatternError(String);

impl FromStr for DevicePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(PatternError(text.to_owned()));
        }
        Ok(Self(WildMatch::new(text)))
    }
}

impl fmt::Display for DevicePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What the flags say about devices.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceRules {
    /// `--devices`: these lead outside, and no others do. Empty: they are found by addresses and routes.
    pub external: Vec<DevicePattern>,
    /// `--pod-devices`: behind each of these is a pod whose sockets are not hooked.
    pub pods: Vec<DevicePattern>,
    /// Devices that lead to pods are used too, where `pods` does not say which (`--masquerade=always`: a pod
    /// of this node answers to an address of the node then).
    pub all_pods: bool,
    /// `--cluster-cidr`: an address in these is that of a pod's gateway, not one that clients outside dial.
    pub cluster_cidrs: Vec<IpNet>,
}

/// Which way a device leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To clients outside, and to other nodes.
    External,
    /// To a pod.
    Pods,
}

impl Role {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Pods => "pods",
        }
    }
}

/// Why a device is left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// `lo`
    #[error("loopback: the socket hooks serve it")]
    Loopback,
    /// Tunnels of the network layer.
    #[error("its frames have no Ethernet header")]
    NoEthernet,
    /// `--devices` names others.
    #[error("no pattern of --devices names it")]
    NotNamed,
    /// A port of a bridge, a part of a bond.
    #[error("part of {0}, by which its packets arrive")]
    PartOf(String),
    /// Dummies and the like.
    #[error("nothing arrives by a device of this kind")]
    Inert,
    /// A bridge that only pods hang on.
    #[error(
        "bridge of pods: no default route, and no port leads outside; --devices or --pod-devices would take it"
    )]
    PodBridge,
    /// The node's end of a pod's device.
    #[error("leads to a pod, whose sockets are hooked; --pod-devices would take it")]
    PodPair,
    /// Neither address nor default route.
    #[error("has neither an address of the node nor a default route")]
    NoAddress,
}

/// A device, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Which way it leads, or why it is left alone.
    pub role: Result<Role, Why>,
}

impl Device {
    /// Whether a route may lead to it and answers come back by it without being seen. What comes in by a part of
    /// another device is seen, or not, as that device's.
    pub fn is_unseen(&self) -> bool {
        !matches!(self.role, Ok(_) | Err(Why::Loopback | Why::PartOf(_)))
    }
}

impl DeviceRules {
    /// What is to become of each device.
    pub fn choose(&self, links: &[Link]) -> Vec<Device> {
        links
            .iter()
            .map(|link| Device { index: link.index, name: link.name.clone(), role: self.role(link, links) })
            .collect()
    }

    fn role(&self, link: &Link, links: &[Link]) -> Result<Role, Why> {
        if link.kind == LinkKind::Loopback {
            return Err(Why::Loopback);
        }
        let named = |patterns: &[DevicePattern]| patterns.iter().any(|pattern| pattern.0.matches(&link.name));
        let role = if named(&self.external) {
            Role::External
        } else if named(&self.pods) {
            Role::Pods
        } else {
            match self.leads_outside(link, links) {
                Err(Why::PodBridge | Why::PodPair) if self.all_pods => Role::Pods,
                _ if !self.external.is_empty() => return Err(Why::NotNamed),
                outside => outside.map(|()| Role::External)?,
            }
        };
        if link.is_ethernet { Ok(role) } else { Err(Why::NoEthernet) }
    }

    fn leads_outside(&self, link: &Link, links: &[Link]) -> Result<(), Why> {
        let master = link.master.and_then(|index| links.iter().find(|other| other.index == index));
        if let Some(master) = master
            && matches!(master.kind, LinkKind::Bridge | LinkKind::Bond)
        {
            return Err(Why::PartOf(master.name.clone()));
        }
        match link.kind {
            LinkKind::Inert => Err(Why::Inert),
            _ if link.has_default_route => Ok(()),
            LinkKind::Bridge if !has_outer_port(link, links) => Err(Why::PodBridge),
            LinkKind::Pair if !link.addresses.iter().any(|net| self.is_outer(net)) => Err(Why::PodPair),
            _ if link.addresses.is_empty() => Err(Why::NoAddress),
            _ => Ok(()),
        }
    }

    /// Whether an address of a pair is the node's own one: a plugin that joins each pod by a pair gives the
    /// node's end the address of the gateway, alone in its prefix.
    fn is_outer(&self, net: &IpNet) -> bool {
        net.prefix_len() < net.max_prefix_len()
            && !self.cluster_cidrs.iter().any(|cidr| cidr.contains(&net.addr()))
    }
}

/// Whether something other than pods hangs on a bridge.
fn has_outer_port(bridge: &Link, links: &[Link]) -> bool {
    links.iter().any(|link| {
        link.master == Some(bridge.index) && !matches!(link.kind, LinkKind::Pair | LinkKind::Inert)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, kind: LinkKind) -> Link {
        Link { index, name: name.to_owned(), kind, is_ethernet: true, ..Link::default() }
    }

    fn with_address(mut link: Link, address: &str) -> Link {
        link.addresses.push(address.parse().expect(address));
        link
    }

    fn patterns(texts: &[&str]) -> Vec<DevicePattern> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[track_caller]
    fn check(rules: &DeviceRules, links: &[Link], expected: &[(&str, Result<Role, Why>)]) {
        let chosen: Vec<_> =
            rules.choose(links).into_iter().map(|device| (device.name, device.role)).collect();
        let expected: Vec<_> =
            expected.iter().map(|(name, role)| ((*name).to_owned(), role.clone())).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn devices_with_an_address_or_a_default_route_lead_outside() {
        let links = [
            link(1, "lo", LinkKind::Loopback),
            with_address(link(2, "eth0", LinkKind::Other), "192.168.0.2/24"),
            Link { has_default_route: true, ..link(3, "eth1", LinkKind::Other) },
            with_address(link(4, "eth0.7", LinkKind::Other), "fd00::2/64"),
            link(5, "eth2", LinkKind::Other),
            with_address(link(6, "kube-ipvs0", LinkKind::Inert), "10.96.0.1/32"),
            with_address(link(7, "flannel.1", LinkKind::Other), "10.244.1.0/32"),
            Link { is_ethernet: false, ..with_address(link(8, "tunl0", LinkKind::Other), "10.244.1.0/32") },
        ];
        let expected = [
            ("lo", Err(Why::Loopback)),
            ("eth0", Ok(Role::External)),
            ("eth1", Ok(Role::External)),
            ("eth0.7", Ok(Role::External)),
            ("eth2", Err(Why::NoAddress)),
            ("kube-ipvs0", Err(Why::Inert)),
            ("flannel.1", Ok(Role::External)),
            ("tunl0", Err(Why::NoEthernet)),
        ];
        check(&DeviceRules::default(), &links, &expected);
    }

    #[test]
    fn a_bond_stands_for_its_parts_and_a_bridge_for_its_ports() {
        let part = |index, name| Link { master: Some(1), ..link(index, name, LinkKind::Other) };
        let bond = with_address(link(1, "bond0", LinkKind::Bond), "192.168.0.2/24");
        let outer = with_address(link(4, "br0", LinkKind::Bridge), "192.168.1.2/24");
        let port = Link { master: Some(4), ..link(5, "eth2", LinkKind::Other) };
        let expected = [
            ("bond0", Ok(Role::External)),
            ("eth0", Err(Why::PartOf("bond0".to_owned()))),
            ("eth1", Err(Why::PartOf("bond0".to_owned()))),
            ("br0", Ok(Role::External)),
            ("eth2", Err(Why::PartOf("br0".to_owned()))),
        ];
        check(&DeviceRules::default(), &[bond, part(2, "eth0"), part(3, "eth1"), outer, port], &expected);
    }

    #[test]
    fn what_leads_to_pods_is_left_alone_until_it_is_asked_for() {
        let bridge = with_address(link(2, "cni0", LinkKind::Bridge), "10.244.1.1/24");
        let port = Link { master: Some(2), ..link(3, "veth1", LinkKind::Pair) };
        let gateway = with_address(link(4, "veth2", LinkKind::Pair), "10.244.1.1/32");
        let node = with_address(link(5, "eth0", LinkKind::Pair), "172.18.0.2/16");
        let links = [bridge, port, gateway, node];
        let expected = [
            ("cni0", Err(Why::PodBridge)),
            ("veth1", Err(Why::PartOf("cni0".to_owned()))),
            ("veth2", Err(Why::PodPair)),
            ("eth0", Ok(Role::External)),
        ];
        check(&DeviceRules::default(), &links, &expected);
        let rules = DeviceRules { pods: patterns(&["veth*"]), ..DeviceRules::default() };
        let expected = [
            ("cni0", Err(Why::PodBridge)),
            ("veth1", Ok(Role::Pods)),
            ("veth2", Ok(Role::Pods)),
            ("eth0", Ok(Role::External)),
        ];
        check(&rules, &links, &expected);
    }

    #[test]
    fn what_leads_to_pods_is_used_where_pods_answer_to_the_node() {
        let bridge = with_address(link(2, "cni0", LinkKind::Bridge), "10.244.1.1/24");
        let port = Link { master: Some(2), ..link(3, "veth1", LinkKind::Pair) };
        let pair = link(4, "cali1", LinkKind::Pair);
        let rules = DeviceRules { all_pods: true, ..DeviceRules::default() };
        let expected = [
            ("cni0", Ok(Role::Pods)),
            ("veth1", Err(Why::PartOf("cni0".to_owned()))),
            ("cali1", Ok(Role::Pods)),
        ];
        check(&rules, &[bridge, port, pair], &expected);
    }

    #[test]
    fn an_address_among_the_pods_makes_no_pair_lead_outside() {
        let pair = with_address(link(2, "veth1", LinkKind::Pair), "10.244.1.1/24");
        let rules = DeviceRules {
            cluster_cidrs: vec!["10.244.0.0/16".parse().expect("a network")],
            ..DeviceRules::default()
        };
        check(&rules, &[pair], &[("veth1", Err(Why::PodPair))]);
    }

    #[test]
    fn patterns_take_the_place_of_what_would_be_found() {
        let links = [
            with_address(link(2, "eth0", LinkKind::Other), "192.168.0.2/24"),
            link(3, "ens5", LinkKind::Other),
            Link { is_ethernet: false, ..link(4, "ens6", LinkKind::Other) },
        ];
        let rules = DeviceRules { external: patterns(&["ens?"]), ..DeviceRules::default() };
        let expected =
            [("eth0", Err(Why::NotNamed)), ("ens5", Ok(Role::External)), ("ens6", Err(Why::NoEthernet))];
        check(&rules, &links, &expected);
    }

    #[test]
    fn what_no_device_can_be_called_is_no_pattern() {
        for text in ["", "eth 0", "eth/0"] {
            assert_eq!(text.parse::<DevicePattern>(), Err(PatternError(text.to_owned())));
        }
    }
}
