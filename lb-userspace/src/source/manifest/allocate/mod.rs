//! Gives Services the numbers that an API server would: ClusterIPs, node ports, health-check ports.
//!
//! Pure. Who comes first, so that the outcome never depends on the order in which files are read:
//!
//! 1. Numbers that manifests say. Of two Services that say the same one, the one that had it keeps it; where
//!    neither had, the first by file name and document. The other is refused as a whole.
//! 2. Numbers that a Service had, whether they were given or its manifest said them then. A Service whose
//!    manifest can't be read at the moment keeps its own too. Where rule 1 took one away, that moves.
//! 3. New numbers, by the Services' names (see [`pool`]). Where none is left, it is the newcomer that goes
//!    without, also when that is who took a number by rule 1: what is served stays served.

mod given;
mod ledger;
mod pool;
mod run;
mod taken;

use std::collections::BTreeMap;

pub(super) use self::given::faults;
pub use self::ledger::{Held, Ledger, Numbers};
use self::run::Run;
pub(super) use self::taken::Taken;
use super::config::Config;
use super::decode::Fault;
use super::object::Draft;
use crate::model::{ObjectName, Service};

/// A Service that is to have its numbers.
pub(super) struct Claimant<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) draft: &'a Draft,
    /// It is served as it stands already: what its manifest says is its own.
    pub(super) is_settled: bool,
}

/// Why a Service can't have what it says or needs.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    /// Others have numbers that it says.
    Conflict(Vec<Fault>),
    /// There is none left to give.
    Exhausted(Fault),
}

/// What came out.
#[derive(Debug)]
pub(super) struct Allocation {
    /// Numbers of those granted, and of those that are not here.
    pub(super) ledger: Ledger,
    /// Where there is one, the rest is worth nothing: it may stand in others' way with what it had taken
    /// before.
    pub(super) refused: BTreeMap<ObjectName, Refusal>,
    /// Services whose number was taken away, and what became of it.
    pub(super) moved: Vec<(ObjectName, String)>,
    /// The numbers that manifests say, and whose they are.
    pub(super) given: Taken,
}

/// `claimants` in the order of their files; `held` without those that are gone for good.
pub(super) fn allocate(config: &Config, held: &Ledger, claimants: &[Claimant]) -> Allocation {
    let mut order: Vec<&Claimant> = claimants.iter().collect();
    order.sort_by_key(|claimant| (!claimant.is_settled, !had_what_it_says(claimant, held)));
    let mut run = Run::new(config);
    for claimant in order {
        run.take_given(claimant);
    }
    let given = run.taken.clone();
    let by_name: BTreeMap<&ObjectName, &Claimant> = claimants
        .iter()
        .filter(|claimant| !run.refused.contains_key(claimant.name))
        .map(|claimant| (claimant.name, claimant))
        .collect();
    for (name, numbers) in held {
        match by_name.get(name) {
            Some(claimant) => run.keep(claimant, numbers),
            None => run.reserve(name, numbers),
        }
    }
    let mut order: Vec<&Claimant> = by_name.into_values().collect();
    order.sort_by_key(|claimant| !held.contains_key(claimant.name));
    for claimant in order {
        run.fill(claimant, held.get(claimant.name));
    }
    Allocation { ledger: run.ledger, refused: run.refused, moved: run.moved, given }
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
