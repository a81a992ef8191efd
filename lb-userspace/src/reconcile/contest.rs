//! Addresses and ports that several Services claim (SVC-14, EXT-02): who has them, and who goes without.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lb_common::{FrontendKey, FrontendKind};

use super::claims::Claims;
use crate::compile::claims::{Claim, winner};
use crate::tables::ServiceKey;

/// So many of those that go without are named in a line: anybody can claim an address, and any number of times.
const NAMED: usize = 5;

/// A frontend that one Service has and others claim in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contest {
    /// What is claimed.
    pub frontend: FrontendKey,
    /// Who has it.
    pub owner: ServiceKey,
    /// Who goes without.
    pub others: BTreeSet<ServiceKey>,
}

impl Contest {
    /// Among these claims to `frontend`; `None` where all are of one Service, or guards, which are shared.
    fn among(frontend: FrontendKey, claims: &Claims) -> Option<Self> {
        let is_guard =
            |claim: &&Claim| matches!(claim.kind, FrontendKind::AddressGuard | FrontendKind::PortGuard);
        let owner = winner(claims.iter()).filter(|claim| !is_guard(claim))?;
        let in_vain =
            claims.iter().filter(|claim| !is_guard(claim) && claim.key.service != owner.key.service);
        let others: BTreeSet<ServiceKey> = in_vain.map(|claim| claim.key.clone()).collect();
        (!others.is_empty()).then(|| Self { frontend, owner: owner.key.clone(), others })
    }
}

impl fmt::Display for Contest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frontend, owner, others } = self;
        write!(f, "{frontend} is claimed by several Services: {owner} has it,")?;
        for (index, other) in others.iter().take(NAMED).enumerate() {
            write!(f, "{} {other}", if index == 0 { "" } else { "," })?;
        }
        match others.len().saturating_sub(NAMED) {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        f.write_str(" goes without; the older Service has an address, and an address before a node port")
    }
}

/// The contests that there are, and those not told yet.
#[derive(Debug, Default)]
pub(super) struct Contests {
    known: BTreeMap<FrontendKey, Contest>,
    fresh: Vec<Contest>,
}

impl Contests {
    /// The claims to a frontend are these now.
    pub(super) fn look(&mut self, frontend: FrontendKey, claims: Option<&Claims>) {
        let Some(contest) = claims.and_then(|claims| Contest::among(frontend, claims)) else {
            self.known.remove(&frontend);
            return;
        };
        if self.known.get(&frontend) != Some(&contest) {
            self.known.insert(frontend, contest.clone());
            self.fresh.push(contest);
        }
    }

    /// Those that are new, or have another outcome, since the last call.
    pub(super) fn take(&mut self) -> Vec<Contest> {
        std::mem::take(&mut self.fresh)
    }
}

#[cfg(test)]
mod tests {
    use lb_common::{Addr, Port, Proto};

    use super::*;
    use crate::model::{Family, ObjectName};

    #[test]
    fn of_ten_thousand_that_claim_one_address_a_few_are_named() {
        let key = |number: u32| ServiceKey {
            service: ObjectName::new("default", format!("s{number:05}")),
            port_name: String::new(),
            protocol: Proto::TCP,
            family: Family::V4,
        };
        let address = Addr::from(std::net::IpAddr::from([203, 0, 113, 1]));
        let frontend = FrontendKey::new(address, Port::new(80), Proto::TCP);
        let contest = Contest { frontend, owner: key(0), others: (1..10_000).map(key).collect() };
        let line = contest.to_string();
        assert!(line.contains("default/s00005 TCP IPv4 and 9994 more goes without"), "{line}");
        assert!(!line.contains("s00006"), "{line}");
    }
}
