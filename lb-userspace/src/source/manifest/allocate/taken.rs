//! The numbers of a directory, and whose each one is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pool::{AddressPool, PortPool};
use super::{Numbers, given};
use crate::model::{Family, ObjectName};
use crate::source::manifest::config::Config;
use crate::source::manifest::decode::Fault;
use crate::source::manifest::object::Draft;

/// See the module.
#[derive(Debug, Clone)]
pub(in crate::source::manifest) struct Taken {
    addresses: BTreeMap<Family, AddressPool>,
    ports: PortPool,
}

impl Taken {
    pub(super) fn new(config: &Config) -> Self {
        let cidrs = config.service_cidrs().iter();
        Self {
            addresses: cidrs.map(|cidr| (Family::of(cidr.addr()), AddressPool::new(*cidr))).collect(),
            ports: PortPool::new(config.node_ports()),
        }
    }

    /// Numbers that a manifest says and others have.
    pub(in crate::source::manifest) fn conflicts(&self, draft: &Draft) -> Vec<Fault> {
        let is_others = |owner: &&ObjectName| **owner != draft.service.name;
        let mut conflicts = vec![];
        for ip in &draft.service.cluster_ips {
            if let Some(owner) = self.owner_of_ip(*ip).filter(is_others) {
                let message = format!("{ip} is already Service {owner}'s");
                conflicts.push(Fault::new(given::ip_field(draft, *ip), message));
            }
        }
        for (field, port) in given::ports(draft) {
            if let Some(owner) = self.owner_of_port(port).filter(is_others) {
                conflicts.push(Fault::new(field, format!("{port} is already Service {owner}'s")));
            }
        }
        conflicts
    }

    /// Others that have numbers which a Service had.
    pub(super) fn takers(&self, name: &ObjectName, had: &Numbers) -> Vec<ObjectName> {
        let ips = had.cluster_ips.values().filter_map(|held| self.owner_of_ip(held.number));
        let ports = had.node_ports.values().chain(&had.health_check_node_port);
        let ports = ports.filter_map(|held| self.owner_of_port(held.number));
        ips.chain(ports).filter(|owner| *owner != name).cloned().collect()
    }

    fn owner_of_port(&self, port: u16) -> Option<&ObjectName> {
        self.ports.pool.owner(self.ports.place(port)?)
    }

    fn owner_of_ip(&self, ip: IpAddr) -> Option<&ObjectName> {
        let addresses = self.addresses.get(&Family::of(ip))?;
        addresses.pool.owner(addresses.place(ip)?)
    }

    /// Takes an address unless it is another's, or none that is given to Services.
    pub(super) fn take_ip(&mut self, ip: IpAddr, name: &ObjectName) -> bool {
        let Some(addresses) = self.addresses.get_mut(&Family::of(ip)) else { return false };
        let place = addresses.place(ip).filter(|place| addresses.pool.is_free_for(*place, name));
        place.inspect(|place| addresses.pool.take(*place, name)).is_some()
    }

    /// Takes a port unless it is another's, or out of range.
    pub(super) fn take_port(&mut self, port: u16, name: &ObjectName) -> bool {
        let place = self.ports.place(port).filter(|place| self.ports.pool.is_free_for(*place, name));
        place.inspect(|place| self.ports.pool.take(*place, name)).is_some()
    }

    /// Takes a free address.
    pub(super) fn find_ip(&mut self, family: Family, name: &ObjectName) -> Result<IpAddr, Fault> {
        let fault = || Fault::new("spec.clusterIP", format!("no {family} address is left to give"));
        let addresses = self.addresses.get_mut(&family).ok_or_else(fault)?;
        let place = addresses.pool.find(name, &family.to_string()).ok_or_else(fault)?;
        addresses.pool.take(place, name);
        Ok(addresses.address(place))
    }

    /// Takes a free port.
    pub(super) fn find_port(&mut self, purpose: &str, name: &ObjectName) -> Result<u16, Fault> {
        let place = self.ports.pool.find(name, purpose).ok_or_else(|| {
            Fault::new("spec.ports", format!("no port is left in the node port range {}", self.ports.range))
        })?;
        self.ports.pool.take(place, name);
        Ok(self.ports.port(place))
    }
}
