//! `shunt run`

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::collect::Collecting;
use super::config::{ConfigFile, Started};
use super::logging::Logging;
use super::node::{NodeOptions, NodeSettings};
use super::packets::{Devices, PacketPath};
use super::pods::PodNetworks;
use super::resting::Resting;
use super::retry::Retry;
use super::serve::ServeOptions;
use super::source::SourceArgs;
use super::{Allocation, PinDir, panic, stop, takeover};
use crate::control::{self, Control};
use crate::datapath::{self, Datapath, FlowTables, KernelStore, MapSize, Pins};
use crate::engine::{Engine, Event, Report};
use crate::model::NodeFacts;
use crate::node;
use crate::node::links::Link;
use crate::notice::{Fates, Notice, Reason, Telling};
use crate::reconcile::Reconciler;
use crate::serve::{Metrics, Owners, Pages, Publisher};
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
    /// first [default: the addresses of the interfaces, as they come and go, in the order of the Node object]
    #[arg(long = "node-ip", env = "SHUNT_NODE_IP", value_name = "IP", value_delimiter = ',')]
    node_ips: Vec<IpAddr>,

    /// An address of this node that is its primary one, before those of its Node object; an unspecified one
    /// (0.0.0.0, ::) says nothing. Nothing is bound to it
    #[arg(long, env = "SHUNT_BIND_ADDRESS", value_name = "IP")]
    bind_address: Option<IpAddr>,

    /// Do what takes the node's settings (sysctls) and end: for a container that may, before one that may not.
    #[arg(long, env = "SHUNT_INIT_ONLY")]
    init_only: bool,

    /// Directory of the cgroup v2 hierarchy whose processes are served [default: its root, all processes]
    #[arg(long, env = "SHUNT_CGROUP", value_name = "DIR")]
    cgroup: Option<PathBuf>,

    #[command(flatten)]
    pins: PinDir,

    /// The size of a map, as in FLOWS=1048576; comma-separated. What is in a map is copied when its size changes;
    /// connections of clients outside that begin while their tables (FLOWS, NEW_FLOWS) are copied may have to begin
    /// again. `shunt status -o wide` says how full each is.
    #[arg(long, env = "SHUNT_MAP_SIZE", value_name = "MAP=ENTRIES", value_delimiter = ',')]
    map_size: Vec<MapSize>,

    /// Where pins are of another layout that can't be taken over, begin with empty maps: connections of clients
    /// outside and affinities begin anew. Services are served all the time.
    #[arg(long, env = "SHUNT_DISCARD_STATE")]
    discard_state: bool,

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

/// How often it is looked whether pins and the cgroup are still there, and settings that were not.
const LOOK: Duration = Duration::from_secs(2);

/// How long a source may take to end: a disk may hang.
const LAST_TRY: Duration = Duration::from_secs(5);
/// How long an instance that has to end goes on, so that what it told of that is sent.
const LAST_WORD: Duration = Duration::from_secs(1);

/// So many changes at once are a list.
const LARGE: usize = 1000;

pub(super) fn run(args: Args, started: Started) -> anyhow::Result<ExitCode> {
    args.logging.begin()?;
    panic::end_the_process();
    started.tell();
    if let Some(path) = &args.config.write_config_to {
        let text = serde_saphyr::to_string(&started.effective())?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.init_only {
        args.node.settle(&args.pins.pin_dir);
        return Ok(ExitCode::SUCCESS);
    }
    let stop = stop::listen()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args, started, stop))
}

