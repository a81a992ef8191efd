//! One round of giving numbers: what manifests say, what was, what is still missing.

use std::collections::BTreeMap;

use lb_common::Proto;

use super::taken::Taken;
use super::{Claimant, Held, Ledger, Numbers, Refusal, given};
use crate::model::ObjectName;
use crate::source::manifest::config::Config;
use crate::source::manifest::decode::Fault;
use crate::source::manifest::object::Draft;

/// The numbers taken so far, and by whom.
pub(super) struct Run {
    pub(super) taken: Taken,
    pub(super) ledger: Ledger,
    pub(super) refused: BTreeMap<ObjectName, Refusal>,
    pub(super) moved: Vec<(ObjectName, String)>,
}

impl Run {
    pub(super) fn new(config: &Config) -> Self {
        Self { taken: Taken::new(config), ledger: Ledger::new(), refused: BTreeMap::new(), moved: vec![] }
    }

    /// All that the manifest says, or none of it.
    pub(super) fn take_given(&mut self, claimant: &Claimant) {
        let (name, draft) = (claimant.name, claimant.draft);
        let conflicts = self.taken.conflicts(draft);
        if !conflicts.is_empty() {
            self.refused.insert(name.clone(), Refusal::Conflict(conflicts));
            return;
        }
        for ip in &draft.service.cluster_ips {
            self.taken.take_ip(*ip, name);
        }
        for (_, port) in given::ports(draft) {
            self.taken.take_port(port, name);
        }
        self.ledger.insert(name.clone(), given::numbers(draft));
    }

    /// What a Service had, where it needs it and still may have it.
    pub(super) fn keep(&mut self, claimant: &Claimant, had: &Numbers) {
        let (name, draft) = (claimant.name, claimant.draft);
        let mut numbers = self.ledger.remove(name).unwrap_or_default();
        for family in &draft.families {
            let Some(ip) = had.cluster_ips.get(family).map(|held| held.number) else { continue };
            if !numbers.cluster_ips.contains_key(family) && self.taken.take_ip(ip, name) {
                numbers.cluster_ips.insert(*family, Held { number: ip, automatic: true });
            }
        }
        if draft.needs_node_ports {
            for port in &draft.service.ports {
                let Some(number) = had.node_ports.get(&port.name).map(|held| held.number) else { continue };
                let is_free = !numbers.node_ports.contains_key(&port.name)
                    && !is_used(draft, &numbers, number, port.protocol);
                if is_free && self.taken.take_port(number, name) {
                    numbers.node_ports.insert(port.name.clone(), Held { number, automatic: true });
                }
            }
        }
        if let (true, None, Some(Held { number, .. })) =
            (draft.needs_health_check_port, numbers.health_check_node_port, had.health_check_node_port)
        {
            let is_own = numbers.node_ports.values().any(|held| held.number == number);
            if !is_own && self.taken.take_port(number, name) {
                numbers.health_check_node_port = Some(Held { number, automatic: true });
            }
        }
        self.ledger.insert(name.clone(), numbers);
    }

    /// What a Service had that isn't here.
    pub(super) fn reserve(&mut self, name: &ObjectName, had: &Numbers) {
        let mut numbers = had.clone();
        numbers.cluster_ips.retain(|_, held| self.taken.take_ip(held.number, name));
        numbers.node_ports.retain(|_, held| self.taken.take_port(held.number, name));
        numbers.health_check_node_port =
            numbers.health_check_node_port.filter(|held| self.taken.take_port(held.number, name));
        if !numbers.is_empty() {
            self.ledger.insert(name.clone(), numbers);
        }
    }

    /// What a Service still lacks, where there is some left. `had` tells what was taken away.
    pub(super) fn fill(&mut self, claimant: &Claimant, had: Option<&Numbers>) {
        let Err(fault) = self.try_fill(claimant, had) else { return };
        let name = claimant.name;
        let takers =
            had.filter(|_| claimant.is_settled).map_or_else(Vec::new, |had| self.taken.takers(name, had));
        for taker in &takers {
            let message = format!("what it says is Service {name}'s, and {}", fault.message);
            self.refused.insert(taker.clone(), Refusal::Exhausted(Fault::new(&fault.field, message)));
        }
        if takers.is_empty() {
            self.refused.insert(name.clone(), Refusal::Exhausted(fault));
        }
    }

    fn try_fill(&mut self, claimant: &Claimant, had: Option<&Numbers>) -> Result<(), Fault> {
        let (name, draft) = (claimant.name, claimant.draft);
        let mut numbers = self.ledger.remove(name).unwrap_or_default();
        for family in &draft.families {
            if numbers.cluster_ips.contains_key(family) {
                continue;
            }
            let number = self.taken.find_ip(*family, name)?;
            numbers.cluster_ips.insert(*family, Held { number, automatic: true });
            self.note_move(name, had.and_then(|had| had.cluster_ips.get(family)), number);
        }
        for port in draft.service.ports.iter().filter(|_| draft.needs_node_ports) {
            if numbers.node_ports.contains_key(&port.name) {
                continue;
            }
            let number = match shared(draft, &numbers, port.port, port.protocol) {
                Some(number) => number,
                None => self.taken.find_port(&port.name, name)?,
            };
            numbers.node_ports.insert(port.name.clone(), Held { number, automatic: true });
            self.note_move(name, had.and_then(|had| had.node_ports.get(&port.name)), number);
        }
        if draft.needs_health_check_port && numbers.health_check_node_port.is_none() {
            // No port's name has a space in it, so this is none of theirs.
            let number = self.taken.find_port("health check", name)?;
            numbers.health_check_node_port = Some(Held { number, automatic: true });
            self.note_move(name, had.and_then(|had| had.health_check_node_port.as_ref()), number);
        }
        if !numbers.is_empty() {
            self.ledger.insert(name.clone(), numbers);
        }
        Ok(())
    }

    fn note_move<T: ToString>(&mut self, name: &ObjectName, had: Option<&Held<T>>, now: T) {
        if let Some(Held { number, .. }) = had {
            let message = format!("{} can't be kept: it has {} now", number.to_string(), now.to_string());
            self.moved.push((name.clone(), message));
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
