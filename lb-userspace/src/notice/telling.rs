//! From what the engine reports to notices: pure but for their sending.

use std::collections::BTreeSet;

use super::{Notice, Notices, Reason};
use crate::engine::Report;
use crate::model::{ObjectName, Uid, World};
use crate::reconcile::Refusal;

/// Tells the owners of Services what of them is not in force.
#[derive(Debug)]
pub struct Telling {
    notices: Notices,
    refused: Refused,
}

impl Telling {
    /// By these.
    pub fn new(notices: Notices) -> Self {
        Self { notices, refused: Refused::default() }
    }

    /// What a report has that is new.
    pub fn tell(&mut self, report: &Report, world: &World) {
        let uid = |name: &ObjectName| world.service(name)?.uid;
        let contests = report.contests.iter().flat_map(|contest| Notice::of_contest(contest, uid));
        let refused = self.refused.take(&report.refusals, uid);
        contests.chain(refused).for_each(|notice| self.notices.tell(notice));
    }
}

/// The Services that are refused as of the last report: each report has all that are.
#[derive(Debug, Default)]
pub(super) struct Refused {
    services: BTreeSet<ObjectName>,
}

impl Refused {
    /// These are refused now: one notice for each Service that was not before.
    pub(super) fn take(
        &mut self,
        refusals: &[Refusal],
        uid: impl Fn(&ObjectName) -> Option<Uid>,
    ) -> Vec<Notice> {
        let mut now = BTreeSet::new();
        let mut notices = Vec::new();
        for refusal in refusals {
            let Some(key) = &refusal.service else { continue };
            if now.insert(key.service.clone()) && !self.services.contains(&key.service) {
                let note = format!(
                    "not in force on this node: {}; it is tried again with every change",
                    refusal.message
                );
                notices.push(Notice::of_service(&key.service, uid(&key.service), Reason::NotInForce, note));
            }
        }
        self.services = now;
        notices
    }
}
