//! What is told of the instance in OpenMetrics: kube-proxy's names where the meaning is the same (§1.9), our
//! own for the rest.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::process::ProcessFigures;
use crate::engine::{Event, Report};
use crate::model::{Change, World};
use crate::notice::Fates;
use crate::source::Requests;
use crate::tables::Unserved;

type Seconds = Gauge<f64, AtomicU64>;
type ByCode = Family<[(&'static str, String); 1], Counter>;

/// Names of metrics with what each means. A counter has `_total` after its name where it is read.
pub mod names {
    /// A name, and what it means.
    pub type Named = (&'static str, &'static str);

    pub(in super::super) const DURATION: Named =
        ("kubeproxy_sync_proxy_rules_duration_seconds", "How long a change took to be put in force");
    pub(in super::super) const LAST: Named =
        ("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When a change was last handled in full");
    pub(in super::super) const LAST_QUEUED: Named =
        ("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "When a change was last heard of");
    pub(in super::super) const SERVICE_CHANGES: Named =
        ("kubeproxy_sync_proxy_rules_service_changes", "Services that were new, different or gone");
    pub(in super::super) const ENDPOINT_CHANGES: Named =
        ("kubeproxy_sync_proxy_rules_endpoint_changes", "EndpointSlices that were new, different or gone");
    pub(in super::super) const SERVICES_PENDING: Named = (
        "kubeproxy_sync_proxy_rules_service_changes_pending",
        "Services that were new, different or gone since all was in force",
    );
    pub(in super::super) const ENDPOINTS_PENDING: Named = (
        "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
        "EndpointSlices that were new, different or gone since all was in force",
    );
    pub(in super::super) const UNSERVED: Named = (
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
        "Service ports that have endpoints, but none on this node where a traffic policy wants such, now",
    );
    pub(in super::super) const REQUESTS: Named =
        ("rest_client_requests", "Requests to API servers, by HTTP status, method and host");
    pub(in super::super) const BUILD: Named = ("kubernetes_build_info", "Which version this is; always 1");
    pub(in super::super) const PROGRAMMED: Named = (
        "kubeproxy_network_programming_duration_seconds",
        "How long after endpoints changed in the cluster that was in force here",
    );
    pub(in super::super) const HEALTHZ: Named =
        ("kubeproxy_proxy_healthz", "Answers of /healthz, by HTTP status");
    pub(in super::super) const LIVEZ: Named = ("kubeproxy_proxy_livez", "Answers of /livez, by HTTP status");
    pub(in super::super) const SERVICES: Named = ("shunt_services", "Services known");
    pub(in super::super) const SLICES: Named = ("shunt_endpoint_slices", "EndpointSlices known");
    pub(in super::super) const WRITES: Named = ("shunt_map_writes", "Writes to maps by the controller");
    pub(in super::super) const REFUSED: Named =
        ("shunt_refused", "Service ports and leftovers that could not be put in force, now");
    pub(in super::super) const PROBLEMS: Named =
        ("shunt_problems", "Objects, files or kinds that can't be read, now");
    pub(in super::super) const CHECK_PORTS: Named =
        ("shunt_health_check_node_ports", "Health-check node ports, by whether they listen");
    pub(in super::super) const EVENTS: Named =
        ("shunt_events", "Events on objects of the cluster, by what became of them");
    pub(in super::super) const MEMORY: Named = ("process_resident_memory_bytes", "Memory that is resident");
    pub(in super::super) const PROCESSOR: Named = ("process_cpu_seconds", "Processor time that was used");
    pub(in super::super) const DATAPATH: Named =
        ("shunt_datapath", "What the programs did since the maps were made, by what became of it");
    pub(in super::super) const MAP_ENTRIES: Named = ("shunt_map_entries", "Entries of a map");
    pub(in super::super) const MAP_CAPACITY: Named = ("shunt_map_capacity", "Entries of a map at most");

    /// All of them.
    pub const ALL: [Named; 25] = [
        SERVICES_PENDING,
        ENDPOINTS_PENDING,
        UNSERVED,
        REQUESTS,
        BUILD,
        DURATION,
        LAST,
        LAST_QUEUED,
        SERVICE_CHANGES,
        ENDPOINT_CHANGES,
        PROGRAMMED,
        HEALTHZ,
        LIVEZ,
        SERVICES,
        SLICES,
        WRITES,
        REFUSED,
        PROBLEMS,
        CHECK_PORTS,
        EVENTS,
        MEMORY,
        PROCESSOR,
        DATAPATH,
        MAP_ENTRIES,
        MAP_CAPACITY,
    ];
}

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Healthz,
    Livez,
}

/// The metrics of an instance; clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    duration: Histogram,
    last: Seconds,
    last_queued: Seconds,
    service_changes: Counter,
    endpoint_changes: Counter,
    programmed: Histogram,
    healthz: ByCode,
    livez: ByCode,
    services: Gauge,
    slices: Gauge,
    writes: Counter,
    refused: Gauge,
    problems: Gauge,
    check_ports: Family<[(&'static str, &'static str); 1], Gauge>,
    services_pending: Gauge,
    endpoints_pending: Gauge,
    unserved: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl Metrics {
    /// All at zero; `kernel` is read at each scrape, `events` and `requests` are counted elsewhere.
    pub fn new(kernel: impl Collector, events: Fates, requests: Requests) -> Self {
        let mut registry = Registry::default();
        registry.register(names::EVENTS.0, names::EVENTS.1, events);
        registry.register(names::REQUESTS.0, names::REQUESTS.1, requests);
        registry.register(names::BUILD.0, names::BUILD.1, build());
        // kube-proxy's buckets: 1 ms to 16 s.
        let duration = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        registry.register(names::DURATION.0, names::DURATION.1, duration.clone());
        let programmed = Histogram::new(programming_buckets());
        registry.register(names::PROGRAMMED.0, names::PROGRAMMED.1, programmed.clone());
        let mut metrics = Self {
            duration,
            programmed,
            last: registered(&mut registry, names::LAST),
            last_queued: registered(&mut registry, names::LAST_QUEUED),
            service_changes: registered(&mut registry, names::SERVICE_CHANGES),
            endpoint_changes: registered(&mut registry, names::ENDPOINT_CHANGES),
            healthz: registered(&mut registry, names::HEALTHZ),
            livez: registered(&mut registry, names::LIVEZ),
            services: registered(&mut registry, names::SERVICES),
            slices: registered(&mut registry, names::SLICES),
            writes: registered(&mut registry, names::WRITES),
            refused: registered(&mut registry, names::REFUSED),
            problems: registered(&mut registry, names::PROBLEMS),
            check_ports: registered(&mut registry, names::CHECK_PORTS),
            services_pending: registered(&mut registry, names::SERVICES_PENDING),
            endpoints_pending: registered(&mut registry, names::ENDPOINTS_PENDING),
            unserved: registered(&mut registry, names::UNSERVED),
            registry: Arc::default(),
        };
        registry.register_collector(Box::new(ProcessFigures));
        registry.register_collector(Box::new(kernel));
        metrics.registry = Arc::new(registry);
        metrics
    }

    /// All of them as text.
    ///
    /// # Errors
    ///
    /// None that is known of.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(super) fn count_queued(&self, event: &Event) {
        if !matches!(event, Event::Settled | Event::Retry) {
            self.last_queued.set(now());
        }
        let Event::Source(event) = event else { return };
        self.problems.set(count(event.problems.len()));
        for change in &event.changes {
            match change {
                Change::Service(_) | Change::ServiceGone(_) => {
                    self.service_changes.inc();
                    self.services_pending.inc();
                }
                Change::Slice(_) | Change::SliceGone(_) => {
                    self.endpoint_changes.inc();
                    self.endpoints_pending.inc();
                }
                Change::Node(_) => {}
            }
        }
    }

    /// Nothing is pending any more.
    pub(super) fn mark_up_to_date(&self) {
        self.last.set(now());
        self.services_pending.set(0);
        self.endpoints_pending.set(0);
    }

    pub(super) fn count_applied(&self, report: &Report, world: &World, unserved: Unserved) {
        self.set_unserved(unserved);
        self.duration.observe(report.took.as_secs_f64());
        self.writes.inc_by(report.writes as u64);
        self.refused.set(count(report.refusals.len()));
        self.services.set(count(world.services().count()));
        self.slices.set(count(world.slices().count()));
    }

    pub(super) fn set_unserved(&self, unserved: Unserved) {
        for (policy, number) in [("internal", unserved.internal), ("external", unserved.external)] {
            self.unserved.get_or_create(&[("traffic_policy", policy)]).set(count(number));
        }
    }

    /// What changed at these times is in force now. A clock that went back makes it no time at all.
    pub(super) fn count_programmed(&self, triggers: &[Timestamp]) {
        let now = Timestamp::now();
        for trigger in triggers {
            self.programmed.observe(now.duration_since(*trigger).as_secs_f64().max(0.0));
        }
    }

    pub(super) fn count_probe(&self, probe: Probe, status: u16) {
        let family = match probe {
            Probe::Healthz => &self.healthz,
            Probe::Livez => &self.livez,
        };
        family.get_or_create(&[("code", status.to_string())]).inc();
    }

    pub(super) fn set_check_ports(&self, open: usize, failed: usize) {
        self.check_ports.get_or_create(&[("state", "listening")]).set(count(open));
        self.check_ports.get_or_create(&[("state", "failed")]).set(count(failed));
    }
}

fn registered<M>(registry: &mut Registry, (name, help): names::Named) -> M
where
    M: prometheus_client::registry::Metric + Default + Clone,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The labels that Kubernetes has, as far as they are known.
fn build() -> Family<[(&'static str, String); 5], Gauge> {
    let build: Family<[(&'static str, String); 5], Gauge> = Family::default();
    let labels = [
        ("compiler", "rustc".to_owned()),
        ("git_version", concat!("v", env!("CARGO_PKG_VERSION")).to_owned()),
        ("major", env!("CARGO_PKG_VERSION_MAJOR").to_owned()),
        ("minor", env!("CARGO_PKG_VERSION_MINOR").to_owned()),
        ("platform", format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)),
    ];
    build.get_or_create(&labels).set(1);
    build
}

/// kube-proxy's: finer than a second where that is good, coarse where it is too late anyway.
fn programming_buckets() -> impl Iterator<Item = f64> {
    let seconds = (1..60).chain((60..120).step_by(5)).chain((120..=300).step_by(30));
    [0.25, 0.5].into_iter().chain(seconds.map(f64::from))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
