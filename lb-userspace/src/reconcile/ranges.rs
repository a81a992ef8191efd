//! Who wants which networks in `RANGES`, and which are there. A network is put before the frontend that is
//! checked against it, and removed after.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::{RangeKey, RangeSet};

use super::{Op, Range};

#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// What is in the map.
    installed: BTreeSet<Range>,
    /// What should be; each network has one owner, for the set is part of it.
    wanted: BTreeSet<Range>,
    /// Where the two differ, or may.
    touched: BTreeSet<Range>,
}

impl Ranges {
    /// With what is in the map already, nobody wanting it.
    pub(super) fn new(installed: BTreeSet<Range>) -> Self {
        Self { touched: installed.clone(), installed, ..Self::default() }
    }

    /// The networks of a set that are in the map.
    pub(super) fn networks(&self, set: RangeSet) -> Vec<IpNet> {
        let of_set = self.installed.iter().filter(|range| range.key.set() == set);
        of_set.filter_map(Range::network).collect()
    }

    /// What is in the map of a set.
    pub(super) fn of(&self, set: RangeSet) -> BTreeSet<Range> {
        // The lowest address: IPv4 comes before IPv6.
        let from = Range { key: RangeKey::new(set, IpAddr::from([0; 4]).into()), prefix_len: 0 };
        self.installed.range(from..).take_while(|range| range.key.set() == set).copied().collect()
    }

    pub(super) fn change(&mut self, before: &BTreeSet<Range>, after: &BTreeSet<Range>) {
        for range in before.difference(after) {
            self.wanted.remove(range);
            self.touched.insert(*range);
        }
        for range in after.difference(before) {
            self.wanted.insert(*range);
            self.touched.insert(*range);
        }
    }

    /// The writes that put what is wanted and not there, and those that remove what is there and not wanted.
    pub(super) fn plan(&self) -> (Vec<Op>, Vec<Op>) {
        let (wanted, unwanted): (Vec<&Range>, Vec<&Range>) =
            self.touched.iter().partition(|range| self.wanted.contains(range));
        let put = wanted.into_iter().filter(|range| !self.installed.contains(range)).copied();
        let remove = unwanted.into_iter().filter(|range| self.installed.contains(range)).copied();
        (put.map(Op::PutRange).collect(), remove.map(Op::RemoveRange).collect())
    }

    /// Whether a network that is wanted is not there.
    pub(super) fn is_behind(&self) -> bool {
        self.touched.iter().any(|range| self.wanted.contains(range) && !self.installed.contains(range))
    }

    /// A write was made. One that failed stays touched: it is tried again with the next plan.
    pub(super) fn done(&mut self, op: &Op) {
        match op {
            Op::PutRange(range) => {
                self.installed.insert(*range);
                self.touched.remove(range);
            }
            Op::RemoveRange(range) => {
                self.installed.remove(range);
                self.touched.remove(range);
            }
            _ => {}
        }
    }
}
