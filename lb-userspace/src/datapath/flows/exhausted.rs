//! Backends toward which no masquerade port was free: counted by the programs, told once by whoever serves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aya::maps::MapError;
use lb_common::{BackendFlags, BackendId};
use serde::Serialize;

use super::FlowTables;
use crate::datapath::DatapathError;
use crate::datapath::store::map_error;

/// A backend that had no packet dropped for so long has recovered.
const QUIET: Duration = Duration::from_secs(600);

/// A backend that ran out of ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exhausted {
    /// Its number, which is another's when it is gone.
    #[serde(skip)]
    pub id: BackendId,
    /// Where it is.
    pub backend: SocketAddr,
    /// `namespace/name` of its Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Packets dropped because no port was free.
    pub packets: u64,
}

impl FlowTables {
    /// The backends that ran out of ports, those with most packets first; without those that are gone.
    ///
    /// # Errors
    ///
    /// Where the map can't be read.
    pub fn exhausted(&self) -> Result<Vec<Exhausted>, DatapathError> {
        let entries: Result<Vec<(u32, u64)>, MapError> = self.exhausted.iter().collect();
        let entries = entries.map_err(map_error("EXHAUSTED", "read"))?;
        let mut all: Vec<Exhausted> =
            entries.into_iter().filter_map(|(number, packets)| self.describe(number, packets)).collect();
        all.sort_by_key(|exhausted| (std::cmp::Reverse(exhausted.packets), exhausted.backend));
        Ok(all)
    }

    /// Forgets counts of backends that are gone, so that the next owner of a number begins at none.
    ///
    /// # Errors
    ///
    /// Where the map can't be read.
    pub fn forget_exhausted(&mut self) -> Result<(), DatapathError> {
        let numbers: Result<Vec<u32>, MapError> = self.exhausted.keys().collect();
        for number in numbers.map_err(map_error("EXHAUSTED", "read"))? {
            if self.describe(number, 0).is_none() {
                // Gone already: as good.
                let _removed = self.exhausted.remove(&number);
            }
        }
        Ok(())
    }

    fn describe(&self, number: u32, packets: u64) -> Option<Exhausted> {
        let backend = self.backends.get(number)?;
        if backend.is_free() || backend.flags().has(BackendFlags::GONE) {
            return None;
        }
        Some(Exhausted {
            id: BackendId::from_number(number),
            backend: SocketAddr::new(backend.addr().into(), backend.port().number()),
            service: self.service_name(backend.service()),
            packets,
        })
    }
}

/// Decides which backends are news.
#[derive(Debug, Default)]
pub struct Alarm {
    known: BTreeMap<BackendId, Known>,
    /// What an earlier run left was told by that one.
    has_begun: bool,
}

#[derive(Debug)]
struct Known {
    backend: SocketAddr,
    packets: u64,
    /// When the last packet was seen to be dropped; `None` where that was before this run.
    risen: Option<Instant>,
}

impl Alarm {
    /// Those of `found` that had no port for the first time, or for the first time since they recovered: had
    /// had none dropped for ten minutes, or been away.
    pub fn news(&mut self, found: Vec<Exhausted>, now: Instant) -> Vec<Exhausted> {
        self.known.retain(|id, known| {
            found.iter().any(|exhausted| exhausted.id == *id && exhausted.backend == known.backend)
        });
        let mut news = Vec::new();
        for exhausted in found {
            let known = self.known.get(&exhausted.id);
            let has_risen = known.map_or(self.has_begun, |known| exhausted.packets > known.packets);
            let told = known.and_then(|known| known.risen);
            let is_news = has_risen && told.is_none_or(|told| now.duration_since(told) >= QUIET);
            let risen = if has_risen { Some(now) } else { told };
            let Exhausted { id, backend, packets, .. } = exhausted;
            self.known.insert(id, Known { backend, packets, risen });
            if is_news {
                news.push(exhausted);
            }
        }
        self.has_begun = true;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells rounds of what a map has, and what of it is news.
    struct Rounds {
        alarm: Alarm,
        now: Instant,
    }

    impl Rounds {
        fn begin(found: &[(u32, u64)]) -> Self {
            let mut rounds = Self { alarm: Alarm::default(), now: Instant::now() };
            rounds.check(0, found, &[]);
            rounds
        }

        /// After so many seconds the map has these counts by backend, of which these are news.
        #[track_caller]
        fn check(&mut self, seconds: u64, found: &[(u32, u64)], expected: &[u32]) {
            self.now += Duration::from_secs(seconds);
            let found = found.iter().map(|(number, packets)| Exhausted {
                id: BackendId::from_number(*number),
                backend: SocketAddr::new([10, 244, 0, 7].into(), 80),
                service: None,
                packets: *packets,
            });
            let news = self.alarm.news(found.collect(), self.now);
            let news: Vec<u32> = news.iter().map(|exhausted| exhausted.id.number()).collect();
            assert_eq!(news, expected);
        }
    }

    #[test]
    fn a_backend_without_ports_is_told_once() {
        let mut rounds = Rounds::begin(&[]);
        rounds.check(5, &[(7, 1)], &[7]);
        rounds.check(5, &[(7, 1)], &[]);
        rounds.check(5, &[(7, 90), (8, 3)], &[8]);
        rounds.check(500, &[(7, 91), (8, 3)], &[]);
        rounds.check(500, &[(7, 92), (8, 3)], &[]);
    }

    #[test]
    fn a_backend_is_told_again_after_ten_quiet_minutes() {
        let mut rounds = Rounds::begin(&[]);
        rounds.check(5, &[(7, 1)], &[7]);
        rounds.check(599, &[(7, 2)], &[]);
        rounds.check(600, &[(7, 2)], &[]);
        rounds.check(5, &[(7, 3)], &[7]);
    }

    #[test]
    fn a_backend_that_was_gone_is_told_again() {
        let mut rounds = Rounds::begin(&[]);
        rounds.check(5, &[(7, 1)], &[7]);
        rounds.check(5, &[], &[]);
        rounds.check(5, &[(7, 1)], &[7]);
    }

    #[test]
    fn what_an_earlier_run_told_is_told_again_when_it_goes_on() {
        let mut rounds = Rounds::begin(&[(7, 40)]);
        rounds.check(5, &[(7, 40)], &[]);
        rounds.check(5, &[(7, 41)], &[7]);
    }
}
