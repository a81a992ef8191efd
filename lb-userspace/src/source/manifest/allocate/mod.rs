//! Gives Services the numbers that an API server would: ClusterIPs, node ports, health-check ports.
//!
//! Pure. Who comes first, so that the outcome never depends on the order in which files are read:
//!
//! 1. Numbers that manifests say. Of two Services that say the same one, the one that had it keeps it; where
//!    neither had, the first by file name and document. The other is refused as a whole.
//! 2. Numbers that a Service had, whether they were given or its manifest said them then. A Service whose
//!    manifest can't be read at the moment keeps its own too. Where rule 1 took one away, that moves.
//! 3. New numbers, by the Services' names (see [`pool`]).

mod given;
mod ledger;
mod pool;

use std::collections::BTreeMap;

use lb_common::Proto;

pub(super) use self::given::faults;
pub use self::ledger::{Held, Ledger, Numbers};
use self::pool::{AddressPool, PortPool};
use super::config::Config;
use super::decode::Fault;
use super::object::Draft;
use crate::model::{Family, ObjectName, Service};

/// A Service that is to have its numbers.
pub(super) struct Claimant<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) draft: &'a Draft,
    /// It is served as it stands already: what its manifest says is its own.
    pub(super) is_settled: bool,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Allocation {
    /// Numbers of those granted, and of those that are not here.
    pub(super) ledger: Ledger,
    /// Services that can't have what they say or need. Where there is one, the rest is worth nothing: it
    /// may stand in others' way with what it had taken before.
    pub(super) refused: BTreeMap<ObjectName, Fault>,
    /// Services whose number was taken away, and what became of it.
    pub(super) moved: Vec<(ObjectName, String)>,
}

/// `claimants` in the order of their files; `held` without those that are gone for good.
pub(super) fn allocate(config: &Config, held: &Ledger, claimants: &[Claimant]) -> Allocation {
    let mut order: Vec<&Claimant> = claimants.iter().collect();
    order.sort_by_key(|claimant| (!claimant.is_settled, !had_what_it_says(claimant, held)));
    let mut run = Run::new(config);
    for claimant in order {
        run.take_given(claimant);
    }
    let by_name: BTreeMap<&ObjectName, &Claimant> = claimants
        .iter()
        .filter(|claimant| !run.out.refused.contains_key(claimant.name))
        .map(|claimant| (claimant.name, claimant))
        .collect();
    for (name, numbers) in held {
        match by_name.get(name) {
            Some(claimant) => run.keep(claimant, numbers),
            None => run.reserve(name, numbers),
        }
    }
    for (name, claimant) in by_name {
        if let Err(fault) = run.fill(claimant, held.get(name)) {
            run.out.refused.insert(name.clone(), fault);
        }
    }
    run.out
}

/// The Service with its numbers.
pub(super) fn numbered(draft: &Draft, numbers: &Numbers) -> Service {
    let mut service = draft.service.clone();
    service.cluster_ips = draft
        .families
        .iter()
        .filter_map(|family| numbers.cluster_ips.get(family).map(|held| held.number))
        .collect();
    for port in &mut service.ports {
        port.node_port = numbers.node_ports.get(&port.name).map(|held| held.number);
    }
    service.health_check_node_port = numbers.health_check_node_port.map(|held| held.number);
    service
}

fn had_what_it_says(claimant: &Claimant, held: &Ledger) -> bool {
    let given = given::numbers(claimant.draft);
    held.get(claimant.name).is_some_and(|had| {
        let same_ips = given.cluster_ips.iter().any(|(family, ip)| had.cluster_ips.get(family) == Some(ip));
        let same_ports = given.node_ports.iter().any(|(name, port)| had.node_ports.get(name) == Some(port));
        let health = given.health_check_node_port;
        same_ips || same_ports || health.is_some() && health == had.health_check_node_port
    })
}

struct Run {
    addresses: BTreeMap<Family, AddressPool>,
    ports: PortPool,
    out: Allocation,
}

