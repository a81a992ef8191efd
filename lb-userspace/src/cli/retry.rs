//! When what could not be put in force is tried again, and what is said of it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::Engine;
use crate::reconcile::{Refusal, Store};

/// The first wait; each further one is twice as long, until the last of them.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);
/// So many refusals are told one by one; how many more there are is told as a number.
const TOLD: usize = 20;

/// Tells of each refusal once, and of the end of them.
#[derive(Debug)]
pub(super) struct Retry {
    wait: Duration,
    at: Instant,
    told: BTreeSet<Refusal>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { wait: FIRST, at: Instant::now(), told: BTreeSet::new() }
    }
}

impl Retry {
    /// When it is time.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// After everything that the engine did: the next attempt, or that none is needed any more.
    pub(super) fn look<S: Store>(&mut self, engine: &Engine<S>) {
        let now = Instant::now();
        if !engine.is_behind() {
            if !self.told.is_empty() {
                tracing::info!("what was not in force is in force now");
                self.told.clear();
            }
            self.wait = FIRST;
        } else if now >= self.at {
            self.at = now + self.wait;
            self.wait = (self.wait * 2).min(LAST);
        }
    }

    /// What could not be put in force; what was told already is not told again until all of it is.
    pub(super) fn tell(&mut self, refusals: &[Refusal]) {
        let mut left_out = 0_usize;
        for refusal in refusals {
            if self.told.contains(refusal) {
                continue;
            }
            if self.told.len() >= TOLD {
                left_out += 1;
                continue;
            }
            let service = refusal.service.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(service, "not in force: {}", refusal.message);
            self.told.insert(refusal.clone());
        }
        if left_out > 0 {
            tracing::debug!("{left_out} more are not in force: see the metric shunt_refused");
        }
    }
}
