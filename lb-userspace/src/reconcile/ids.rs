//! Which numbers are free, which rest, which are taken.
//!
//! A number that was in use rests until no program can read it as its old owner's any more: the programs
//! that ran when it was given up have ended (see [`super::Store::barrier`]).

use std::collections::{BTreeMap, VecDeque};

/// Numbers 1 to `end - 1`. Those given back go to the end of the line: none is another's soon.
#[derive(Debug)]
pub(super) struct Ids {
    /// The lowest number never used; above it all are free.
    fresh: u32,
    end: u32,
    free: VecDeque<u32>,
    resting: Vec<u32>,
    /// Those that rested when the wait for programs began.
    settling: Vec<u32>,
}

impl Ids {
    /// All free but those `taken`.
    pub(super) fn new(end: u32, taken: impl Iterator<Item = u32>) -> Self {
        let taken: std::collections::BTreeSet<u32> = taken.collect();
        let fresh = taken.last().map_or(1, |last| last + 1);
        let free = (1..fresh).filter(|id| !taken.contains(id)).collect();
        Self { fresh, end, free, resting: Vec::new(), settling: Vec::new() }
    }

    /// A free number: one never used while there are few of them to reuse.
    pub(super) fn take(&mut self) -> Option<u32> {
        /// A number waits for this many others before it comes round again, unless there is no other.
        const QUEUE: usize = 1024;
        if self.free.len() < QUEUE && self.fresh < self.end {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        self.free.pop_front()
    }

    /// A number that nothing was ever done with: free again at once.
    pub(super) fn put_back(&mut self, id: u32) {
        self.free.push_front(id);
    }

    /// A number given up: it rests.
    pub(super) fn rest(&mut self, id: u32) {
        self.resting.push(id);
    }

    /// Whether any rests.
    pub(super) fn has_resting(&self) -> bool {
        !self.resting.is_empty()
    }

    /// A wait for programs begins.
    pub(super) fn begin_settling(&mut self) {
        self.settling.append(&mut self.resting);
    }

    /// It has ended: those that rested when it began are free now; returns them.
    pub(super) fn wake(&mut self) -> Vec<u32> {
        let woken = std::mem::take(&mut self.settling);
        self.free.extend(&woken);
        woken
    }
}

/// A run of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) len: u32,
}

/// The slots: first fit, neighbours join.
#[derive(Debug)]
pub(super) struct Runs {
    /// First slot → length of each free run; no two touch.
    free: BTreeMap<u32, u32>,
    resting: Vec<Run>,
    /// Those that rested when the wait for programs began.
    settling: Vec<Run>,
}

impl Runs {
    /// Slots 0 to `end - 1`, all free but those `taken`.
    pub(super) fn new(end: u32, taken: impl Iterator<Item = Run>) -> Self {
        let mut taken: Vec<Run> = taken.filter(|run| run.len > 0).collect();
        taken.sort_by_key(|run| run.first);
        let mut free = BTreeMap::new();
        let mut at = 0;
        for run in taken {
            if run.first > at {
                free.insert(at, run.first - at);
            }
            at = at.max(run.first.saturating_add(run.len));
        }
        if at < end {
            free.insert(at, end - at);
        }
        Self { free, resting: Vec::new(), settling: Vec::new() }
    }

    /// A run of `len` slots; of length 0 it is nowhere.
    pub(super) fn take(&mut self, len: u32) -> Option<Run> {
        if len == 0 {
            return Some(Run::default());
        }
        let (first, free) =
            self.free.iter().map(|(first, free)| (*first, *free)).find(|(_, free)| *free >= len)?;
        self.free.remove(&first);
        if free > len {
            self.free.insert(first + len, free - len);
        }
        Some(Run { first, len })
    }

    /// A run that nothing was ever done with: free again at once.
    pub(super) fn put_back(&mut self, run: Run) {
        if run.len == 0 {
            return;
        }
        let Run { mut first, mut len } = run;
        if let Some((before, before_len)) = self.free.range(..first).next_back().map(|(k, v)| (*k, *v))
            && before + before_len == first
        {
            self.free.remove(&before);
            (first, len) = (before, before_len + len);
        }
        if let Some(after_len) = self.free.remove(&(first + len)) {
            len += after_len;
        }
        self.free.insert(first, len);
    }

    /// A run given up: it rests.
    pub(super) fn rest(&mut self, run: Run) {
        if run.len > 0 {
            self.resting.push(run);
        }
    }

    /// Whether any rests.
    pub(super) fn has_resting(&self) -> bool {
        !self.resting.is_empty()
    }

    /// A wait for programs begins.
    pub(super) fn begin_settling(&mut self) {
        self.settling.append(&mut self.resting);
    }

    /// It has ended: those that rested when it began are free now.
    pub(super) fn wake(&mut self) {
        for run in std::mem::take(&mut self.settling) {
            self.put_back(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_given_back_comes_round_after_all_others() {
        let mut ids = Ids::new(4, [2].into_iter());
        assert_eq!((ids.take(), ids.take(), ids.take()), (Some(3), Some(1), None));
        ids.rest(3);
        assert_eq!(ids.take(), None, "it rests");
        assert!(ids.wake().is_empty(), "nobody has begun to wait for it");
        ids.begin_settling();
        assert_eq!(ids.wake(), [3]);
        assert_eq!(ids.take(), Some(3));
    }

    proptest! {
        /// Runs never overlap and nothing is lost, whatever is taken and given back in whatever order.
        #[test]
        fn runs_never_overlap_and_all_slots_come_back(
            steps in proptest::collection::vec((any::<bool>(), 0_u32..20), 1..200)
        ) {
            const END: u32 = 128;
            let mut runs = Runs::new(END, std::iter::empty());
            let mut held: Vec<Run> = Vec::new();
            for (take, number) in steps {
                if take {
                    held.extend(runs.take(number).filter(|run| run.len > 0));
                } else if !held.is_empty() {
                    runs.put_back(held.swap_remove(number as usize % held.len()));
                }
                let mut slots: Vec<u32> = held.iter().flat_map(|run| run.first..run.first + run.len).collect();
                let all = slots.len();
                slots.sort_unstable();
                slots.dedup();
                prop_assert_eq!(slots.len(), all, "two runs share a slot");
                let free: u32 = runs.free.values().sum();
                prop_assert_eq!(free as usize + all, END as usize);
            }
            for run in held {
                runs.put_back(run);
            }
            prop_assert_eq!(runs.take(END), Some(Run { first: 0, len: END }), "neighbours have joined");
        }
    }
}