impl Run {
    fn new(config: &Config) -> Self {
        let pools = config.service_cidrs().iter();
        Self {
            addresses: pools.map(|cidr| (Family::of(cidr.addr()), AddressPool::new(*cidr))).collect(),
            ports: PortPool::new(config.node_ports()),
            out: Allocation::default(),
        }
    }

    /// All that the manifest says, or none of it.
    fn take_given(&mut self, claimant: &Claimant) {
        let name = claimant.name;
        let given = given::numbers(claimant.draft);
        let addresses = given.cluster_ips.iter().filter_map(|(family, held)| {
            let place = self.addresses.get(family)?.place(held.number)?;
            Some((*family, held.number, place))
        });
        let addresses: Vec<_> = addresses.collect();
        for (family, ip, place) in &addresses {
            if let Some(owner) = self.addresses[family].pool.owner(*place) {
                let fault = Fault::new(
                    given::ip_field(claimant.draft, *ip),
                    format!("{ip} is already Service {owner}'s"),
                );
                self.out.refused.insert(name.clone(), fault);
                return;
            }
        }
        let ports: Vec<_> = given::ports(claimant.draft).collect();
        for (field, port) in &ports {
            let owner = self.ports.place(*port).and_then(|place| self.ports.pool.owner(place));
            if let Some(owner) = owner {
                let fault = Fault::new(field, format!("{port} is already Service {owner}'s"));
                self.out.refused.insert(name.clone(), fault);
                return;
            }
        }
        for (family, _, place) in addresses {
            if let Some(pool) = self.addresses.get_mut(&family) {
                pool.pool.take(place, name);
            }
        }
        for (_, port) in ports {
            self.take_port(port, name);
        }
        self.out.ledger.insert(name.clone(), given);
    }

    /// What a Service had, where it needs it and still may have it.
    fn keep(&mut self, claimant: &Claimant, had: &Numbers) {
        let (name, draft) = (claimant.name, claimant.draft);
        let mut numbers = self.out.ledger.remove(name).unwrap_or_default();
        for family in &draft.families {
            let Some(ip) = had.cluster_ips.get(family).map(|held| held.number) else { continue };
            if !numbers.cluster_ips.contains_key(family) && self.take_ip_if_free(*family, ip, name) {
                numbers.cluster_ips.insert(*family, Held { number: ip, automatic: true });
            }
        }
        if draft.needs_node_ports {
            for port in &draft.service.ports {
                let Some(number) = had.node_ports.get(&port.name).map(|held| held.number) else { continue };
                let is_free = !numbers.node_ports.contains_key(&port.name)
                    && !is_used(draft, &numbers, number, port.protocol);
                if is_free && self.take_port_if_free(number, name) {
                    numbers.node_ports.insert(port.name.clone(), Held { number, automatic: true });
                }
            }
        }
        if let (true, None, Some(Held { number, .. })) =
            (draft.needs_health_check_port, numbers.health_check_node_port, had.health_check_node_port)
        {
            let is_own = numbers.node_ports.values().any(|held| held.number == number);
            if !is_own && self.take_port_if_free(number, name) {
                numbers.health_check_node_port = Some(Held { number, automatic: true });
            }
        }
        self.out.ledger.insert(name.clone(), numbers);
    }

    /// What a Service had that isn't here.
    fn reserve(&mut self, name: &ObjectName, had: &Numbers) {
        let mut numbers = had.clone();
        numbers.cluster_ips.retain(|family, held| self.take_ip_if_free(*family, held.number, name));
        numbers.node_ports.retain(|_, held| self.take_port_if_free(held.number, name));
        numbers.health_check_node_port =
            numbers.health_check_node_port.filter(|held| self.take_port_if_free(held.number, name));
        if !numbers.is_empty() {
            self.out.ledger.insert(name.clone(), numbers);
        }
    }

