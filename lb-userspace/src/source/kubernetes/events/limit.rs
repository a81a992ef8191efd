//! How many events there may be: so many at once, then one after each while; of one object, and of all.
//!
//! No clock: `now` is given.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::source::ObjectRef;

/// Of one object: at once, and how long each one takes to come back.
const OF_ONE: Rate = Rate { burst: 8, interval: Duration::from_secs(300) };

/// Of all objects.
const OF_ALL: Rate = Rate { burst: 50, interval: Duration::from_secs(2) };

/// So many objects are remembered; who is not, is told nothing of until another is forgotten.
const OBJECTS: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    interval: Duration,
}

/// What was used up lately.
#[derive(Debug, Default)]
pub(super) struct Limits {
    all: Bucket,
    objects: HashMap<ObjectRef, Bucket>,
}

/// When all that was taken is back; `None` where nothing was.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    fn is_full(self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }

    /// The bucket after one is taken, if there is one to take.
    fn taken(self, rate: Rate, now: Instant) -> Option<Self> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + rate.interval;
        (full_at <= now + rate.interval * rate.burst).then_some(Self { full_at: Some(full_at) })
    }
}

impl Limits {
    /// Whether there may be an event on an object now; where there may be none, nothing is used up.
    pub(super) fn may(&mut self, object: &ObjectRef, now: Instant) -> bool {
        let Some(all) = self.all.taken(OF_ALL, now) else { return false };
        let one = self.objects.get(object).copied();
        let Some(one) = one.unwrap_or_default().taken(OF_ONE, now) else { return false };
        if !self.objects.contains_key(object) && self.objects.len() >= OBJECTS {
            self.objects.retain(|_, bucket| !bucket.is_full(now));
            if self.objects.len() >= OBJECTS {
                return false;
            }
        }
        self.objects.insert(object.clone(), one);
        self.all = all;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: usize) -> ObjectRef {
        let name = format!("web-{number}");
        ObjectRef { kind: "Service".to_owned(), namespace: "default".to_owned(), name }
    }

    /// How many of so many are let through.
    fn let_through(
        limits: &mut Limits,
        count: usize,
        now: Instant,
        of: impl Fn(usize) -> ObjectRef,
    ) -> usize {
        (0..count).filter(|number| limits.may(&of(*number), now)).count()
    }

    #[test]
    fn one_object_has_a_few_events_and_leaves_the_rest_to_others() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        assert_eq!(let_through(&mut limits, 1000, now, |_| object(0)), 8);
        assert_eq!(let_through(&mut limits, 1000, now, |_| object(1)), 8);
        let later = now + OF_ONE.interval * 2;
        assert_eq!(let_through(&mut limits, 1000, later, |_| object(0)), 2);
    }

    #[test]
    fn a_stream_of_objects_is_no_stream_of_events() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        assert_eq!(let_through(&mut limits, 100_000, now, object), 50);
        let later = now + Duration::from_secs(60);
        assert_eq!(let_through(&mut limits, 100_000, later, |number| object(number + 100_000)), 30);
    }

    #[test]
    fn what_is_remembered_of_objects_is_bounded_and_those_long_quiet_are_forgotten() {
        let (mut limits, mut now) = (Limits::default(), Instant::now());
        for number in 0..20_000 {
            now += OF_ALL.interval;
            limits.may(&object(number), now);
            assert!(limits.objects.len() <= OBJECTS);
        }
        assert!(limits.may(&object(20_000), now + OF_ONE.interval));
    }
}
