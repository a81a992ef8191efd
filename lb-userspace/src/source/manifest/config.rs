//! What numbers there are to give, and which node this is.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::Family;

/// Ports from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// At least 1.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}

impl PortRange {
    /// Whether it has the port.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Options that can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not as in `30000-32767`.
    #[error("{0:?} is not a range of ports: FIRST-LAST, each 1 to 65535")]
    PortRange(String),
    /// At most one service CIDR of a family can be allocated from.
    #[error("{0} is a second {1} service CIDR")]
    SecondCidr(IpNet, Family),
    /// Nothing to allocate from.
    #[error("there is no service CIDR")]
    NoCidr,
    /// Its first and its last address are not given to Services.
    #[error("service CIDR {0} has no address for a Service")]
    TinyCidr(IpNet),
}

impl FromStr for PortRange {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let bounds = text.split_once('-').and_then(|(first, last)| {
            Some(Self { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        });
        bounds
            .filter(|range| range.first != 0 && range.first <= range.last)
            .ok_or_else(|| ConfigError::PortRange(text.to_owned()))
    }
}

/// What the API server would be told by its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    service_cidrs: Vec<IpNet>,
    node_ports: PortRange,
    node_name: Option<String>,
}

impl Default for Config {
    /// kubeadm's `10.96.0.0/12` with `fd00:10:96::/112` beside it, and the API server's port range.
    fn default() -> Self {
        Self {
            service_cidrs: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0), 112)),
            ],
            node_ports: PortRange { first: 30_000, last: 32_767 },
            node_name: None,
        }
    }
}

impl Config {
    /// `service_cidrs`: the first one's family is that of Services which don't say. `node_name`: whose zone
    /// label is of interest.
    ///
    /// # Errors
    ///
    /// No service CIDR, two of one family, or one too small.
    pub fn new(
        service_cidrs: &[IpNet],
        node_ports: PortRange,
        node_name: Option<String>,
    ) -> Result<Self, ConfigError> {
        let service_cidrs: Vec<IpNet> = service_cidrs.iter().map(IpNet::trunc).collect();
        if service_cidrs.is_empty() {
            return Err(ConfigError::NoCidr);
        }
        for (index, cidr) in service_cidrs.iter().enumerate() {
            let family = Family::of(cidr.addr());
            if service_cidrs[..index].iter().any(|other| Family::of(other.addr()) == family) {
                return Err(ConfigError::SecondCidr(*cidr, family));
            }
            if cidr.max_prefix_len() - cidr.prefix_len() < 2 {
                return Err(ConfigError::TinyCidr(*cidr));
            }
        }
        Ok(Self { service_cidrs, node_ports, node_name })
    }

    /// Where ClusterIPs are from.
    pub fn service_cidrs(&self) -> &[IpNet] {
        &self.service_cidrs
    }

    /// Where node ports are from.
    pub fn node_ports(&self) -> PortRange {
        self.node_ports
    }

    /// The node this is.
    pub fn node_name(&self) -> Option<&str> {
        self.node_name.as_deref()
    }

    /// The service CIDR of a family.
    pub(super) fn cidr(&self, family: Family) -> Option<IpNet> {
        self.service_cidrs.iter().copied().find(|cidr| Family::of(cidr.addr()) == family)
    }

    /// The family of Services which don't say.
    pub(super) fn primary_family(&self) -> Family {
        self.service_cidrs.first().map_or(Family::V4, |cidr| Family::of(cidr.addr()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_reads_what_it_prints_and_nothing_else() {
        let range: PortRange = "30000-32767".parse().unwrap();
        assert_eq!(range.to_string(), "30000-32767");
        assert!(range.contains(30000) && range.contains(32767) && !range.contains(32768));
        for text in ["", "30000", "0-10", "10-9", "1-65536", "a-b", "1-2-3"] {
            assert_eq!(text.parse::<PortRange>(), Err(ConfigError::PortRange(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn there_is_at_most_one_service_cidr_of_a_family() {
        let new = |texts: &[&str]| {
            let cidrs: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
            Config::new(&cidrs, Config::default().node_ports(), None).map(|config| config.primary_family())
        };
        assert_eq!(new(&["fd00::/112", "10.0.0.0/24"]), Ok(Family::V6));
        assert_eq!(new(&["10.0.0.5/24"]), Ok(Family::V4));
        assert_eq!(new(&[]), Err(ConfigError::NoCidr));
        assert!(matches!(new(&["10.0.0.0/24", "10.1.0.0/24"]), Err(ConfigError::SecondCidr(_, Family::V4))));
        assert!(matches!(new(&["10.0.0.0/31"]), Err(ConfigError::TinyCidr(_))));
    }
}