async fn serve(args: Args, started: Started, stop: oneshot::Receiver<()>) -> anyhow::Result<ExitCode> {
    let node_name = node::name(args.node_name.as_deref());
    let mut source = args.source.source(&node_name, &args.allocation).await?;
    let pins = Pins::in_directory(&args.pins.pin_dir);
    // Of an instance that has these pins, too, more can be told.
    let _held = source.hold().map_err(|error| pins.refusal().map_or(error.into(), anyhow::Error::from))?;
    let cgroup = args.cgroup.clone().map_or_else(datapath::cgroup2_root, Ok)?;
    let options = datapath::Options {
        cgroup,
        pin_dir: args.pins.pin_dir.clone(),
        no_tcx: args.packets.no_tcx,
        sizes: args.map_size.clone(),
        discard_state: args.discard_state,
        state_file: source.state_file().and_then(|file| std::path::absolute(file).ok()),
    };
    let Datapath { store, maps, devices: hooks, adopted_maps, keeper, pending } = datapath::load(&options)?;
    tracing::info!(
        node = node_name,
        source = source.name(),
        cgroup = %options.cgroup.display(),
        pins = %options.pin_dir.display(),
        adopted_maps,
        "{}",
        pending.as_ref().map_or("programs attached", |_| "programs loaded; those before them serve until all is known")
    );
    let settings = args.node.settle(&options.pin_dir);
    std::thread::spawn(takeover::notice);
    let fates = Fates::default();
    let owners = Owners { notices: source.notices(&fates), node: node_name.clone(), refuse: None };
    let bind_address = args.bind_address.filter(|ip| !ip.is_unspecified());
    let mut facts = NodeFacts {
        name: node_name,
        bind_address,
        detect_local: args.pods.detect_local_mode,
        cluster_cidrs: args.pods.known(),
        node_port_addresses: args.packets.nodeport_addresses.clone(),
        masquerade_always: args.packets.masquerade_always(),
        ..NodeFacts::default()
    };
    facts.set_addresses(&args.node_ips, &[]);
    let rules = args.packets.rules(&facts.cluster_cidrs, args.pods.devices()?);
    let path = args.packets.path(&args.node_ips, &facts.cluster_cidrs, &args.allocation);
    let engine = Engine::new(facts, Reconciler::adopt(store)?);
    let takes_service_cidrs = source.knows_service_cidrs() && !args.allocation.names_service_cidrs();
    let takes_pod_cidrs = args.pods.is_of_node();
    let mut devices = Devices {
        hooks,
        keeper,
        pending,
        rules,
        path,
        links: None,
        takes_service_cidrs,
        takes_pod_cidrs,
        said_of_ports: None,
    };
    devices.begin_with(|set| engine.networks(set));
    let terminator = args.node.terminator(&options.cgroup, &maps)?;
    let flows = FlowTables::open(&maps)?;
    let flows = Collecting::begin(flows).context("cannot start a thread")?;
    let (link_sender, links) = mpsc::channel(4);
    node::links::watch(link_sender).await?;
    // Of both channels the node's is read first: its addresses are known before the first picture is compiled.
    let (node_sender, node_events) = mpsc::channel(4);
    if args.node_ips.is_empty() {
        node::addresses::watch(node_sender.clone()).await?;
    }
    let (refuse, mut refused) = mpsc::channel(2);
    let pages = Pages::new(&started.effective(), started.flags());
    let requests = source.requests();
    let metrics = |figures| Metrics::new(figures, fates, requests);
    let publisher =
        args.serve.start(&pins, source.knows_service_cidrs(), owners.clone(), metrics, pages, refuse)?;
    let control = listen(&args.pins.pin_dir);
    let (events, source) = source.start();
    owners.notices.tell(Notice::of_node(&owners.node, Reason::Starting, "Services are served by Shunt"));
    let owners = Telling::new(owners.notices);
    let inputs = Inputs {
        links,
        node: node_events,
        events,
        flows,
        terminator,
        publisher,
        source,
        control,
        owners,
        settings,
        stop,
    };
    let result = tokio::select! {
        result = turn(engine, devices, inputs) => result,
        error = started.changed() => Err(error),
        Some(error) = refused.recv() => {
            // What is told of it is on its way to the API server.
            sleep(LAST_WORD).await;
            Err(anyhow::anyhow!(error))
        }
    };
    drop(node_sender);
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
    owners: Telling,
    settings: NodeSettings,
    stop: oneshot::Receiver<()>,
}

