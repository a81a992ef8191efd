//! Requests over loopback, as a load balancer, a probe and a scraper make them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lb_common::Counter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use serde_json::json;

use super::*;
use crate::compile::tests::objects::*;
use crate::datapath::Fill;
use crate::engine::{Engine, Event};
use crate::model::{Change, NodeFacts, NodeObject, NodePortAddresses, Service, TrafficPolicy};
use crate::notice::{self, Fates};
use crate::reconcile::Reconciler;
use crate::reconcile::memory::Memory;
use crate::source::{Requests, SourceEvent};
use crate::tables::Unserved;

/// What a datapath would tell.
#[derive(Debug)]
struct Figures;

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counters = Counter::ALL.map(|counter| (counter, 7));
        kernel::write(&mut encoder, &counters, &[Fill { map: "FLOWS", entries: 3, capacity: 9 }])
    }
}

/// An instance without a kernel: engine, publisher and servers.
struct Instance {
    engine: Engine<Memory>,
    publisher: Publisher,
    health: SocketAddr,
    metrics: SocketAddr,
}

impl Instance {
    fn start(watches_node: bool) -> Self {
        Self::start_on(Memory::new(16, 64, 64), watches_node)
    }

    fn start_on(memory: Memory, watches_node: bool) -> Self {
        let node = NodeFacts {
            addresses: vec![ip("127.0.0.1")],
            node_port_addresses: NodePortAddresses::Primary,
            ..node()
        };
        let store = Reconciler::adopt(memory).expect("memory can be read");
        let metrics = Metrics::new(Figures, Fates::default(), Requests::default());
        let publisher = Publisher::new(metrics.clone(), watches_node);
        let (health, scraped) = (free_address(), free_address());
        let addresses = Addresses { health: Some(health), metrics: Some(scraped) };
        start(addresses, publisher.subscribe(), metrics, pages(), Owners::default()).expect("a thread");
        Self { engine: Engine::new(node, store), publisher, health, metrics: scraped }
    }

    /// As the loop of `shunt run` does.
    fn put(&mut self, changes: Vec<Change>) {
        self.put_event(SourceEvent { changes, first: true, ..SourceEvent::default() });
    }

    fn put_event(&mut self, event: SourceEvent) {
        self.handle(Event::Source(event));
    }

    fn handle(&mut self, event: Event) {
        self.publisher.begin(&event);
        let report = self.engine.handle(event);
        self.publisher.end(&self.engine, report.as_ref());
    }
}

