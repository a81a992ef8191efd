//! Whether a list that is complete is to be believed.

/// A list that lacks fewer objects than this is not doubted for it.
const MOST_MISSING: usize = 10;

/// How many objects of a kind there are, by lists that were believed and by what watches said since.
#[derive(Debug, Default)]
pub(super) struct Known {
    count: usize,
    /// The last list was doubted.
    is_doubted: bool,
}

impl Known {
    /// A list has so many. It is believed, unless it has nothing any more, or fewer than half of what was known and
    /// [`MOST_MISSING`] less, and the list before it was believed: then this is how many were known.
    pub(super) fn doubts(&mut self, count: usize) -> Option<usize> {
        if !self.is_doubted && is_doubtful(self.count, count) {
            self.is_doubted = true;
            return Some(self.count);
        }
        *self = Self { count, is_doubted: false };
        None
    }

    /// There is one more.
    pub(super) fn add(&mut self) {
        self.count += 1;
    }

    /// There is one less.
    pub(super) fn remove(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

fn is_doubtful(known: usize, count: usize) -> bool {
    let lacks_most = count < known.div_ceil(2) && known - count >= MOST_MISSING;
    lacks_most || (count == 0 && known > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_doubted_that_has_nothing_any_more_or_lacks_half_and_ten() {
        let doubtful = [(1, 0), (20, 9), (21, 10), (10_000, 4999)];
        assert!(doubtful.iter().all(|&(known, count)| is_doubtful(known, count)));
        let plain = [(0, 0), (2, 1), (18, 9), (20, 10), (20, 30), (10_000, 5000)];
        assert!(plain.iter().all(|&(known, count)| !is_doubtful(known, count)));
    }

    #[test]
    fn what_is_said_twice_is_believed_and_each_mistake_is_doubted_anew() {
        let mut known = Known::default();
        (0..100).for_each(|_| known.add());
        assert_eq!(
            [7, 7, 0, 100, 40].map(|count| known.doubts(count)),
            [Some(100), None, Some(7), None, Some(100)]
        );
        known.remove();
        assert_eq!([98, 1].map(|count| known.doubts(count)), [None, Some(98)]);
    }
}
