//! The parts of a plan and the order in which they are carried out: see [`super::plan`].

use std::collections::BTreeMap;

use lb_common::ServiceId;

use super::Op;

/// The phases of a plan that it is filled by.
#[derive(Default)]
pub(super) struct Phases {
    pub(super) build: Vec<Op>,
    pub(super) leave: BTreeMap<ServiceId, Leave>,
    pub(super) switch: Switch,
}

/// A Service port that goes.
#[derive(Default)]
pub(super) struct Leave {
    pub(super) switch: Switch,
    pub(super) marks: Vec<Op>,
}

/// Frontends that change.
#[derive(Default)]
pub(super) struct Switch {
    pub(super) put: Vec<Op>,
    pub(super) remove: Vec<Op>,
}

impl Phases {
    /// All of it, in order.
    pub(super) fn into_ops(self) -> impl Iterator<Item = Op> {
        let mut leave = Vec::from_iter(self.leave);
        // Those that a run before took the last frontend from first.
        leave.sort_by_key(|(_, leave)| !leave.switch.is_empty());
        let leave = leave.into_iter().flat_map(|(id, Leave { switch, marks })| {
            switch.into_ops().chain(marks).chain([Op::RemoveLabel(id)])
        });
        self.build.into_iter().chain(leave).chain(self.switch.into_ops())
    }
}

impl Switch {
    fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty()
    }

    fn into_ops(self) -> impl Iterator<Item = Op> {
        self.put.into_iter().chain(self.remove)
    }
}
