//! The events that this instance has written: what returns is counted in the one that there is.
//!
//! No clock: `now` is given.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an event is taken to be there; a server keeps it for an hour.
const LIFE: Duration = Duration::from_secs(3600);

/// So many are remembered; of more, the oldest is forgotten.
const ROOM: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Written {
    /// By name: when it was told last, and how many times.
    events: BTreeMap<String, (Instant, u32)>,
}

impl Written {
    /// How many times an event of that name is told by now, where it was before.
    pub(super) fn again(&mut self, name: &str, now: Instant) -> Option<u32> {
        self.events.retain(|_, (at, _)| now.saturating_duration_since(*at) < LIFE);
        let (at, times) = self.events.get_mut(name)?;
        (*at, *times) = (now, times.saturating_add(1));
        Some(*times)
    }

    /// It is there.
    pub(super) fn add(&mut self, name: String, now: Instant) {
        if self.events.len() >= ROOM
            && let Some(oldest) =
                self.events.iter().min_by_key(|(_, (at, _))| *at).map(|(name, _)| name.clone())
        {
            self.events.remove(&oldest);
        }
        self.events.insert(name, (now, 1));
    }

    /// It is there no more.
    pub(super) fn forget(&mut self, name: &str) {
        self.events.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_counted_while_it_is_there() {
        let (mut written, now) = (Written::default(), Instant::now());
        assert_eq!(written.again("a", now), None);
        written.add("a".to_owned(), now);
        assert_eq!((written.again("a", now), written.again("a", now)), (Some(2), Some(3)));
        assert_eq!(written.again("a", now + LIFE), None);
    }

    #[test]
    fn of_too_many_the_oldest_is_forgotten() {
        let (mut written, now) = (Written::default(), Instant::now());
        for number in 0..=ROOM {
            written.add(format!("event-{number}"), now + Duration::from_millis(number as u64));
        }
        assert_eq!(written.events.len(), ROOM);
        assert_eq!(written.again("event-0", now), None);
        assert_eq!(written.again("event-1", now), Some(2));
    }
}
