//! `shunt run`

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::PinDir;
use super::logging::Logging;
use crate::datapath::{self, KernelStore};
use crate::engine::{Engine, Event, Report};
use crate::model::NodeFacts;
use crate::node;
use crate::reconcile::Reconciler;
use crate::source::manifest;

/// Serve Services on this machine.
///
/// Programs are attached to the sockets of every process in a cgroup: from then on, whoever of them dials a
/// Service reaches one of its pods. It says «datapath complete» in one line when all that is known is in
/// force. When it ends, Services go on being served as they are; `shunt cleanup` takes them out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory of manifests to serve: every *.yaml, *.yml and *.json in it.
    ///
    /// Services, EndpointSlices, Pods and Nodes are read. What an API server would do is done here: addresses
    /// and node ports are allocated, endpoints are derived from the Pods that a selector finds. The directory
    /// is watched; a file that is wrong is reported, and what it said before goes on being served.
    #[arg(long, env = "SHUNT_MANIFESTS", value_name = "DIR")]
    manifests: PathBuf,

    /// Name of this node, as Pods and EndpointSlices name it [default: the host name]
    #[arg(long, env = "SHUNT_NODE_NAME", value_name = "NAME")]
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

    /// File that remembers allocated addresses and node ports, so that each Service keeps its own.
    #[arg(long, env = "SHUNT_STATE_FILE", value_name = "FILE", default_value = "/var/lib/shunt/state.json")]
    state_file: PathBuf,

    #[command(flatten)]
    allocation: super::Allocation,

    /// Where the pods of the cluster have their addresses; comma-separated, for both families. By it a pod
    /// is told from a client outside.
    #[arg(long, env = "SHUNT_CLUSTER_CIDR", value_name = "CIDR", value_delimiter = ',')]
    cluster_cidr: Vec<IpNet>,

    #[command(flatten)]
    logging: Logging,
}

/// Rested this long, the engine tidies up.
const IDLE: Duration = Duration::from_millis(200);

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.logging.begin()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    let facts = node_facts(&args).await?;
    tracing::info!(node = facts.name, addresses = ?facts.addresses, "this node");
    let cgroup = args.cgroup.clone().map_or_else(datapath::cgroup2_root, Ok)?;
    let options = datapath::Options { cgroup, pin_dir: args.pins.pin_dir.clone() };
    let datapath = datapath::load(&options)?;
    tracing::info!(
        cgroup = %options.cgroup.display(),
        pins = %options.pin_dir.display(),
        adopted_maps = datapath.adopted_maps,
        "programs attached"
    );
    let reconciler = Reconciler::adopt(datapath.store)?;
    let engine = Engine::new(facts, reconciler);
    let (sender, events) = mpsc::channel(64);
    let source = tokio::spawn(manifest::watch(args.manifests, args.allocation.options(args.state_file), sender.clone()));
    if args.node_ips.is_empty() {
        tokio::spawn(async move {
            if let Err(error) = node::addresses::watch(sender).await {
                tracing::error!(%error, "the node's addresses are no longer watched");
            }
        });
    }
    let result = turn(engine, events, source).await;
    // The lock on the pins is held until here.
    drop(datapath._lock);
    result
}
