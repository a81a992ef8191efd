//! `shunt run`

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::collect::Collecting;
use super::config::ConfigFile;
use super::logging::Logging;
use super::node::NodeOptions;
use super::packets::{Devices, PacketPath};
use super::pods::PodNetworks;
use super::retry::Retry;
use super::serve::ServeOptions;
use super::source::SourceArgs;
use super::{Allocation, PinDir, takeover};
use crate::control::{self, Control};
use crate::datapath::{self, Datapath, FlowTables, KernelStore, Pins};
use crate::engine::{Engine, Event, Report};
use crate::model::NodeFacts;
use crate::node;
use crate::node::links::Link;
use crate::reconcile::Reconciler;
use crate::serve::Publisher;
use crate::source::{Problem, SourceEvent};
use crate::terminate::Terminator;

/// Serve Services on this machine.
///
/// Programs are attached to the sockets of every process in a cgroup: from then on, whoever of them dials a
/// Service reaches one of its pods. It says «datapath complete» in one line when all that is known is in
/// force. When it ends, Services go on being served as they are; `shunt cleanup` takes them out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,

    #[command(flatten)]
    source: SourceArgs,

    /// Name of this node, as Pods and EndpointSlices name it [default: the host name]
    #[arg(long, env = "SHUNT_NODE_NAME", value_name = "NAME", visible_alias = "hostname-override")]
    node_name: Option<String>,

    /// An address of this node; node ports answer on it. Repeat it for more, the primary one of each family
    /// first [default: the addresses of the interfaces, as they come and go]
    #[arg(long = "node-ip", env = "SHUNT_NODE_IP", value_name = "IP", value_delimiter = ',')]
    node_ips: Vec<IpAddr>,

    /// Directory of the cgroup v2 hierarchy whose processes are served [default: its root, all processes]
    #[arg(long, env = "SHUNT_CGROUP", value_name = "DIR")]
    cgroup: Option<PathBuf>,

    #[command(flatten)]
    pins: PinDir,

    #[command(flatten)]
    allocation: Allocation,

    #[command(flatten)]
    pods: PodNetworks,

    #[command(flatten)]
    packets: PacketPath,

    #[command(flatten)]
    node: NodeOptions,

    #[command(flatten)]
    serve: ServeOptions,

    #[command(flatten)]
    logging: Logging,
}

/// With nothing to do for this long, the engine frees what was given up.
const IDLE: Duration = Duration::from_millis(200);

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.logging.begin()?;
    args.config.tell()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    let node_name = args.node_name.clone().unwrap_or_else(node::host_name);
    let source = args.source.source(&node_name, &args.allocation).await?;
    let cgroup = args.cgroup.clone().map_or_else(datapath::cgroup2_root, Ok)?;
    let options =
        datapath::Options { cgroup, pin_dir: args.pins.pin_dir.clone(), no_tcx: args.packets.no_tcx };
    let Datapath { store, devices: hooks, adopted_maps, lock } = datapath::load(&options)?;
    tracing::info!(
        node = node_name,
        source = source.name(),
        cgroup = %options.cgroup.display(),
        pins = %options.pin_dir.display(),
        adopted_maps,
        "programs attached"
    );
    args.node.settle(&options.pin_dir);
    std::thread::spawn(takeover::notice);
    let facts = NodeFacts {
        name: node_name,
        addresses: args.node_ips.clone(),
        detect_local: args.pods.detect_local_mode,
        cluster_cidrs: args.pods.known(),
        node_port_addresses: args.packets.nodeport_addresses.clone(),
        masquerade_always: args.packets.masquerade_always(),
        ..NodeFacts::default()
    };
    let rules = args.packets.rules(&facts.cluster_cidrs, args.pods.devices()?);
    let path = args.packets.path(&args.node_ips, &facts.cluster_cidrs, &args.allocation);
    let engine = Engine::new(facts, Reconciler::adopt_for(store, rules.leads_to_pods())?);
    let takes_service_cidrs = source.knows_service_cidrs() && !args.allocation.names_service_cidrs();
    let takes_pod_cidrs = args.pods.is_of_node();
    let mut devices = Devices { hooks, rules, path, links: None, takes_service_cidrs, takes_pod_cidrs };
    if takes_service_cidrs {
        devices.path.service_cidrs = vec![];
    }
    let pins = Pins::in_directory(&options.pin_dir);
    let terminator = args.node.terminator(&options.cgroup, &pins)?;
    let flows = FlowTables::open(&pins)?;
    let flows = Collecting::begin(flows).context("cannot start a thread")?;
    let (link_sender, links) = mpsc::channel(4);
    node::links::watch(link_sender).await?;
    // Of both channels the node's is read first: its addresses are known before the first picture is compiled.
    let (node_sender, node_events) = mpsc::channel(4);
    if args.node_ips.is_empty() {
        node::addresses::watch(node_sender.clone()).await?;
    }
    let publisher = args.serve.start(&pins, source.knows_service_cidrs())?;
    let control = listen(&args.pins.pin_dir);
    let (events, source) = source.start();
    let inputs = Inputs { links, node: node_events, events, flows, terminator, publisher, source, control };
    let result = turn(engine, devices, inputs).await;
    drop(node_sender);
    // Until here a second instance on these pins is refused.
    drop(lock);
    result
}

