//! Numbers taken and free.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::model::{Family, ObjectName};
use crate::source::manifest::config::PortRange;

/// Numbers from 0 on, and whose each one is. A Service can't take what another has; it can take what is its
/// own already (two protocols on one node port, SVC-10).
#[derive(Debug, Clone)]
pub(super) struct Pool {
    size: u128,
    /// Below it are those that are only given when no other is left, so that whoever writes a number into a
    /// manifest finds it free: Kubernetes' «static band» (KEP-3070, KEP-3668).
    band: u128,
    /// Never given, and whoever asks for one gets it nonetheless.
    reserved: u128,
    taken: BTreeMap<u128, ObjectName>,
}

impl Pool {
    fn new(size: u128, band: u128, reserved: u128) -> Self {
        Self { size, band, reserved, taken: BTreeMap::new() }
    }

    pub(super) fn owner(&self, number: u128) -> Option<&ObjectName> {
        self.taken.get(&number)
    }

    pub(super) fn is_free_for(&self, number: u128, service: &ObjectName) -> bool {
        self.owner(number).is_none_or(|owner| owner == service)
    }

    pub(super) fn take(&mut self, number: u128, service: &ObjectName) {
        self.taken.insert(number, service.clone());
    }

    /// A free number. Where to look first is told by the names of the Service and of what the number is for,
    /// so that nodes which give numbers by themselves mostly give the same ones, whatever came before.
    pub(super) fn find(&self, service: &ObjectName, purpose: &str) -> Option<u128> {
        let hash = u128::from(fnv([&service.namespace, "/", &service.name, "/", purpose]));
        let upper = self.find_from(hash, self.band, self.size);
        upper.or_else(|| self.find_from(hash, self.reserved.min(self.band), self.band))
    }

    /// The next free number in `first..end` after the one that `hash` falls on, round the end.
    fn find_from(&self, hash: u128, first: u128, end: u128) -> Option<u128> {
        let size = end.checked_sub(first).filter(|size| *size > 0)?;
        // More steps than there are numbers taken can't be needed.
        let steps = size.min(self.taken.len() as u128 + 1);
        (0..steps).map(|step| first + (hash + step) % size).find(|number| !self.taken.contains_key(number))
    }
}

/// FNV-1a, 64 bits: the same on every node and in every version.
fn fnv<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    parts.into_iter().flat_map(str::bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The ClusterIPs of one service CIDR, counted from its network address.
#[derive(Debug, Clone)]
pub(super) struct AddressPool {
    pub(super) cidr: IpNet,
    pub(super) pool: Pool,
}

impl AddressPool {
    pub(super) fn new(cidr: IpNet) -> Self {
        let bits = u32::from(cidr.max_prefix_len() - cidr.prefix_len());
        let all = 1_u128.checked_shl(bits).unwrap_or(u128::MAX);
        // The last IPv4 address of a network is its broadcast address; IPv6 has none.
        let size = if Family::of(cidr.addr()) == Family::V4 { all - 1 } else { all };
        let band = (size / 16).clamp(16, 256);
        // The network address, and the first one, which is the Service `kubernetes` in every cluster.
        Self { cidr, pool: Pool::new(size, if size > 2 * band { band } else { 2 }, 2) }
    }

    /// The place of an address that a Service may have.
    pub(super) fn place(&self, ip: IpAddr) -> Option<u128> {
        let place = self.cidr.contains(&ip).then(|| bits(ip) - bits(self.cidr.network()))?;
        (1..self.pool.size).contains(&place).then_some(place)
    }

    pub(super) fn address(&self, place: u128) -> IpAddr {
        let bits = bits(self.cidr.network()) + place;
        match self.cidr {
            // The place is within the network, so the upper bits are none.
            IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(bits as u32)),
            IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(bits)),
        }
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The node ports, counted from the first of the range.
#[derive(Debug, Clone)]
pub(super) struct PortPool {
    pub(super) range: PortRange,
    pub(super) pool: Pool,
}

impl PortPool {
    pub(super) fn new(range: PortRange) -> Self {
        let size = u128::from(range.last - range.first) + 1;
        let band = (size / 32).clamp(16, 128);
        Self { range, pool: Pool::new(size, if size > 2 * band { band } else { 0 }, 0) }
    }

    pub(super) fn place(&self, port: u16) -> Option<u128> {
        self.range.contains(port).then(|| u128::from(port - self.range.first))
    }

    pub(super) fn port(&self, place: u128) -> u16 {
        // The place is within the range, so it fits.
        self.range.first + place as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> ObjectName {
        ObjectName::new("default", "web")
    }

    #[test]
    fn every_address_but_network_first_and_broadcast_is_given_once() {
        for (cidr, count, bounds) in [
            ("10.0.0.0/29", 5, ("10.0.0.2", "10.0.0.6")),
            ("10.0.0.0/24", 253, ("10.0.0.2", "10.0.0.254")),
            ("fd00::/120", 254, ("fd00::2", "fd00::ff")),
        ] {
            let mut pool = AddressPool::new(cidr.parse().unwrap());
            let mut given = vec![];
            while let Some(place) = pool.pool.find(&web(), "IPv4") {
                pool.pool.take(place, &web());
                given.push(pool.address(place));
                assert_eq!(pool.place(pool.address(place)), Some(place));
            }
            given.sort();
            given.dedup();
            assert_eq!(given.len(), count, "{cidr}");
            let ends = (given[0].to_string(), given[count - 1].to_string());
            assert_eq!((ends.0.as_str(), ends.1.as_str()), bounds);
        }
    }

    #[test]
    fn numbers_that_people_write_are_given_last() {
        let mut pool = PortPool::new("30000-32767".parse().unwrap());
        let mut given = vec![];
        while let Some(place) = pool.pool.find(&web(), "http") {
            pool.pool.take(place, &web());
            given.push(pool.port(place));
        }
        let (dynamic, fixed) = given.split_at(2768 - 86);
        assert!(dynamic.iter().all(|port| *port >= 30_086));
        assert!(fixed.iter().all(|port| *port < 30_086));
        assert_eq!(given.len(), 2768);
    }

    #[test]
    fn a_whole_ipv6_network_and_a_single_port_are_pools_too() {
        let pool = AddressPool::new("::/0".parse().unwrap());
        assert!(pool.pool.find(&web(), "IPv6").is_some());
        let mut pool = PortPool::new("30000-30000".parse().unwrap());
        assert_eq!(pool.pool.find(&web(), "http"), Some(0));
        pool.pool.take(0, &web());
        assert_eq!(pool.pool.find(&web(), "http"), None);
    }
}
