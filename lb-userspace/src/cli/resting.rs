//! When what was given up is freed.

use std::time::Duration;

use tokio::time::Instant;

/// So long after the first of what rests, however much changes meanwhile: what is given up in one go is waited
/// for once, and numbers don't run out while changes never pause.
const REST: Duration = Duration::from_millis(200);

/// Since when something rests.
#[derive(Debug, Default)]
pub(super) struct Resting {
    due: Option<Instant>,
}

impl Resting {
    /// When it is time, as seen now: whether something rests is `is_any`.
    pub(super) fn look(&mut self, is_any: bool, now: Instant) -> Option<Instant> {
        self.due = is_any.then(|| self.due.unwrap_or(now + REST));
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_never_pause_do_not_put_it_off() {
        let began = Instant::now();
        let mut resting = Resting::default();
        assert_eq!(resting.look(false, began), None);
        for change in 0..10 {
            let now = began + change * REST / 2;
            assert_eq!(resting.look(true, now), Some(began + REST));
        }
        assert_eq!(resting.look(false, began + REST * 5), None, "it was begun");
        assert_eq!(resting.look(true, began + REST * 6), Some(began + REST * 7));
    }
}
