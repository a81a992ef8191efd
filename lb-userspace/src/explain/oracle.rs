//! Whoever is asked: the objects, the maps, or both against each other.

use super::{Answer, Index, Live, Question};
use crate::reconcile::Observed;

/// What answers come from.
pub(super) struct Oracle<'a> {
    pub(super) index: &'a Index<'a>,
    /// Whether the index is of any objects: without them the maps answer alone.
    pub(super) has_objects: bool,
    pub(super) maps: Option<&'a Observed>,
}

impl Oracle<'_> {
    /// What becomes of the packet, and what the maps say to that.
    pub(super) fn ask(&self, question: &Question) -> (Answer, Option<Live>) {
        let live = self.maps.map(|maps| Live::read(maps, self.index.node, question));
        match live {
            Some(live) if !self.has_objects => (live.into_answer(), None),
            live => {
                let answer = self.index.explain(question);
                let live = live.map(|live| live.compared_with(&answer));
                (answer, live)
            }
        }
    }
}
