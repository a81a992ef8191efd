//! How many ICMP errors are sent: a processor's own bucket, as `net.ipv4.icmp_msgs_per_sec` is the kernel's. A flood
//! of what can't be served must not become a flood of answers to whoever its sources name.

/// Errors that a processor sends in a second, over time (as many as the kernel by default, Linux 6.1).
pub const ANSWERS_A_SECOND: u32 = 1_000;

/// Errors that it sends at once after a silence (`net.ipv4.icmp_msgs_burst`).
pub const ANSWERS_AT_ONCE: u32 = 50;

/// Nanoseconds that each takes of the time that there is.
const COST: u64 = 1_000_000_000 / ANSWERS_A_SECOND as u64;

/// What a processor has sent: the moment, in nanoseconds, until which all of it is paid for (the «generic cell
/// rate algorithm», ITU-T I.371 §A). Zero is one that has never sent anything.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Answers(u64);

impl Answers {
    /// Whether one more may be sent at `now`, nanoseconds of a clock that never goes back; if so, it counts.
    #[inline(always)]
    pub const fn may_send(&mut self, now: u64) -> bool {
        let paid = if self.0 > now { self.0 } else { now };
        if paid - now > COST * (ANSWERS_AT_ONCE as u64 - 1) {
            return false;
        }
        self.0 = paid + COST;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn sent(answers: &mut Answers, now: u64, asked: u32) -> u32 {
        (0..asked).map(|_| u32::from(answers.may_send(now))).sum()
    }

    #[test]
    fn so_many_are_sent_at_once_and_no_more() {
        let mut answers = Answers::default();
        assert_eq!(sent(&mut answers, 7 * SECOND, 1_000), ANSWERS_AT_ONCE);
        assert_eq!(sent(&mut answers, 7 * SECOND, 1_000), 0);
    }

    #[test]
    fn a_flood_is_answered_at_the_rate() {
        let mut answers = Answers::default();
        let total: u32 = (0..10_000).map(|tenth| sent(&mut answers, SECOND + tenth * 100_000, 10)).sum();
        assert!(
            (ANSWERS_A_SECOND..=ANSWERS_A_SECOND + ANSWERS_AT_ONCE).contains(&total),
            "{total} in a second"
        );
    }

    #[test]
    fn a_long_silence_saves_up_no_more_than_a_short_one() {
        let mut answers = Answers::default();
        assert_eq!(sent(&mut answers, SECOND, 100), ANSWERS_AT_ONCE);
        assert_eq!(sent(&mut answers, 3_600 * SECOND, 1_000), ANSWERS_AT_ONCE);
    }

    #[test]
    fn the_end_of_time_is_no_harm() {
        assert_eq!(sent(&mut Answers::default(), u64::MAX - SECOND, 100), ANSWERS_AT_ONCE);
    }
}
