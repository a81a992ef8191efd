//! Who claims one frontend. There are as many of these as frontends, and nearly all have one claim: a list.

use crate::compile::claims::Claim;
use crate::tables::ServiceKey;

/// Claims to a frontend, one of each Service port at most.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<Claim>);

impl Claims {
    /// Puts a claim there; returns the one that its owner had before.
    pub(super) fn put(&mut self, claim: Claim) -> Option<Claim> {
        match self.0.iter_mut().find(|known| known.key == claim.key) {
            Some(known) => Some(std::mem::replace(known, claim)),
            None => {
                self.0.reserve_exact(1);
                self.0.push(claim);
                None
            }
        }
    }

    /// Takes the claim of a Service port out.
    pub(super) fn remove(&mut self, key: &ServiceKey) {
        self.0.retain(|claim| claim.key != *key);
    }

    /// Whether nobody claims it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.0.iter()
    }
}
