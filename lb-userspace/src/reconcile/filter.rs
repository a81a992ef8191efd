//! Who owns each bit of `FILTER`, and which bits nobody owns any more.
//!
//! A bit is set before what it stands for is written. It is not cleared when the last owner goes: flows that
//! began before go on (EPS-13), and their packets must be found still. It is idle then, and cleared when the
//! collector of flows has seen that no flow needs it.
//!
//! A flow can begin for as long as a program runs that has found the owner still, and the collector takes a
//! while to look. So a bit is offered to it only at the second time of asking, and cleared only if it has had
//! no owner from the first time on.

use std::collections::{BTreeSet, HashMap};

use lb_common::{Addr, Backend, FilterBit, FrontendKey, Proto};

use super::Op;

#[derive(Debug, Default)]
pub(super) struct Filter {
    owners: HashMap<FilterBit, u32>,
    /// What is in the map.
    set: BTreeSet<FilterBit>,
    /// Set and without an owner.
    idle: BTreeSet<FilterBit>,
    /// Idle when last asked for, and ever since.
    asked: BTreeSet<FilterBit>,
    /// Owned and, as far as is known, not set.
    wanted: BTreeSet<FilterBit>,
}

impl Filter {
    /// With the bits that are set already, none of them owned.
    pub(super) fn new(set: BTreeSet<FilterBit>) -> Self {
        Self { idle: set.clone(), set, ..Self::default() }
    }

    pub(super) fn own_frontend(&mut self, key: &FrontendKey) {
        if is_dialled(key) {
            self.own(FilterBit::frontend(key));
        }
    }

    pub(super) fn disown_frontend(&mut self, key: &FrontendKey) {
        if is_dialled(key) {
            self.disown(FilterBit::frontend(key));
        }
    }

    /// Of every backend: by its node's name it may be elsewhere, or nowhere, and answer here all the same.
    pub(super) fn own_backend(&mut self, backend: &Backend, proto: Proto) {
        self.own(FilterBit::backend(backend.addr(), backend.port(), proto));
    }

    pub(super) fn disown_backend(&mut self, backend: &Backend, proto: Proto) {
        self.disown(FilterBit::backend(backend.addr(), backend.port(), proto));
    }

    /// The writes that set what is owned and not set.
    pub(super) fn wanted(&self) -> Vec<Op> {
        self.wanted.iter().copied().map(Op::SetFilter).collect()
    }

    /// Whether a bit that is owned is not set.
    pub(super) fn is_behind(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Bits that have been idle since the call before: they may be cleared when no flow needs them.
    pub(super) fn ask_idle(&mut self) -> BTreeSet<FilterBit> {
        std::mem::replace(&mut self.asked, self.idle.clone())
    }

    /// Whether a bit that [`Filter::ask_idle`] gave may be cleared still.
    pub(super) fn may_clear(&self, bit: FilterBit) -> bool {
        self.asked.contains(&bit)
    }

    /// A write was made.
    pub(super) fn done(&mut self, op: &Op) {
        match op {
            Op::SetFilter(bit) => {
                self.wanted.remove(bit);
                self.set.insert(*bit);
                // The write may have been made late, after its last owner went.
                if !self.owners.contains_key(bit) {
                    self.idle.insert(*bit);
                }
            }
            Op::ClearFilter(bit) => {
                self.set.remove(bit);
                self.idle.remove(bit);
                self.asked.remove(bit);
            }
            _ => {}
        }
    }

    pub(super) fn own(&mut self, bit: FilterBit) {
        let owners = self.owners.entry(bit).or_default();
        *owners += 1;
        if *owners == 1 {
            self.idle.remove(&bit);
            self.asked.remove(&bit);
            if !self.set.contains(&bit) {
                self.wanted.insert(bit);
            }
        }
    }

    pub(super) fn disown(&mut self, bit: FilterBit) {
        let Some(owners) = self.owners.get_mut(&bit) else {
            return;
        };
        *owners -= 1;
        if *owners == 0 {
            self.owners.remove(&bit);
            self.wanted.remove(&bit);
            if self.set.contains(&bit) {
                self.idle.insert(bit);
            }
        }
    }
}

/// A port guard stands for no address that a packet could have.
fn is_dialled(key: &FrontendKey) -> bool {
    key.addr() != Addr::UNSPECIFIED
}
