//! Which version of each Service is in force, with which numbers: the one that its file says, or, where its
//! numbers are another's, the last one that could have what it said.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Those of them whose numbers are nobody's in the end.
    unowned: BTreeSet<ObjectName>,
    /// See [`Allocation`].
    given: Taken,
    /// See [`Allocation`].
    pub(super) moved: Vec<(ObjectName, String)>,
}

/// `choices` in the order of their files.
pub(super) fn resolve(config: &Config, held: &Ledger, choices: &[Choice]) -> Resolved {
    let mut resolved = resolve_once(config, held, choices);
    let mut moved = vec![];
    // Whoever was refused may be let in when the others are settled. As none of those is ever put out again,
    // this ends; and a second reading of the same files comes to the same.
    while !resolved.refused.is_empty() {
        let settle = |choice: &Choice| Choice {
            in_force: resolved.drafts.get(&choice.name).cloned(),
            ..choice.clone()
        };
        let settled: Vec<Choice> = choices.iter().map(settle).collect();
        let next = resolve_once(config, &resolved.ledger, &settled);
        let is_final = next.drafts == resolved.drafts;
        moved.append(&mut resolved.moved);
        resolved = next;
        if is_final {
            break;
        }
    }
    resolved.moved.splice(0..0, moved);
    while admit_one(config, choices, &mut resolved) {}
    // Who was let in last may have what others were refused for another reason.
    for choice in choices {
        let now = resolved.given.conflicts(&choice.wanted);
        if let Some(reasons) = resolved.refused.get_mut(&choice.name).filter(|_| !now.is_empty()) {
            *reasons = now;
        }
    }
    resolved
}

/// Lets one in whose numbers are nobody's although they were another's when it was refused, or says what really
/// keeps it out. Whether there was one.
fn admit_one(config: &Config, choices: &[Choice], resolved: &mut Resolved) -> bool {
    let Some(choice) = choices.iter().find(|choice| resolved.unowned.contains(&choice.name)) else {
        return false;
    };
    resolved.unowned.remove(&choice.name);
    // All others as they are now: this one alone is new.
    let others = choices.iter().filter_map(|other| {
        let in_force = resolved.drafts.get(&other.name).cloned();
        let wanted = if other.name == choice.name { Some(choice.wanted.clone()) } else { in_force.clone() };
        Some(Choice { name: other.name.clone(), wanted: wanted?, in_force })
    });
    let alone = resolve_once(config, &resolved.ledger, &others.collect::<Vec<_>>());
    match alone.refused.into_iter().next() {
        None => {
            resolved.drafts = alone.drafts;
            resolved.ledger = alone.ledger;
            resolved.given = alone.given;
            resolved.moved.extend(alone.moved);
            resolved.refused.remove(&choice.name);
        }
        Some((_, reasons)) => drop(resolved.refused.insert(choice.name.clone(), reasons)),
    }
    true
}

fn resolve_once(config: &Config, held: &Ledger, choices: &[Choice]) -> Resolved {
    let mut round = Round::new(choices);
    // It ends: each round takes a version away from at least one Service, and gives one back only once.
    loop {
        let allocation = allocate::allocate(config, held, &round.claimants());
        if !allocation.refused.is_empty() {
            round.demote(&allocation);
        } else if !round.promote(&allocation) {
            return round.resolved(allocation);
        }
    }
}

/// The versions that are tried together.
struct Round<'a> {
    choices: &'a [Choice],
    /// And whether each is in force already.
    drafts: BTreeMap<&'a ObjectName, (&'a Arc<Draft>, bool)>,
    refused: BTreeMap<&'a ObjectName, Refusal>,
    /// Services that were given another chance.
    promoted: BTreeSet<&'a ObjectName>,
}

impl<'a> Round<'a> {
    fn new(choices: &'a [Choice]) -> Self {
        let draft = |choice: &'a Choice| {
            (&choice.name, (&choice.wanted, choice.in_force.as_ref() == Some(&choice.wanted)))
        };
        Self {
            choices,
            drafts: choices.iter().map(draft).collect(),
            refused: BTreeMap::new(),
            promoted: BTreeSet::new(),
        }
    }

    fn claimants(&self) -> Vec<Claimant<'a>> {
        let claimant = |choice: &'a Choice| {
            let (draft, is_settled) = *self.drafts.get(&choice.name)?;
            Some(Claimant { name: &choice.name, draft, is_settled })
        };
        self.choices.iter().filter_map(claimant).collect()
    }

    /// Puts those refused back to the version in force, or out where that is what was refused.
    fn demote(&mut self, allocation: &Allocation) {
        for choice in self.choices {
            let Some(refusal) = allocation.refused.get(&choice.name) else { continue };
            let was_settled = self.drafts.remove(&choice.name).is_some_and(|(_, is_settled)| is_settled);
            if let Some(draft) = choice.in_force.as_ref().filter(|_| !was_settled) {
                self.drafts.insert(&choice.name, (draft, true));
            }
            self.refused.entry(&choice.name).or_insert_with(|| refusal.clone());
        }
    }

    /// Lets those try again whose numbers turned out to be nobody's: who took them was refused for another
    /// reason. Those who themselves were refused for lack of a number only come after them, or they would
    /// stand in their way again. Whether there was one.
    fn promote(&mut self, allocation: &Allocation) -> bool {
        let has_chance = |choice: &&Choice| {
            self.refused.contains_key(&choice.name)
                && !self.promoted.contains(&choice.name)
                && allocation.given.conflicts(&choice.wanted).is_empty()
        };
        let lacked = |choice: &&Choice| matches!(self.refused.get(&choice.name), Some(Refusal::Exhausted(_)));
        let candidates = self.choices.iter().filter(has_chance);
        let (last, first): (Vec<&Choice>, Vec<&Choice>) = candidates.partition(lacked);
        let promoted = if first.is_empty() { last } else { first };
        for choice in &promoted {
            self.refused.remove(&choice.name);
            self.promoted.insert(&choice.name);
            self.drafts.insert(&choice.name, (&choice.wanted, false));
        }
        !promoted.is_empty()
    }

    fn resolved(self, allocation: Allocation) -> Resolved {
        let reasons = |choice: &Choice| {
            let refusal = self.refused.get(&choice.name)?;
            let now = allocation.given.conflicts(&choice.wanted);
            Some(match refusal {
                _ if !now.is_empty() => now,
                Refusal::Conflict(first) => first.clone(),
                Refusal::Exhausted(fault) => vec![fault.clone()],
            })
        };
        let refused = self.choices.iter().filter_map(|choice| Some((choice.name.clone(), reasons(choice)?)));
        let is_unowned = |choice: &&Choice| {
            matches!(self.refused.get(&choice.name), Some(Refusal::Conflict(_)))
                && allocation.given.conflicts(&choice.wanted).is_empty()
        };
        Resolved {
            refused: refused.collect(),
            unowned: self.choices.iter().filter(is_unowned).map(|choice| choice.name.clone()).collect(),
            drafts: self
                .drafts
                .iter()
                .map(|(name, (draft, _))| ((*name).clone(), Arc::clone(draft)))
                .collect(),
            ledger: allocation.ledger,
            given: allocation.given,
            moved: allocation.moved,
        }
    }
}
