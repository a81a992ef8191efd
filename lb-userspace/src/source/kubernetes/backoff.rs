//! How long to wait before the next try.

use std::time::Duration;

/// Waits that double up to a limit, each with a random half of it taken off, so that the nodes of a cluster
/// don't all come back to an API server at once.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    /// From `first` to `limit`.
    pub(super) fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, next: first }
    }

    /// The next wait.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.limit);
        spread(wait)
    }

    /// It worked: the next wait is a first one.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half of it and all of it, by chance.
pub(super) fn spread(wait: Duration) -> Duration {
    wait.mul_f64(1.0 - fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_begin_anew_after_a_success() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(5));
        for _ in 0..2 {
            for whole in [1, 2, 4, 5, 5] {
                let wait = backoff.wait();
                assert!(seconds(whole) / 2 <= wait && wait <= seconds(whole), "{wait:?} of {whole} s");
            }
            backoff.reset();
        }
    }
}
