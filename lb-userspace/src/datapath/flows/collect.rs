//! What is over is forgotten: entries by pairs, when neither direction has had a packet for as long as the
//! state of the two together allows.
//!
//! Nothing is removed that had a packet in the last [`FRESH`] seconds, so that no flow is caught while a
//! program makes it or moves it from one table to the other, and what still comes from a backend that is gone
//! is translated still (KRN-10).

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use lb_common::{FilterBit, Flow, FlowKey, FlowState, FrontendKey, Moment, Proto, Seen};

use super::{Flows, Table};

/// No state ends sooner than after so many seconds.
const FRESH: u32 = 10;
/// A flow that is idle for longer than this, and not closing, is looked at only in the first of so many rounds,
/// and after one that left some over: its end is hours away.
const LONG_IDLE: u32 = 150;
const LONG_IDLE_ROUNDS: u64 = 12;
/// Not more entries than this are removed in one round: they are held in memory.
const AT_ONCE: usize = 1 << 16;

/// What a round found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// Entries in `FLOWS`, both directions, before.
    pub assured: usize,
    /// Entries in `NEW_FLOWS`, before.
    pub new: usize,
    /// Flows removed because they were over or idle for too long.
    pub expired: usize,
    /// Flows of datagrams removed because their backend is gone (CT-01).
    pub orphaned: usize,
    /// Of the bits asked for, those that no flow needs.
    pub unused_bits: BTreeSet<FilterBit>,
    /// Whether there was more to remove than is removed at once.
    pub is_partial: bool,
    /// How long it took.
    pub took: Duration,
}

/// Walks through the tables.
#[derive(Debug, Default)]
pub struct Collector {
    rounds: u64,
    /// Whether the round before left some over.
    was_partial: bool,
}

/// Why a flow is removed.
enum End {
    Expired,
    Orphaned,
}

/// A flow to remove: its entries, the client's direction first.
struct Ended {
    end: End,
    entries: [Option<(Table, FlowKey)>; 2],
}

impl Collector {
    /// One round. `bits` are those of the filter that stand for nothing any more but perhaps flows, and have
    /// for so long that no program is about to begin one.
    ///
    /// # Errors
    ///
    /// Where a table can't be read; what was removed is gone.
    pub fn collect(
        &mut self,
        flows: &mut super::FlowTables,
        bits: BTreeSet<FilterBit>,
    ) -> io::Result<Collected> {
        self.collect_at(flows, bits, super::now())
    }

    fn collect_at(
        &mut self,
        flows: &mut impl Flows,
        bits: BTreeSet<FilterBit>,
        now: Moment,
    ) -> io::Result<Collected> {
        let began = Instant::now();
        let mut collected = Collected { unused_bits: bits, ..Collected::default() };
        // New ones first: one that is moved meanwhile is seen there, or here, or twice.
        for table in [Table::New, Table::Assured] {
            let mut entries = 0;
            let mut ended = Vec::new();
            let shared: &_ = flows;
            shared.walk(table, &mut |key, flow| {
                entries += 1;
                for bit in bits_of(key, flow) {
                    collected.unused_bits.remove(&bit);
                }
                let has_room = ended.len() < AT_ONCE;
                if self.is_candidate(flow, now) && has_room {
                    ended.extend(judge(shared, table, key, flow, now));
                }
                collected.is_partial |= !has_room;
            })?;
            match table {
                Table::New => collected.new = entries,
                Table::Assured => collected.assured = entries,
            }
            for ended in ended {
                remove(flows, &ended, now, &mut collected);
            }
        }
        self.rounds = self.rounds.wrapping_add(1);
        self.was_partial = collected.is_partial;
        collected.took = began.elapsed();
        Ok(collected)
    }

    fn is_candidate(&self, flow: &Flow, now: Moment) -> bool {
        let idle = now.seconds_since(flow.last());
        let closing = flow.seen().has(Seen::CLOSE) || flow.seen().has(Seen::RESET);
        let looks_at_all = self.was_partial || self.rounds.is_multiple_of(LONG_IDLE_ROUNDS);
        idle >= FRESH && (closing || idle < LONG_IDLE || looks_at_all)
    }
}

/// The bits of the filter by which packets of both directions are found. One entry tells both: the other may
/// be on its way from one table to the other, or lost and about to be made anew.
fn bits_of(key: &FlowKey, flow: &Flow) -> impl Iterator<Item = FilterBit> {
    let counterpart = key.counterpart(flow);
    let (dialled, answer) = if flow.is_reverse() { (&counterpart, key) } else { (key, &counterpart) };
    let forward = FilterBit::frontend(&FrontendKey::new(dialled.dst(), dialled.dport(), dialled.proto()));
    let reverse = if flow.is_masqueraded() {
        [Some(FilterBit::node_address(answer.dst())), Some(FilterBit::masquerade_port(answer.dport()))]
    } else {
        [Some(FilterBit::backend(answer.src(), answer.sport(), answer.proto())), None]
    };
    reverse.into_iter().flatten().chain([forward])
}

/// What a flow is made of, if it has ended.
fn judge(flows: &impl Flows, table: Table, key: &FlowKey, flow: &Flow, now: Moment) -> Option<Ended> {
    let counterpart = key.counterpart(flow);
    let other_table = if table == Table::New { Table::Assured } else { Table::New };
    let found = flows
        .get(table, &counterpart)
        .map(|other| (table, other))
        .or_else(|| flows.get(other_table, &counterpart).map(|other| (other_table, other)))
        // Another flow may have taken the tuple.
        .filter(|(_, other)| counterpart.counterpart(other) == *key);
    let end = verdict(flows, key.proto(), flow, found.as_ref().map(|(_, other)| other), now)?;
    let own = Some((table, *key));
    let other = found.map(|(table, _)| (table, counterpart));
    // The client's direction first: a packet that comes between begins a flow anew.
    Some(Ended { end, entries: if flow.is_reverse() { [other, own] } else { [own, other] } })
}

/// Removes what has ended, unless a packet came since: its client may have taken the same port again.
fn remove(flows: &mut impl Flows, ended: &Ended, now: Moment, collected: &mut Collected) {
    let entries = || ended.entries.iter().flatten();
    let is_fresh = |flow: Flow| now.seconds_since(flow.last()) < FRESH;
    if entries().any(|(table, key)| flows.get(*table, key).is_some_and(is_fresh)) {
        return;
    }
    // Both directions were judged where both were seen: the second finds nothing to remove.
    if entries().filter(|(table, key)| flows.remove(*table, key)).count() > 0 {
        match ended.end {
            End::Expired => collected.expired += 1,
            End::Orphaned => collected.orphaned += 1,
        }
    }
}

/// Whether a flow has ended; `None` while it goes on.
fn verdict(flows: &impl Flows, proto: Proto, flow: &Flow, other: Option<&Flow>, now: Moment) -> Option<End> {
    let last = other.map_or(flow.last(), |other| flow.last().max(other.last()));
    let idle = now.seconds_since(last);
    if idle < FRESH {
        return None;
    }
    let seen = other.map_or(Seen::NOTHING, Flow::seen);
    let (forward, reverse) = if flow.is_reverse() { (seen, flow.seen()) } else { (flow.seen(), seen) };
    if idle >= FlowState::of(proto, forward, reverse).idle_seconds(proto) {
        return Some(End::Expired);
    }
    (proto == Proto::UDP && flows.is_gone(flow.backend(), flow.generation())).then_some(End::Orphaned)
}

#[cfg(test)]
mod tests;
