//! The collector of flows on a thread of its own: a walk through a full table takes longer than a change of
//! an endpoint may wait.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use lb_common::{BackendId, FilterBit};
use tokio::sync::mpsc;

use crate::datapath::{Collected, Collector, FlowTables};

/// How often flows that are over are looked for.
const INTERVAL: Duration = Duration::from_secs(5);
/// The same where the table fills up, or there was more to remove.
const HURRIED: Duration = Duration::from_millis(500);
/// Entries of the table of assured flows above which it is about to be full: three quarters.
const PRESSURE: usize = (1 << 19) / 4 * 3;

/// The collector: rounds are asked for, and what they found is told.
#[derive(Debug)]
pub(super) struct Collecting {
    rounds: mpsc::Sender<BTreeSet<FilterBit>>,
    found: mpsc::Receiver<Collected>,
    /// Whether a round is under way.
    is_busy: bool,
    /// The bits that only flows might need, at the round before.
    idle: BTreeSet<FilterBit>,
    interval: Duration,
}

impl Collecting {
    /// Begins; the thread ends when this is dropped. Without tables there is nothing to do, ever.
    pub(super) fn begin(tables: Option<FlowTables>) -> std::io::Result<Self> {
        let (rounds, mut asked) = mpsc::channel(1);
        let (found_sender, found) = mpsc::channel(1);
        let begun =
            Self { rounds, found, is_busy: tables.is_none(), idle: BTreeSet::new(), interval: INTERVAL };
        let Some(mut tables) = tables else {
            return Ok(begun);
        };
        thread::Builder::new().name("flows".to_owned()).spawn(move || {
            let mut collector = Collector::default();
            let mut told = BTreeSet::new();
            while let Some(bits) = asked.blocking_recv() {
                let collected = collector.collect(&mut tables, bits).unwrap_or_else(|error| {
                    tracing::error!(%error, "cannot read the tables of flows");
                    Collected::default()
                });
                tell_exhausted(&tables, &mut told);
                if found_sender.blocking_send(collected).is_err() {
                    return;
                }
            }
        })?;
        Ok(begun)
    }

    /// Whether a round is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// How long to wait before the next round.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Asks for a round, which sees whether a flow needs these bits: those that were idle at the round before
    /// too, for a program that saw what they stood for may have been about to make a flow.
    pub(super) fn ask(&mut self, idle: BTreeSet<FilterBit>) {
        let bits = idle.intersection(&self.idle).copied().collect();
        self.idle = idle;
        self.is_busy = self.rounds.try_send(bits).is_ok();
    }

    /// What a round found, when there is one.
    pub(super) async fn found(&mut self) -> Option<Collected> {
        let collected = self.found.recv().await?;
        self.is_busy = false;
        let is_pressed = collected.is_partial || collected.assured > PRESSURE;
        self.interval = if is_pressed { HURRIED } else { INTERVAL };
        if collected.expired + collected.orphaned > 0 {
            tracing::debug!(
                assured = collected.assured,
                new = collected.new,
                expired = collected.expired,
                orphaned = collected.orphaned,
                took = ?collected.took,
                "flows forgotten"
            );
        }
        Some(collected)
    }
}

/// Says once of each backend that its clients outnumber the ports.
fn tell_exhausted(tables: &FlowTables, told: &mut BTreeSet<BackendId>) {
    for (id, count) in tables.exhausted().unwrap_or_default() {
        if told.insert(id) {
            let backend = tables.backend(id).map(|backend| format!("{}:{}", backend.addr(), backend.port()));
            tracing::warn!(
                backend = backend.unwrap_or_else(|| "one that is gone".to_owned()),
                packets = count,
                "no masquerade port was free toward a backend: connections to it were dropped"
            );
        }
    }
}
