//! What was tried and what was lost.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// How many examples of what was lost are kept.
const EXAMPLES: usize = 10;

/// The dials of one path.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Dials {
    /// Answered by who was an endpoint.
    pub ok: u64,
    /// Of those, the ones that another pod of the path would have answered wrongly.
    pub could_be_wrong: u64,
    /// UDP sockets that were ended because their endpoint was going.
    pub ended_with_endpoint: u64,
    /// Not answered.
    pub failed: u64,
    /// Answered by who was none.
    pub wrong: u64,
    /// Of all of them, those that took long: a packet was lost and sent again, or the machine was busy.
    pub slow: u64,
    /// What the slowest took, milliseconds.
    pub slowest_ms: u64,
}

/// All of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// By path.
    pub dials: BTreeMap<String, Dials>,
    /// Downloads that came whole, by path.
    pub transfers: BTreeMap<String, u64>,
    /// Downloads that broke off or came otherwise.
    pub transfers_lost: u64,
    /// What a thread that does nothing had to wait for the machine, milliseconds: a dial that is lost in more than its
    /// limit shows nothing where this is as long.
    pub stalled_ms: u64,
    /// By what ended the instance: how often.
    pub ends: BTreeMap<String, u64>,
    /// Of all ends, those before all that was known was in force.
    pub ended_in_start: u64,
    /// By name: how often.
    pub faults: BTreeMap<String, u64>,
    /// What was not as it has to be, apart from dials and downloads: a fault not told, not recovered from.
    pub wrongs: Vec<String>,
    /// Examples of dials and downloads that were lost.
    pub examples: Vec<String>,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        for (path, dials) in other.dials {
            let sum = self.dials.entry(path).or_default();
            sum.ok += dials.ok;
            sum.could_be_wrong += dials.could_be_wrong;
            sum.ended_with_endpoint += dials.ended_with_endpoint;
            sum.failed += dials.failed;
            sum.wrong += dials.wrong;
            sum.slow += dials.slow;
            sum.slowest_ms = sum.slowest_ms.max(dials.slowest_ms);
        }
        for (ours, theirs) in [
            (&mut self.transfers, other.transfers),
            (&mut self.ends, other.ends),
            (&mut self.faults, other.faults),
        ] {
            for (key, count) in theirs {
                *ours.entry(key).or_default() += count;
            }
        }
        self.stalled_ms = self.stalled_ms.max(other.stalled_ms);
        self.transfers_lost += other.transfers_lost;
        self.ended_in_start += other.ended_in_start;
        self.wrongs.extend(other.wrongs);
        other.examples.into_iter().for_each(|example| self.example(example));
    }

    /// Keeps an example of something lost, if there are not enough yet.
    pub fn example(&mut self, example: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }

    /// How much was lost.
    pub fn lost(&self) -> u64 {
        let dials: u64 = self.dials.values().map(|dials| dials.failed + dials.wrong).sum();
        dials + self.transfers_lost + self.wrongs.len() as u64
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  dials                 ok could-be-wrong  failed  wrong  ended   slow     slowest")?;
        for (path, dials) in &self.dials {
            let Dials { ok, could_be_wrong, ended_with_endpoint, failed, wrong, slow, slowest_ms } = dials;
            write!(f, "  {path:14} {ok:9} {could_be_wrong:14} {failed:7} {wrong:6} ")?;
            writeln!(f, "{ended_with_endpoint:6} {slow:6} {slowest_ms:8} ms")?;
        }
        writeln!(f, "  downloads      {}; lost {}", counts(&self.transfers), self.transfers_lost)?;
        writeln!(f, "  ends           {}; of them in the start {}", counts(&self.ends), self.ended_in_start)?;
        writeln!(f, "  faults         {}", counts(&self.faults))?;
        writeln!(f, "  machine        stood still for at most {} ms", self.stalled_ms)?;
        for wrong in &self.wrongs {
            writeln!(f, "  WRONG          {wrong}")?;
        }
        for example in &self.examples {
            writeln!(f, "  LOST           {example}")?;
        }
        write!(f, "  lost           {}", self.lost())
    }
}

/// A line of counts, by name.
fn counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
