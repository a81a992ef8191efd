//! The dials of the tour: each is counted, and what is not as it should be is written down.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use lb_tests::wire::{Answer, Outcome};
use lb_tests::{Place, tcp};

use crate::interrupt::Interrupt;

/// What was dialled so far.
pub(crate) struct Dials<'a> {
    interrupt: &'a Interrupt,
    /// How many dials there were.
    pub(crate) count: usize,
    /// What was not as it should have been.
    pub(crate) unexpected: Vec<String>,
}

impl<'a> Dials<'a> {
    /// None yet; each ends the tour where the reader interrupted it.
    pub(crate) fn new(interrupt: &'a Interrupt) -> Self {
        Self { interrupt, count: 0, unexpected: Vec::new() }
    }

    /// Dials so often, and counts who answered; every dial should be, and the client should be shown what it
    /// dialled.
    pub(crate) fn many(
        &mut self,
        from: &Place,
        target: SocketAddr,
        times: u32,
    ) -> Result<BTreeMap<String, usize>> {
        self.interrupt.check()?;
        let mut counts = BTreeMap::new();
        for attempt in tcp(target).times(times).from(from)? {
            self.count += 1;
            match attempt.outcome {
                Outcome::Answered(answer) => {
                    let shown = answer.peer_name;
                    self.expect(shown == Some(target), || format!("{target} is shown as {shown:?}"));
                    *counts.entry(answer.greeting.pod).or_default() += 1;
                }
                Outcome::Failed(failure) => self.unexpected.push(format!("{target}: {failure}")),
            }
        }
        Ok(counts)
    }

    /// Dials once: the answer, or which errno there was.
    pub(crate) fn one(&mut self, from: &Place, target: SocketAddr) -> Result<Result<Answer, String>> {
        self.interrupt.check()?;
        self.count += 1;
        let attempts = tcp(target).from(from)?;
        Ok(match attempts.into_iter().next().context("an attempt")?.outcome {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::Failed(failure) => Err(failure.errno),
        })
    }

    /// Writes down what is not so.
    pub(crate) fn expect(&mut self, is_so: bool, otherwise: impl FnOnce() -> String) {
        if !is_so {
            self.unexpected.push(otherwise());
        }
    }
}
