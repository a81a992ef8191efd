//! Which version of each Service is in force, with which numbers: the one that its file says, or, where its
//! numbers are another's, the last one that could have what it said.
//!
//! What is served stays served, and whoever is refused keeps nobody else out. Deciding again what was decided
//! comes to the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::allocate::{self, Allocation, Claimant, Ledger, Refusal, Taken};
use super::config::Config;
use super::decode::Fault;
use super::object::Draft;
use crate::model::ObjectName;

/// The versions of a Service there are.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) name: ObjectName,
    pub(super) wanted: Arc<Draft>,
    pub(super) in_force: Option<Arc<Draft>>,
}

/// What was decided.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) drafts: BTreeMap<ObjectName, Arc<Draft>>,
    pub(super) ledger: Ledger,
    /// Why a wanted version is not in force: by whom it is kept from that, as things stand in the end.
    pub(super) refused: BTreeMap<ObjectName, Vec<Fault>>,
    /// See [`Allocation`].
    pub(super) moved: Vec<(ObjectName, String)>,
}

/// `choices` in the order of their files.
pub(super) fn resolve(config: &Config, held: &Ledger, choices: &[Choice]) -> Resolved {
    let mut round = Round::of(config, held, choices);
    // None that is in force is ever put out, so this ends.
    while !round.refused.is_empty() {
        for choice in choices {
            round.admit(config, choices, choice);
        }
        let mut next = Round::of(config, &round.ledger, &settled(choices, &round.drafts, |_| true));
        if next.drafts == round.drafts {
            break;
        }
        next.moved.splice(0..0, round.moved);
        round = next;
    }
    let reasons = |choice: &Choice| {
        let first = match round.refused.get(&choice.name)? {
            Refusal::Conflict(faults) => faults.clone(),
            Refusal::Exhausted(fault) => vec![fault.clone()],
        };
        let now = round.given.conflicts(&choice.wanted);
        Some((choice.name.clone(), if now.is_empty() { first } else { now }))
    };
    let refused = choices.iter().filter_map(reasons).collect();
    Resolved { drafts: round.drafts, ledger: round.ledger, refused, moved: round.moved }
}

/// The choices with what is in force now; those that are not to change it don't want anything else.
fn settled(
    choices: &[Choice],
    drafts: &BTreeMap<ObjectName, Arc<Draft>>,
    may_change: impl Fn(&ObjectName) -> bool,
) -> Vec<Choice> {
    let choice = |choice: &Choice| {
        let in_force = drafts.get(&choice.name).cloned();
        let wanted = if may_change(&choice.name) { Some(choice.wanted.clone()) } else { in_force.clone() };
        Some(Choice { name: choice.name.clone(), wanted: wanted?, in_force })
    };
    choices.iter().filter_map(choice).collect()
}

/// All that can be in force together.
struct Round {
    drafts: BTreeMap<ObjectName, Arc<Draft>>,
    ledger: Ledger,
    refused: BTreeMap<ObjectName, Refusal>,
    moved: Vec<(ObjectName, String)>,
    given: Taken,
}

impl Round {
    /// Takes a version away from whoever is refused until nobody is: it ends, for there are two of each.
    fn of(config: &Config, held: &Ledger, choices: &[Choice]) -> Self {
        let mut refused = BTreeMap::new();
        let version = |choice: &Choice| {
            let is_settled = choice.in_force.as_ref() == Some(&choice.wanted);
            (choice.name.clone(), (Arc::clone(&choice.wanted), is_settled))
        };
        let mut versions: BTreeMap<ObjectName, (Arc<Draft>, bool)> = choices.iter().map(version).collect();
        loop {
            let claimant = |choice| claimant(choice, &versions);
            let claimants: Vec<Claimant> = choices.iter().filter_map(claimant).collect();
            let allocation: Allocation = allocate::allocate(config, held, &claimants);
            if allocation.refused.is_empty() {
                let Allocation { ledger, moved, given, .. } = allocation;
                let drafts = versions.into_iter().map(|(name, (draft, _))| (name, draft)).collect();
                return Self { drafts, ledger, refused, moved, given };
            }
            for choice in choices {
                let Some(refusal) = allocation.refused.get(&choice.name) else { continue };
                let was_settled = versions.remove(&choice.name).is_some_and(|(_, is_settled)| is_settled);
                if let Some(draft) = choice.in_force.clone().filter(|_| !was_settled) {
                    versions.insert(choice.name.clone(), (draft, true));
                }
                refused.entry(choice.name.clone()).or_insert_with(|| refusal.clone());
            }
        }
    }

    /// Lets one in that was refused for numbers which turned out to be nobody's: who took them was refused for
    /// another reason. It alone changes what is in force.
    fn admit(&mut self, config: &Config, choices: &[Choice], choice: &Choice) {
        let is_conflict = matches!(self.refused.get(&choice.name), Some(Refusal::Conflict(_)));
        if !is_conflict || !self.given.conflicts(&choice.wanted).is_empty() {
            return;
        }
        let alone = settled(choices, &self.drafts, |name| *name == choice.name);
        let mut alone = Self::of(config, &self.ledger, &alone);
        match alone.refused.remove(&choice.name) {
            // What kept it out before is no more, and this is what does now.
            Some(refusal) => drop(self.refused.insert(choice.name.clone(), refusal)),
            None => {
                self.refused.remove(&choice.name);
                self.drafts = alone.drafts;
                self.ledger = alone.ledger;
                self.given = alone.given;
                self.moved.append(&mut alone.moved);
            }
        }
    }
}

fn claimant<'a>(
    choice: &'a Choice,
    versions: &'a BTreeMap<ObjectName, (Arc<Draft>, bool)>,
) -> Option<Claimant<'a>> {
    let (draft, is_settled) = versions.get(&choice.name)?;
    Some(Claimant { name: &choice.name, draft, is_settled: *is_settled })
}