/// Turns until told to stop, or until the source is at an end.
async fn turn(
    mut engine: Engine<KernelStore>,
    mut devices: Devices,
    inputs: Inputs,
) -> anyhow::Result<ExitCode> {
    let Inputs { mut links, mut node, mut events, mut flows, .. } = inputs;
    let Inputs { terminator, mut publisher, mut control, mut source, mut owners, mut stop, .. } = inputs;
    let mut settings = inputs.settings;
    let (mut next_round, mut next_look, mut seen) = (Instant::now(), Instant::now() + LOOK, String::new());
    let mut problems = BTreeSet::new();
    let mut settling = JoinSet::new();
    let mut retry = Retry::default();
    let mut resting = Resting::default();
    loop {
        let settle_at = resting.look(engine.wants_settling(), Instant::now());
        let event = tokio::select! {
            biased;
            _ = &mut stop => break,
            ended = &mut source => {
                ended.context("the source broke off")??;
                break;
            }
            Some(_) = settling.join_next() => Event::Settled,
            () = sleep_until(settle_at.unwrap_or(next_look)), if settle_at.is_some() => {
                settling.spawn_blocking(engine.begin_settling());
                continue;
            }
            Some(links) = links.recv() => {
                retry.tell(&engine.put_node(devices.follow(links)));
                retry.look(&engine);
                if engine.is_synced() {
                    devices.take_over()?;
                }
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
            () = sleep_until(next_look) => {
                devices.look(&mut seen);
                settings.look();
                next_look = Instant::now() + LOOK;
                continue;
            }
            Some(asked) = async { control.as_mut()?.asked().await }, if control.is_some() => {
                // Who no longer waits is not waited for.
                let _told = asked.send(engine.snapshot());
                continue;
            }
            () = sleep_until(retry.at()), if engine.is_behind() => Event::Retry,
        };
        if let Event::Source(event) = &event {
            tell_problems(&mut problems, &event.problems);
            let node = devices.hear(event);
            retry.tell(&node.into_iter().flat_map(|node| engine.put_node(node)).collect::<Vec<_>>());
        }
        let is_large = matches!(&event, Event::Source(event) if event.changes.len() >= LARGE);
        let was_synced = engine.is_synced();
        publisher.begin(&event);
        let is_retry = matches!(event, Event::Settled | Event::Retry);
        let report = engine.handle(event);
        publisher.end(&engine, report.as_ref());
        if let Some(report) = report {
            terminator.tell(&report.gone);
            owners.tell(&report, engine.world());
            retry.tell(&report.refusals);
            tell(&report, is_retry);
        }
        retry.look(&engine);
        if engine.is_synced() {
            devices.take_over()?;
        }
        if engine.is_synced() && !was_synced {
            tracing::info!("datapath complete: all that is known is in force");
        }
        if is_large {
            // A list is read and put in force with twice the memory that is kept of it.
            drop(tokio::task::spawn_blocking(datapath::release_memory));
        }
    }
    end_source(events, source).await;
    tracing::info!("ending; Services go on being served as they are, `shunt cleanup` takes them out");
    Ok(ExitCode::SUCCESS)
}

/// Lets the source see that nobody listens any more, so that it writes what it has not written yet.
async fn end_source(events: mpsc::Receiver<SourceEvent>, mut source: JoinHandle<anyhow::Result<()>>) {
    drop(events);
    if !source.is_finished() && timeout(LAST_TRY, &mut source).await.is_err() {
        tracing::warn!("the source is not at its end after {LAST_TRY:?}");
    }
}

fn tell(report: &Report, is_retry: bool) {
    report.contests.iter().for_each(|contest| tracing::warn!("{contest}"));
    // What is only tried again is told where it changes something.
    if !is_retry {
        tracing::info!(
            target: super::logging::OFTEN,
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
