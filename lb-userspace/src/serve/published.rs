//! What the engine lets be known of itself, and what is answered from it: no request waits for the engine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::checks::{CheckKey, HealthCheck, health_checks};
use super::metrics::Metrics;
use crate::engine::{Engine, Event, Report};
use crate::reconcile::Store;

/// Something that was to be put in force this long ago and is not: the instance is not healthy. Twice
/// kube-proxy's `syncPeriod` (HLZ-02).
pub const LATE: Duration = Duration::from_secs(60);

/// What is known of the instance at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// When the last change was in force; before the first one, when the instance began.
    pub updated: Timestamp,
    /// Since when a change is being put in force; `None` where nothing is pending.
    pub queued: Option<Instant>,
    /// Whether load balancers may send new clients here (HLZ-04). True where no source knows nodes.
    pub is_node_eligible: bool,
    /// Health-check node ports.
    pub checks: BTreeMap<CheckKey, HealthCheck>,
}

impl Published {
    /// Whether what is served is up to date at a time (HLZ-02).
    pub fn is_healthy(&self, now: Instant) -> bool {
        self.queued.is_none_or(|queued| now.saturating_duration_since(queued) < LATE)
    }
}

/// The engine's side.
#[derive(Debug)]
pub struct Publisher {
    sender: watch::Sender<Published>,
    metrics: Metrics,
    /// Endpoints that changed before this are none that this instance could have been quicker with.
    began: Timestamp,
    /// When what is being put in force came to be (EPS-15).
    triggers: Vec<Timestamp>,
    /// The source knows nodes: one that was not seen is not eligible (HLZ-04).
    watches_node: bool,
}

impl Publisher {
    /// Nothing pending, nothing served.
    pub fn new(metrics: Metrics, watches_node: bool) -> Self {
        let began = Timestamp::now();
        let (sender, _) = watch::channel(Published {
            updated: began,
            queued: None,
            is_node_eligible: !watches_node,
            checks: BTreeMap::new(),
        });
        Self { sender, metrics, began, triggers: vec![], watches_node }
    }

    /// The servers' side.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.sender.subscribe()
    }

    /// An event is about to be put in force.
    pub fn begin(&mut self, event: &Event) {
        self.metrics.count_queued(event);
        if let Event::Source(event) = event {
            self.triggers.extend(event.triggers.iter().filter(|time| **time > self.began));
        }
        self.sender.send_modify(|published| _ = published.queued.get_or_insert_with(Instant::now));
    }

    /// It was handled; `report` is what became of it, if anything.
    pub fn end<S: Store>(&mut self, engine: &Engine<S>, report: Option<&Report>) {
        let checks = report.map(|report| {
            self.metrics.count_applied(report, engine.world(), engine.unserved());
            health_checks(engine.world(), engine.node())
        });
        let is_node_eligible =
            !self.watches_node || engine.world().node().is_some_and(|node| !node.is_leaving);
        self.sender.send_modify(|published| {
            // A write that fails again and again keeps everything waiting: since when, the health check tells.
            if !engine.is_stalled() {
                published.queued = None;
            }
            published.is_node_eligible = is_node_eligible;
            if engine.is_synced() && !engine.is_stalled() {
                published.updated = Timestamp::now();
            }
            if let Some(checks) = checks {
                published.checks = checks;
            }
        });
        if engine.is_synced() && !engine.is_stalled() {
            self.metrics.mark_up_to_date();
            self.metrics.count_programmed(&std::mem::take(&mut self.triggers));
        }
    }
}
