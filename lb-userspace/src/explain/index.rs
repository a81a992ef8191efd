//! What a question is looked up in: every frontend of the world with the Service port that has it.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::{Addr, FrontendFlags, FrontendKey, FrontendKind};

use crate::compile::claims::{Claim, winner};
use crate::compile::compile;
use crate::compile::endpoints::{self, Selected};
use crate::compile::topology::Reach;
use crate::model::{EndpointSlice, Family, NodeFacts, Service, World};
use crate::tables::{BackendKey, ServiceTable};

/// A world as one node sees it, ready for questions: compiled once, asked often.
#[derive(Debug)]
pub struct Index<'a> {
    pub(super) world: &'a World,
    pub(super) node: &'a NodeFacts,
    pub(super) service_cidrs: &'a [IpNet],
    pub(super) groups: Vec<Group<'a>>,
    places: HashMap<FrontendKey, Place>,
    /// Groups that have an address as ClusterIP (CIP-03).
    cluster_ips: HashMap<Addr, Vec<usize>>,
    /// Groups that a number means something to: node port, port, or target port.
    numbers: HashMap<u16, Vec<usize>>,
    /// Groups that have an address as an endpoint's.
    endpoints: HashMap<IpAddr, Vec<usize>>,
    /// Groups that have an address outside: an external one, or a load balancer's in either mode.
    published: HashMap<IpAddr, Vec<usize>>,
}

/// A Service port in one family.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) service: &'a Service,
    /// Its place in `spec.ports`.
    pub(super) port_index: usize,
    pub(super) table: ServiceTable,
    pub(super) reach: Reach<'a>,
    /// Every endpoint that serves, sorted by its text.
    pub(super) targets: Vec<Target<'a>>,
}

/// An endpoint of a group.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// `ip:port`
    pub(super) text: String,
    pub(super) key: BackendKey,
    pub(super) selected: Selected<'a>,
}

/// Who has a frontend.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Which group has it.
    pub(super) group: usize,
    pub(super) flags: FrontendFlags,
    pub(super) kind: FrontendKind,
    /// Groups that claim it too, in vain, and by which way in (SVC-14, EXT-02).
    pub(super) rivals: Vec<(usize, FrontendKind)>,
}

impl<'a> Index<'a> {
    /// The world as `node` sees it. `service_cidrs` are the networks that ClusterIPs are from: what is in
    /// them and nobody's is dropped (CIP-04).
    pub fn new(world: &'a World, node: &'a NodeFacts, service_cidrs: &'a [IpNet]) -> Self {
        let mut groups = Vec::new();
        for service in world.services() {
            let slices = world.slices_of(&service.name);
            for table in compile(service, &slices, node) {
                groups.extend(Group::new(service, &slices, node, table));
            }
        }
        let mut cluster_ips: HashMap<Addr, Vec<usize>> = HashMap::new();
        let mut numbers: HashMap<u16, Vec<usize>> = HashMap::new();
        let mut endpoints: HashMap<IpAddr, Vec<usize>> = HashMap::new();
        let mut published: HashMap<IpAddr, Vec<usize>> = HashMap::new();
        for (index, group) in groups.iter().enumerate() {
            cluster_ips.entry(group.cluster_ip()).or_default().push(index);
            for number in group.numbers() {
                numbers.entry(number).or_default().push(index);
            }
            let addresses: BTreeSet<Addr> = group.targets.iter().map(|target| target.key.addr).collect();
            for address in addresses {
                endpoints.entry(address.into()).or_default().push(index);
            }
            for ip in group.service.external_ips.iter().chain(group.service.ingress.iter().map(|one| &one.ip))
            {
                published.entry(*ip).or_default().push(index);
            }
        }
        let places = places(&groups);
        Self { world, node, service_cidrs, groups, places, cluster_ips, numbers, endpoints, published }
    }

