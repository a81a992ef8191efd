//! The collector of flows on a thread of its own: a walk through a full table takes longer than a change of
//! an endpoint may wait.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use lb_common::FilterBit;
use tokio::sync::mpsc;

use crate::datapath::{Alarm, Collected, Collector, Exhausted, FlowTables};

/// How often flows that are over are looked for.
const INTERVAL: Duration = Duration::from_secs(5);
/// The same where the table fills up, or there was more to remove.
const HURRIED: Duration = Duration::from_millis(500);
/// The collector: rounds are asked for, and what they found is told.
#[derive(Debug)]
pub(super) struct Collecting {
    rounds: mpsc::Sender<BTreeSet<FilterBit>>,
    found: mpsc::Receiver<Collected>,
    /// Whether a round is under way.
    is_busy: bool,
    interval: Duration,
    /// Entries of the table of assured flows above which it is about to be full: three quarters.
    pressure: usize,
}

impl Collecting {
    /// Begins; the thread ends when this is dropped.
    pub(super) fn begin(mut tables: FlowTables) -> std::io::Result<Self> {
        let pressure = tables.capacity() / 4 * 3;
        let (rounds, mut asked) = mpsc::channel(1);
        let (found_sender, found) = mpsc::channel(1);
        thread::Builder::new().name("flows".to_owned()).spawn(move || {
            let mut collector = Collector::default();
            let mut alarm = Alarm::default();
            while let Some(bits) = asked.blocking_recv() {
                let collected = collector.collect(&mut tables, bits).unwrap_or_else(|error| {
                    tracing::error!(%error, "cannot read the tables of flows");
                    Collected::default()
                });
                match tables.forget_exhausted().and_then(|()| tables.exhausted()) {
                    Ok(exhausted) => alarm.news(exhausted, Instant::now()).iter().for_each(tell_exhausted),
                    Err(error) => tracing::error!(%error, "cannot read which backends ran out of ports"),
                }
                if found_sender.blocking_send(collected).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { rounds, found, is_busy: false, interval: INTERVAL, pressure })
    }

    /// Whether a round is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// How long to wait before the next round.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Asks for a round, which sees whether a flow needs these bits.
    pub(super) fn ask(&mut self, bits: BTreeSet<FilterBit>) {
        self.is_busy = self.rounds.try_send(bits).is_ok();
    }

    /// What a round found, when there is one.
    pub(super) async fn found(&mut self) -> Option<Collected> {
        let collected = self.found.recv().await?;
        self.is_busy = false;
        let is_pressed = collected.is_partial || collected.assured > self.pressure;
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

/// Says that the clients of a backend outnumber the ports.
fn tell_exhausted(exhausted: &Exhausted) {
    tracing::warn!(
        backend = %exhausted.backend,
        service = exhausted.service.as_deref().unwrap_or("-"),
        packets = exhausted.packets,
        "no masquerade port was free toward a backend: connections to it were dropped"
    );
}
