//! How often a place in the code may say something: its first lines of a minute are logged, further ones counted,
//! and told as one line when the minute is over.
//!
//! A stream of objects that each have something wrong costs a disk no more than that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// So long lines of a place are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// So many of them are logged: what is wrong with more objects than that is one thing that is wrong.
const LINES: u64 = 100;

/// The target of lines that tell each step of the work, and that others wait for. They are logged far more
/// often: 100 a second on the average are more than a cluster's changes, and less than a megabyte a minute.
pub(in crate::cli) const OFTEN: &str = "lb_userspace::cli::run::step";

/// The same for those.
const OFTEN_LINES: u64 = 6000;

/// Holds back what is said too often.
#[derive(Debug, Default)]
pub(super) struct Limit {
    places: Arc<Mutex<Places>>,
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let is_admitted = places.admit(event.metadata(), Instant::now());
        if !is_admitted && !places.is_awaited {
            let known = Arc::clone(&self.places);
            let summing = thread::Builder::new().name("log".to_owned());
            // Without a thread it is tried again by the next line that is held back.
            places.is_awaited = summing.spawn(move || sum_up_later(&known)).is_ok();
        }
        is_admitted
    }
}

fn sum_up_later(places: &Mutex<Places>) {
    thread::sleep(WINDOW);
    let mut known = places.lock().unwrap_or_else(PoisonError::into_inner);
    let sums = known.sum_up();
    known.is_awaited = false;
    // What is said now comes by here.
    drop(known);
    for Sum { lines, file, line } in sums {
        tracing::warn!("{lines} more lines of the kind said at {file}:{line} were left out within a minute");
    }
}

/// How many lines were left out, and whose.
#[derive(Debug, PartialEq, Eq)]
struct Sum {
    lines: u64,
    file: &'static str,
    line: u32,
}

/// As many as there are places in the code that log.
#[derive(Debug, Default)]
struct Places {
    by_callsite: HashMap<Identifier, Place>,
    /// A thread waits to sum up.
    is_awaited: bool,
}

#[derive(Debug)]
struct Place {
    began: Instant,
    logged: u64,
    left_out: u64,
    file: &'static str,
    line: u32,
}

impl Places {
    /// Whether a line may be logged now.
    fn admit(&mut self, metadata: &Metadata<'static>, now: Instant) -> bool {
        let most = if metadata.target() == OFTEN { OFTEN_LINES } else { LINES };
        let place = self.by_callsite.entry(metadata.callsite()).or_insert_with(|| Place {
            began: now,
            logged: 0,
            left_out: 0,
            file: metadata.file().unwrap_or("a library"),
            line: metadata.line().unwrap_or(0),
        });
        if now.saturating_duration_since(place.began) >= WINDOW {
            (place.began, place.logged) = (now, 0);
        }
        let is_admitted = place.logged < most;
        *(if is_admitted { &mut place.logged } else { &mut place.left_out }) += 1;
        is_admitted
    }

    /// What was left out since the last call.
    fn sum_up(&mut self) -> Vec<Sum> {
        // Further ones are counted anew, whether by the same minute or by the next.
        let over = self.by_callsite.values_mut().filter(|place| place.left_out > 0);
        over.map(|place| Sum {
            lines: std::mem::take(&mut place.left_out),
            file: place.file,
            line: place.line,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests;