    /// What a Service still lacks. `had` tells what was taken away.
    fn fill(&mut self, claimant: &Claimant, had: Option<&Numbers>) -> Result<(), Fault> {
        let (name, draft) = (claimant.name, claimant.draft);
        let mut numbers = self.out.ledger.remove(name).unwrap_or_default();
        for family in &draft.families {
            if numbers.cluster_ips.contains_key(family) {
                continue;
            }
            let number = self.find_ip(*family, name)?;
            numbers.cluster_ips.insert(*family, Held { number, automatic: true });
            self.note_move(name, had.and_then(|had| had.cluster_ips.get(family)), number);
        }
        for port in draft.service.ports.iter().filter(|_| draft.needs_node_ports) {
            if numbers.node_ports.contains_key(&port.name) {
                continue;
            }
            let number = match shared(draft, &numbers, port.port, port.protocol) {
                Some(number) => number,
                None => self.find_port(&port.name, name)?,
            };
            numbers.node_ports.insert(port.name.clone(), Held { number, automatic: true });
            self.note_move(name, had.and_then(|had| had.node_ports.get(&port.name)), number);
        }
        if draft.needs_health_check_port && numbers.health_check_node_port.is_none() {
            // No port's name has a space in it, so this is none of theirs.
            let number = self.find_port("health check", name)?;
            numbers.health_check_node_port = Some(Held { number, automatic: true });
            self.note_move(name, had.and_then(|had| had.health_check_node_port.as_ref()), number);
        }
        if !numbers.is_empty() {
            self.out.ledger.insert(name.clone(), numbers);
        }
        Ok(())
    }

    fn find_ip(&mut self, family: Family, name: &ObjectName) -> Result<std::net::IpAddr, Fault> {
        let fault = || Fault::new("spec.clusterIP", format!("no {family} address is left to give"));
        let addresses = self.addresses.get_mut(&family).ok_or_else(fault)?;
        let place = addresses.pool.find(name, &family.to_string()).ok_or_else(fault)?;
        addresses.pool.take(place, name);
        Ok(addresses.address(place))
    }

    fn find_port(&mut self, purpose: &str, name: &ObjectName) -> Result<u16, Fault> {
        let place = self.ports.pool.find(name, purpose).ok_or_else(|| {
            Fault::new("spec.ports", format!("no port is left in the node port range {}", self.ports.range))
        })?;
        self.ports.pool.take(place, name);
        Ok(self.ports.port(place))
    }

    fn take_port(&mut self, port: u16, name: &ObjectName) {
        if let Some(place) = self.ports.place(port) {
            self.ports.pool.take(place, name);
        }
    }

    fn take_port_if_free(&mut self, port: u16, name: &ObjectName) -> bool {
        let place = self.ports.place(port).filter(|place| self.ports.pool.is_free_for(*place, name));
        place.inspect(|place| self.ports.pool.take(*place, name)).is_some()
    }

    fn take_ip_if_free(&mut self, family: Family, ip: std::net::IpAddr, name: &ObjectName) -> bool {
        let Some(addresses) = self.addresses.get_mut(&family) else { return false };
        let place = addresses.place(ip).filter(|place| addresses.pool.is_free_for(*place, name));
        place.inspect(|place| addresses.pool.take(*place, name)).is_some()
    }

    fn note_move<T: ToString>(&mut self, name: &ObjectName, had: Option<&Held<T>>, now: T) {
        if let Some(Held { number, .. }) = had {
            let message = format!("{} can't be kept: it has {} now", number.to_string(), now.to_string());
            self.out.moved.push((name.clone(), message));
        }
    }
}

/// Whether a node port is this Service's own for the same protocol, or for its health check.
fn is_used(draft: &Draft, numbers: &Numbers, number: u16, protocol: Proto) -> bool {
    let same = |held: &Held<u16>| held.number == number;
    numbers.health_check_node_port.as_ref().is_some_and(same)
        || draft
            .service
            .ports
            .iter()
            .any(|port| port.protocol == protocol && numbers.node_ports.get(&port.name).is_some_and(same))
}

/// The node port of the same port in another protocol: DNS is on one number over TCP and UDP (SVC-10).
fn shared(draft: &Draft, numbers: &Numbers, port: u16, protocol: Proto) -> Option<u16> {
    let others = draft.service.ports.iter().filter(|other| other.port == port && other.protocol != protocol);
    let mut held = others.filter_map(|other| numbers.node_ports.get(&other.name).map(|held| held.number));
    held.find(|number| !is_used(draft, numbers, *number, protocol))
}