/// Lets others ask this instance; without that it serves all the same.
fn listen(pin_dir: &Path) -> Option<Control> {
    Control::listen(&control::socket_path(pin_dir))
        .inspect_err(|error| tracing::warn!("`shunt explain` can't ask this instance: {error:#}"))
        .ok()
}

/// What the loop listens to.
struct Inputs {
    links: mpsc::Receiver<Vec<Link>>,
    node: mpsc::Receiver<Event>,
    events: mpsc::Receiver<SourceEvent>,
    flows: Collecting,
    terminator: Terminator,
    publisher: Publisher,
    control: Option<Control>,
    source: JoinHandle<anyhow::Result<()>>,
}

/// Turns until told to stop, or until the source is at an end.
async fn turn(
    mut engine: Engine<KernelStore>,
    mut devices: Devices,
    inputs: Inputs,
) -> anyhow::Result<ExitCode> {
    let Inputs { mut links, mut node, mut events, mut flows, terminator, publisher, mut control, mut source } =
        inputs;
    let mut next_round = Instant::now();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut problems = BTreeSet::new();
    let mut settling = JoinSet::new();
    let mut retry = Retry::default();
    loop {
        let event = tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            ended = &mut source => {
                ended.context("the source broke off")??;
                break;
            }
            Some(links) = links.recv() => {
                retry.tell(&engine.put_node(devices.follow(links)));
                retry.look(&engine);
                continue;
            }
            Some(event) = node.recv() => event,
            Some(event) = events.recv() => Event::Source(event),
            Some(found) = flows.found() => {
                engine.clear_bits(found.unused_bits);
                next_round = Instant::now() + flows.interval();
                continue;
            }
            () = sleep_until(next_round), if !flows.is_busy() => {
                flows.ask(engine.idle_bits());
                continue;
            }
            Some(asked) = async { control.as_mut()?.asked().await }, if control.is_some() => {
                // Who no longer waits is not waited for.
                let _told = asked.send(engine.snapshot());
                continue;
            }
            Some(_) = settling.join_next() => Event::Settled,
            () = sleep_until(retry.at()), if engine.is_behind() => Event::Retry,
            () = sleep(IDLE), if engine.wants_settling() => {
                settling.spawn_blocking(engine.begin_settling());
                continue;
            }
        };
        if let Event::Source(event) = &event {
            tell_problems(&mut problems, &event.problems);
            let node = devices.hear(event);
            retry.tell(&node.into_iter().flat_map(|node| engine.put_node(node)).collect::<Vec<_>>());
        }
        let was_synced = engine.is_synced();
        publisher.begin(&event);
        let is_retry = matches!(event, Event::Settled | Event::Retry);
        let report = engine.handle(event);
        publisher.end(&engine, report.as_ref());
        if let Some(report) = report {
            terminator.tell(&report.gone);
            retry.tell(&report.refusals);
            tell(&report, is_retry);
        }
        retry.look(&engine);
        if engine.is_synced() && !was_synced {
            tracing::info!("datapath complete: all that is known is in force");
        }
    }
    tracing::info!("ending; Services go on being served as they are, `shunt cleanup` takes them out");
    Ok(ExitCode::SUCCESS)
}

fn tell(report: &Report, is_retry: bool) {
    report.contests.iter().for_each(|contest| tracing::warn!("{contest}"));
    // What is only tried again is told where it changes something.
    if !is_retry {
        tracing::info!(
            services = report.services,
            writes = report.writes,
            refused = report.refusals.len(),
            took = ?report.took,
            "applied generation={}",
            report.generation
        );
    }
}

/// Says what is newly wrong, and what no longer is.
fn tell_problems(known: &mut BTreeSet<Problem>, now: &[Problem]) {
    let now: BTreeSet<Problem> = now.iter().cloned().collect();
    for problem in now.difference(known) {
        tracing::error!("{problem}; what was in force before stays");
    }
    for problem in known.difference(&now) {
        tracing::info!("no longer wrong: {problem}");
    }
    *known = now;
}
