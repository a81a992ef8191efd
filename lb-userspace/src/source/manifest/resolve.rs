//! Which version of each Service is in force, with which numbers: the one that its file says, or, where its
//! numbers are another's, the last one that could have what it said.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::allocate::{self, Claimant, Ledger};
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
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) drafts: BTreeMap<ObjectName, Arc<Draft>>,
    pub(super) ledger: Ledger,
    /// Why a wanted version is not in force.
    pub(super) refused: BTreeMap<ObjectName, Fault>,
    /// See [`allocate::Allocation`].
    pub(super) moved: Vec<(ObjectName, String)>,
}

/// `choices` in the order of their files. Ends: each round takes a version away from at least one Service.
pub(super) fn resolve(config: &Config, held: &Ledger, choices: &[Choice]) -> Resolved {
    let mut refused = BTreeMap::new();
    let mut drafts: BTreeMap<ObjectName, (Arc<Draft>, bool)> = choices
        .iter()
        .map(|choice| {
            let is_settled = choice.in_force.as_ref() == Some(&choice.wanted);
            (choice.name.clone(), (Arc::clone(&choice.wanted), is_settled))
        })
        .collect();
    loop {
        let claimants: Vec<Claimant> = choices
            .iter()
            .filter_map(|choice| {
                let (draft, is_settled) = drafts.get(&choice.name)?;
                Some(Claimant { name: &choice.name, draft, is_settled: *is_settled })
            })
            .collect();
        let allocation = allocate::allocate(config, held, &claimants);
        if allocation.refused.is_empty() {
            return Resolved {
                drafts: drafts.into_iter().map(|(name, (draft, _))| (name, draft)).collect(),
                ledger: allocation.ledger,
                refused,
                moved: allocation.moved,
            };
        }
        for choice in choices {
            let Some(fault) = allocation.refused.get(&choice.name) else { continue };
            let had_settled = drafts.remove(&choice.name).is_some_and(|(_, is_settled)| is_settled);
            if let Some(draft) = choice.in_force.clone().filter(|_| !had_settled) {
                drafts.insert(choice.name.clone(), (draft, true));
            }
            refused.entry(choice.name.clone()).or_insert_with(|| fault.clone());
        }
    }
}