    /// How many Service ports there are, each family counted.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether nothing is served.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn place(&self, key: &FrontendKey) -> Option<&Place> {
        self.places.get(key)
    }

    /// The groups of the Services that have `ip` as ClusterIP.
    pub(super) fn of_cluster_ip(&self, ip: IpAddr) -> impl Iterator<Item = &Group<'a>> {
        self.named(self.cluster_ips.get(&Addr::from(ip)))
    }

    /// The groups of a family that `number` means something to.
    pub(super) fn of_number(&self, number: u16, family: Family) -> impl Iterator<Item = &Group<'a>> {
        self.named(self.numbers.get(&number)).filter(move |group| group.table.key.family == family)
    }

    /// The groups that have `ip` as the address of an endpoint.
    pub(super) fn of_endpoint(&self, ip: IpAddr) -> impl Iterator<Item = &Group<'a>> {
        self.named(self.endpoints.get(&ip))
    }

    /// The groups that have `ip` as an external address or a load balancer's.
    pub(super) fn of_published(&self, ip: IpAddr) -> impl Iterator<Item = &Group<'a>> {
        self.named(self.published.get(&ip))
    }

    fn named(&self, indices: Option<&Vec<usize>>) -> impl Iterator<Item = &Group<'a>> {
        indices.into_iter().flatten().filter_map(|index| self.groups.get(*index))
    }
}

impl<'a> Group<'a> {
    fn new(
        service: &'a Service,
        slices: &[&'a EndpointSlice],
        node: &'a NodeFacts,
        table: ServiceTable,
    ) -> Option<Self> {
        let port_index = service.ports.iter().position(|port| {
            port.port == table.port && port.name == table.key.port_name && port.protocol == table.key.protocol
        })?;
        let port = service.ports.get(port_index)?;
        let selection = endpoints::select(port, table.key.family, slices, node);
        let mut targets: Vec<Target<'a>> = selection
            .endpoints
            .into_iter()
            .map(|(key, selected)| Target { text: key.to_string(), key, selected })
            .collect();
        targets.sort_by(|one, other| one.text.cmp(&other.text));
        Some(Self { service, port_index, table, reach: selection.reach, targets })
    }

    /// `namespace/name:port`
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.service.name, self.table.port)
    }

    /// `spec.ports[0].port`
    pub(super) fn field(&self, of_port: &str) -> String {
        format!("spec.ports[{}].{of_port}", self.port_index)
    }

    /// The ClusterIP of the family; a group without one is never compiled.
    pub(super) fn cluster_ip(&self) -> Addr {
        self.service.cluster_ip(self.table.key.family).map_or(Addr::UNSPECIFIED, Addr::from)
    }

    /// The endpoints of one of the two lists.
    pub(super) fn list(&self, local: bool) -> impl Iterator<Item = &Target<'a>> {
        self.targets.iter().filter(move |target| {
            let state = target.selected.state;
            if local { state.in_local } else { state.in_cluster }
        })
    }

    /// Every number of this group, once.
    fn numbers(&self) -> Vec<u16> {
        let mut numbers: Vec<u16> = self.targets.iter().map(|target| target.key.port.number()).collect();
        numbers.extend([self.table.port, self.table.node_port]);
        numbers.extend(self.table.target_port.parse::<u16>());
        numbers.retain(|number| *number != 0);
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// Who has each frontend: guards are no frontends.
fn places(groups: &[Group<'_>]) -> HashMap<FrontendKey, Place> {
    let mut claims: HashMap<FrontendKey, Vec<(Claim, FrontendFlags, usize)>> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        for (key, flags) in &group.table.frontends {
            let Some(kind) = flags.kind() else { continue };
            if !matches!(kind, FrontendKind::AddressGuard | FrontendKind::PortGuard) {
                claims.entry(*key).or_default().push((Claim::new(&group.table, *flags), *flags, index));
            }
        }
    }
    let mut places = HashMap::with_capacity(claims.len());
    for (key, claims) in claims {
        let Some(owner) = winner(claims.iter().map(|(claim, ..)| claim)) else { continue };
        let rivals = claims
            .iter()
            .filter(|(claim, ..)| claim != owner)
            .map(|(claim, _, group)| (*group, claim.kind))
            .collect();
        if let Some((claim, flags, group)) = claims.iter().find(|(claim, ..)| claim == owner) {
            places.insert(key, Place { group: *group, flags: *flags, kind: claim.kind, rivals });
        }
    }
    places
}