fn pages() -> Pages {
    Pages::new(&json!({ "clusterCIDR": "10.244.0.0/16" }), &[("log".to_owned(), "info".to_owned())])
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn try_ask(address: SocketAddr, request: &str) -> io::Result<String> {
    try_ask_with(address, request, "")
}

fn try_ask_with(address: SocketAddr, request: &str, header: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Asks until the answer is as wanted, or nothing answers where that is wanted.
#[track_caller]
fn ask_until(address: SocketAddr, request: &str, wanted: impl Fn(&io::Result<String>) -> bool) -> String {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = try_ask(address, request);
        if wanted(&answer) {
            return answer.unwrap_or_default();
        }
        assert!(Instant::now() < end, "{request} at {address}: {answer:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn ask(address: SocketAddr, request: &str) -> String {
    ask_until(address, request, Result::is_ok)
}

fn is(status: u16) -> impl Fn(&io::Result<String>) -> bool {
    move |answer| answer.as_ref().is_ok_and(|text| text.starts_with(&format!("HTTP/1.1 {status} ")))
}

fn checked(port: u16) -> Service {
    Service {
        external_policy: TrafficPolicy::Local,
        health_check_node_port: Some(port),
        ..load_balancer_service()
    }
}

fn boxed(service: Service) -> Change {
    Change::Service(Box::new(service))
}

#[test]
fn a_node_is_sent_clients_once_it_is_seen_and_until_it_leaves_hlz_04() {
    let mut instance = Instance::start(true);
    ask_until(instance.health, "GET /healthz", is(503));
    instance.put(vec![Change::Node(NodeObject::default())]);
    let answer = ask_until(instance.health, "GET /healthz", is(200));
    assert!(answer.contains("200 OK") && answer.contains("lastUpdated"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\nx-content-type-options: nosniff"), "{answer}");
    instance.put(vec![Change::Node(NodeObject { is_leaving: true, ..NodeObject::default() })]);
    ask_until(instance.health, "GET /healthz", is(503));
    assert!(is(200)(&try_ask(instance.health, "GET /livez")), "HLZ-05");
}

#[test]
fn without_a_cluster_there_is_no_node_to_wait_for() {
    let instance = Instance::start(false);
    ask_until(instance.health, "GET /healthz", is(200));
}

#[test]
fn a_health_check_port_opens_counts_moves_and_closes_with_its_service_hcn_06() {
    let mut instance = Instance::start(false);
    let (first, second) = (free_address(), free_address());
    instance.put(vec![boxed(checked(first.port()))]);
    ask_until(first, "GET /", is(503));
    instance.put(vec![Change::Slice(Box::new(slice(vec![local("10.244.1.11")])))]);
    let answer = ask_until(first, "POST /any/path", is(200));
    assert!(answer.contains("x-load-balancing-endpoint-weight: 1\r\n"), "{answer}");
    assert!(answer.ends_with("\"serviceProxyHealthy\": true\n}"), "{answer}");

    instance.put(vec![boxed(checked(second.port()))]);
    ask_until(second, "GET /", is(200));
    ask_until(first, "GET /", Result::is_err);
    let cluster = Service { external_policy: TrafficPolicy::Cluster, ..checked(second.port()) };
    instance.put(vec![boxed(cluster)]);
    ask_until(second, "GET /", Result::is_err);
    instance.put(vec![boxed(checked(second.port()))]);
    ask_until(second, "GET /", is(200));
}

#[test]
fn a_health_check_port_that_is_taken_is_counted_and_had_when_it_is_free_hcn_07() {
    let mut instance = Instance::start(false);
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = holder.local_addr().expect("an address");
    instance.put(vec![boxed(checked(address.port()))]);
    let failed = "shunt_health_check_node_ports{state=\"failed\"} 1";
    ask_until(instance.metrics, "GET /metrics", |answer| {
        answer.as_ref().is_ok_and(|text| text.contains(failed))
    });
    drop(holder);
    ask_until(address, "GET /", is(503));
}

#[test]
fn the_mode_is_told_as_kube_proxy_tells_its_own_mts_01() {
    let instance = Instance::start(false);
    let answer = ask(instance.metrics, "GET /proxyMode");
    assert!(is(200)(&Ok(answer.clone())) && answer.ends_with("\r\n\r\nebpf"), "{answer}");
    assert!(answer.contains("content-type: text/plain; charset=utf-8\r\n"), "{answer}");
    assert!(ask(instance.metrics, "GET /healthz").ends_with("\r\n\r\nok"));
}

#[test]
fn what_is_in_force_is_told_beside_the_metrics_mts_01() {
    let instance = Instance::start(false);
    let answer = ask(instance.metrics, "GET /configz");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(
        answer.ends_with("{\"kubeproxy.config.k8s.io\":{\"clusterCIDR\":\"10.244.0.0/16\"}}"),
        "{answer}"
    );
    assert!(ask(instance.metrics, "GET /flagz").ends_with("\nlog=info\n"));
    assert!(ask(instance.metrics, "GET /statusz").contains("\nBinary version: "));
}

#[test]
fn metrics_are_in_the_format_that_is_asked_for() {
    let instance = Instance::start(false);
    let plain = ask(instance.metrics, "GET /metrics");
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{plain}");
    assert!(plain.contains("# TYPE shunt_map_writes_total counter\n") && !plain.contains("# EOF"), "{plain}");
    let open = try_ask_with(instance.metrics, "GET /metrics", "Accept: application/openmetrics-text\r\n");
    let open = open.expect("an answer");
    assert!(open.contains("content-type: application/openmetrics-text"), "{open}");
    assert!(open.contains("# TYPE shunt_map_writes counter\n") && open.ends_with("# EOF\n"), "{open}");
}

#[test]
fn what_was_done_is_counted() {
    let mut instance = Instance::start(false);
    instance.put(vec![boxed(checked(free_address().port()))]);
    ask(instance.health, "GET /livez");
    let text = ask(instance.metrics, "GET /metrics");
    for line in [
        "kubeproxy_sync_proxy_rules_service_changes_total 1",
        "kubeproxy_sync_proxy_rules_service_changes_pending 0",
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"external\"} 0",
        "kubernetes_build_info{",
        "kubeproxy_sync_proxy_rules_duration_seconds_count 1",
        "kubeproxy_proxy_livez_total{code=\"200\"} 1",
        "shunt_services 1",
        "shunt_datapath_total{became=\"dropped\",what=\"no-route\"} 7",
        "shunt_map_entries{map=\"FLOWS\"} 3",
    ] {
        let is_there = |of_text: &str| of_text == line || line.ends_with('{') && of_text.starts_with(line);
        assert!(text.lines().any(is_there), "{line} is not in {text}");
    }
    let queued = value(&text, "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds ");
    assert!(queued > 1.7e9 && value(&text, "kubeproxy_sync_proxy_rules_last_timestamp_seconds ") >= queued);
}

fn value(text: &str, name: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).expect(name)
}

#[test]
fn the_page_has_every_metric_with_its_type_and_no_other() {
    let events = Fates::default();
    notice::count(&events, notice::Fate::Told);
    let requests = Requests::default();
    let labels = [("code", "200"), ("host", "192.0.2.1:6443"), ("method", "GET")];
    requests.get_or_create(&labels.map(|(label, value)| (label, value.to_owned()))).inc();
    let metrics = Metrics::new(Figures, events, requests);
    metrics.count_probe(metrics::Probe::Healthz, 200);
    metrics.count_probe(metrics::Probe::Livez, 200);
    metrics.set_check_ports(0, 0);
    metrics.set_unserved(Unserved::default());
    let text = metrics.text().expect("text");
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| {
            let suffix = if kind == "counter" { "_total" } else { "" };
            format!("`{name}{suffix}` | {kind}")
        })
        .collect();
    assert_eq!(told.len(), names::ALL.len());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/health-and-metrics.md");
    let page = fs::read_to_string(page).expect("the page");
    let prefixes = ["kubeproxy_", "kubernetes_", "process_", "rest_client_", "shunt_"];
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter(|row| prefixes.iter().any(|prefix| row.starts_with(prefix)));
    let rows: BTreeSet<String> =
        rows.map(|row| format!("`{}", row.split(" | ").take(2).collect::<Vec<_>>().join(" | "))).collect();
    assert_eq!(rows, told);
    assert!(value(&text, "process_resident_memory_bytes ") > 1e6, "{text}");
    assert!(value(&text, "process_cpu_seconds_total ") > 0.0, "{text}");
}

#[test]
fn how_long_ago_endpoints_changed_that_are_in_force_is_counted_eps_15() {
    let mut instance = Instance::start(false);
    let before = jiff::Timestamp::now() - Duration::from_secs(3600);
    thread::sleep(Duration::from_millis(1));
    let triggers = vec![before, jiff::Timestamp::now()];
    instance.put_event(SourceEvent { triggers: triggers.clone(), ..SourceEvent::default() });
    let told = |instance: &Instance, name: &str| {
        let answer = ask(instance.metrics, "GET /metrics");
        let name = format!("kubeproxy_network_programming_duration_seconds{name} ");
        let line = answer.lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{name} is not in: {answer}"))
    };
    assert_eq!(told(&instance, "_count"), "0", "nothing is in force before the first picture");
    instance.put_event(SourceEvent { first: true, ..SourceEvent::default() });
    assert_eq!(told(&instance, "_count"), "1", "but not what changed before there was an instance");
    assert!(told(&instance, "_sum").parse::<f64>().expect("seconds") < 60.0);
    assert_eq!(told(&instance, "_bucket{le=\"+Inf\"}"), "1");
}

#[test]
fn a_server_whose_port_is_taken_tells_the_node_and_answers_when_it_is_free_hlz_06() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let health = taken.local_addr().expect("its address");
    let metrics = Metrics::new(Figures, Fates::default(), Requests::default());
    let publisher = Publisher::new(metrics.clone(), false);
    let (notices, mut told) = notice::Notices::channel(Fates::default());
    let owners = Owners { notices, node: "node-1".to_owned(), refuse: None };
    let addresses = Addresses { health: Some(health), metrics: None };
    start(addresses, publisher.subscribe(), metrics, pages(), owners).expect("a thread");
    let notice = told.blocking_recv().expect("a notice");
    assert_eq!(
        (notice.about.to_string().as_str(), notice.reason),
        ("Node node-1", notice::Reason::HealthPort)
    );
    assert!(notice.note.contains("--healthz-bind-address"), "{}", notice.note);
    drop(taken);
    ask_until(health, "GET /healthz", is(200));
    assert!(told.try_recv().is_err(), "it is told once");
}

#[test]
fn a_server_that_has_to_listen_and_cannot_says_so_to_whoever_ends_the_instance_hlz_06() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let metrics = Metrics::new(Figures, Fates::default(), Requests::default());
    let publisher = Publisher::new(metrics.clone(), false);
    let (refuse, mut refused) = mpsc::channel(1);
    let owners = Owners { refuse: Some(refuse), ..Owners::default() };
    let addresses = Addresses { health: None, metrics: taken.local_addr().ok() };
    start(addresses, publisher.subscribe(), metrics, pages(), owners).expect("a thread");
    let why = refused.blocking_recv().expect("a word");
    assert!(why.contains("--metrics-bind-address") && why.ends_with("the instance ends"), "{why}");
}

#[test]
fn a_policy_that_leaves_nothing_here_is_counted_while_there_are_endpoints_elsewhere() {
    let mut instance = Instance::start(false);
    let count = |instance: &Instance| {
        let answer = ask(instance.metrics, "GET /metrics");
        let name = "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=";
        let of = |policy: &str| value(&answer, &format!("{name}\"{policy}\"}} "));
        (of("internal"), of("external"))
    };
    let only_here = Service { internal_policy: TrafficPolicy::Local, ..checked(free_address().port()) };
    instance.put(vec![boxed(only_here.clone())]);
    assert_eq!(count(&instance), (0.0, 0.0), "no endpoint anywhere");
    instance.put(vec![Change::Slice(Box::new(slice(vec![remote("10.244.2.11")])))]);
    assert_eq!(count(&instance), (1.0, 1.0));
    instance.put(vec![boxed(Service { internal_policy: TrafficPolicy::Cluster, ..only_here })]);
    assert_eq!(count(&instance), (0.0, 1.0));
    instance.put(vec![Change::Slice(Box::new(slice(vec![local("10.244.1.11")])))]);
    assert_eq!(count(&instance), (0.0, 0.0));
}

mod limits;
mod stall;
