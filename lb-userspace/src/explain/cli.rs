//! `shunt explain` on the command line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use ipnet::IpNet;
use serde::Serialize;

use super::manifests::{self, Manifests};
use super::oracle::Oracle;
use super::question::protocol;
use super::{Answer, Index, Live, Question, batch, draw};
use crate::cli::PinDir;
use crate::control::{self, Snapshot};
use crate::datapath::{KernelStore, Pins};
use crate::model::{DetectLocal, Family, NodeFacts, NodePortAddresses, ObjectName, World};
use crate::reconcile::{Observed, Store};
use crate::source::manifest::read_directory;
use crate::source::translate;
use crate::text;

/// Say what becomes of a packet to a Service, and why.
///
/// Asks the instance that runs on this machine for the objects, reads the maps of the kernel, and shows where
/// the two disagree. Without an instance the maps alone answer.
///
/// With --manifests it answers from a directory instead, without a cluster, without root and without touching
/// the kernel. Objects are taken as an API server holds them (`kubectl get services,endpointslices,nodes,pods
/// -A -o yaml` makes such a file): EndpointSlices and status.loadBalancer as given, nothing allocated.
///
/// `shunt explain web.default:80`
///
/// `shunt explain 192.168.0.2:31111 --from 203.0.113.7 --manifests DIR --node-name n1 --node-ip 192.168.0.2`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is dialled: `172.20.0.10:80`, `[fd00::10]:80`, or a Service by its name: `web.default:80`.
    #[arg(value_name = "ADDRESS:PORT", required_unless_present_any = ["to", "queries"])]
    target: Option<String>,

    /// The same as an option.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "target")]
    to: Option<String>,

    /// Who dials [default: the node itself]
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,

    /// By which protocol: TCP, UDP, SCTP, or ICMP (a ping).
    #[arg(long, value_name = "PROTO", default_value = "TCP")]
    proto: String,

    #[command(flatten)]
    pins: PinDir,

    /// Directory of manifests to answer from instead: every *.yaml, *.yml and *.json in it. The options below
    /// say what a running instance knows by itself.
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,

    /// The node where the packet is, as EndpointSlices name it [default: the host name]
    #[arg(long, env = "SHUNT_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,

    /// An address of that node, the primary one of each family first; repeat it for more [default: those of
    /// the Node object, where the directory has it]
    #[arg(long = "node-ip", env = "SHUNT_NODE_IP", value_name = "IP", value_delimiter = ',')]
    node_ips: Vec<IpAddr>,

    /// Zone of that node [default: the label of the Node object]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,

    /// Where the pods of the cluster have their addresses, comma-separated. Without it pods count as clients
    /// outside.
    #[arg(long, env = "SHUNT_CLUSTER_CIDR", value_name = "CIDR", value_delimiter = ',')]
    cluster_cidr: Vec<IpNet>,

    /// Which networks pods are told by: --cluster-cidr, or spec.podCIDRs of the Node object.
    #[arg(
        long,
        env = "SHUNT_DETECT_LOCAL_MODE",
        value_enum,
        value_name = "MODE",
        default_value = "ClusterCIDR"
    )]
    detect_local_mode: DetectLocal,

    /// Where ClusterIPs are from, comma-separated: what is in it and no Service's is dropped.
    #[arg(long, env = "SHUNT_SERVICE_CIDR", value_name = "CIDR", value_delimiter = ',')]
    service_cidr: Vec<IpNet>,

    /// Which addresses of the node accept node ports: `all`, `primary`, or networks, comma-separated.
    #[arg(
        long = "nodeport-addresses",
        env = "SHUNT_NODEPORT_ADDRESSES",
        value_name = "WHICH",
        default_value = "all"
    )]
    node_port_addresses: NodePortAddresses,

    /// When a client's address is replaced by the node's: toward pods of other nodes only, or always as
    /// kube-proxy does.
    #[arg(long, env = "SHUNT_MASQUERADE", value_enum, default_value_t = Masquerade::Remote)]
    masquerade: Masquerade,

    /// Answer a file of questions (`-`: standard input): on each line a JSON object with id, src, proto, dst
    /// and dport; a JSON object a line comes out.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "to", "from"])]
    queries: Option<PathBuf>,

    /// How to print the answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// `--masquerade`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Masquerade {
    /// Toward pods of other nodes only.
    Remote,
    /// Wherever kube-proxy does.
    Always,
}

/// `--output`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A drawing and sentences.
    Text,
    /// One JSON object.
    Json,
}

/// The answer with its question, as JSON.
#[derive(Debug, Serialize)]
struct Reply<'a> {
    src: IpAddr,
    proto: String,
    dst: IpAddr,
    dport: u16,
    #[serde(flatten)]
    answer: &'a Answer,
    /// What the maps say, where they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a Live>,
}

/// What there is to answer from.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The objects; with `maps`, those of an instance that runs, where there is one.
    pub(super) objects: Option<Manifests>,
    pub(super) node: NodeFacts,
    pub(super) service_cidrs: Vec<IpNet>,
    pub(super) maps: Option<Observed>,
}

/// Answers on standard output; what could not be read of the manifests is said on standard error.
///
/// # Errors
///
/// The manifests or the questions can't be read, or the question is none.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let known = match &args.manifests {
        Some(directory) => of_directory(args, directory)?,
        None => of_instance(args)?,
    };
    answer(args, &known, &mut BufWriter::new(io::stdout().lock()))
}

/// What a directory says.
fn of_directory(args: &Args, directory: &Path) -> anyhow::Result<Known> {
    let manifests = manifests::read(&read_directory(directory)?);
    for problem in &manifests.problems {
        eprintln!("shunt: {problem}");
    }
    Ok(of_manifests(args, manifests))
}

/// What manifests at hand say.
pub(super) fn of_manifests(args: &Args, manifests: Manifests) -> Known {
    let node = node_facts(args, &manifests);
    Known { objects: Some(manifests), node, service_cidrs: args.service_cidr.clone(), maps: None }
}

/// What the instance on this machine says, and what the maps do.
fn of_instance(args: &Args) -> anyhow::Result<Known> {
    const INSTEAD: &str = "to answer from a directory of manifests instead, name it by --manifests";
    let pins = Pins::in_directory(&args.pins.pin_dir);
    let maps = KernelStore::open(&pins).context(INSTEAD)?.observe().context("cannot read the maps")?;
    let mut known = Known { maps: Some(maps), ..Known::default() };
    match control::ask(&control::socket_path(&args.pins.pin_dir))? {
        Some(mut snapshot) => {
            let world = snapshot.world();
            let Snapshot { node, service_cidrs, .. } = snapshot;
            known = Known { node, service_cidrs, ..known };
            known.objects = Some(Manifests { world, ..Manifests::default() });
        }
        None => known.node = node_facts(args, &Manifests::default()),
    }
    Ok(known)
}

/// Answers from what is known, into any writer.
pub(super) fn answer(args: &Args, known: &Known, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let nothing = Manifests::default();
    let Manifests { world, pods, .. } = known.objects.as_ref().unwrap_or(&nothing);
    let index = Index::new(world, &known.node, &known.service_cidrs);
    let oracle = Oracle { index: &index, has_objects: known.objects.is_some(), maps: known.maps.as_ref() };
    if let Some(file) = &args.queries {
        let refused = batch::answer_all(&oracle, open(file)?, out)
            .with_context(|| format!("cannot answer the questions of {}", file.display()))?;
        return Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let question = question(args, world, &known.node)?;
    let (answer, live) = oracle.ask(&question);
    match args.output {
        Output::Text => {
            let mut text = String::new();
            draw::draw(&mut text, &index, pods, &question, &answer)?;
            if let Some(live) = &live {
                draw::live(&mut text, live)?;
            }
            out.write_all(text::lines(&text).as_bytes())?;
        }
        Output::Json => {
            let Question { src, proto, dst, dport } = question;
            let live = live.as_ref();
            let reply = Reply { src, proto: proto.to_string(), dst, dport, answer: &answer, live };
            serde_json::to_writer_pretty(&mut *out, &reply)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn open(file: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    Ok(Box::new(BufReader::new(opened)))
}

/// What the options say of the node, and where they don't, its object.
fn node_facts(args: &Args, manifests: &Manifests) -> NodeFacts {
    let name = crate::node::name(args.node_name.as_deref());
    let object = manifests.nodes.get(&name).map(translate::node).unwrap_or_default();
    let given = Some(args.node_ips.clone()).filter(|ips| !ips.is_empty());
    let cluster_cidrs = match args.detect_local_mode {
        DetectLocal::ClusterCidr => args.cluster_cidr.clone(),
        DetectLocal::NodeCidr => object.pod_cidrs,
        DetectLocal::BridgeInterface | DetectLocal::InterfaceNamePrefix => vec![],
    };
    NodeFacts {
        addresses: given.unwrap_or(object.addresses),
        zone: args.zone.clone().or(object.zone),
        name,
        bind_address: None,
        detect_local: args.detect_local_mode,
        cluster_cidrs,
        node_port_addresses: args.node_port_addresses.clone(),
        masquerade_always: args.masquerade == Masquerade::Always,
    }
}

fn question(args: &Args, world: &World, node: &NodeFacts) -> anyhow::Result<Question> {
    let proto = protocol(&args.proto)?;
    let target = args.target.as_ref().or(args.to.as_ref()).context("no address to explain")?;
    let place = place(target, world, args.from.map(Family::of))?;
    let family = Family::of(place.ip());
    let loopback = match family {
        Family::V4 => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    };
    let src = args.from.or_else(|| node.primary(family)).unwrap_or(loopback);
    Ok(Question::new(src, proto, place.ip(), place.port())?)
}

/// An address and port, or what DNS makes of a Service's name: its ClusterIP.
fn place(target: &str, world: &World, family: Option<Family>) -> anyhow::Result<SocketAddr> {
    if let Ok(place) = target.parse() {
        return Ok(place);
    }
    let (host, port) = target
        .rsplit_once(':')
        .with_context(|| format!("{target:?} is not ADDRESS:PORT: which port is dialled?"))?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        bail!("{target:?} is not ADDRESS:PORT: as in {}", SocketAddr::new(ip, 80));
    }
    let (name, rest) = host.split_once('.').unwrap_or((host, "default"));
    let namespace = rest.split_once('.').map_or(rest, |(namespace, _)| namespace);
    let name = ObjectName::new(namespace, name);
    let service = world.service(&name).with_context(|| format!("there is no Service {name}"))?;
    let number = match port.parse::<u16>() {
        Ok(number) => number,
        Err(_) => {
            let named = service.ports.iter().find(|of_service| of_service.name == port);
            named.with_context(|| format!("Service {name} has no port named {port:?}"))?.port
        }
    };
    let ip = match family {
        Some(family) => service.cluster_ip(family),
        None => service.cluster_ips.first().copied(),
    };
    let none = || match service.kind {
        crate::model::ServiceType::ExternalName => {
            anyhow!("Service {name} is an ExternalName: DNS answers with another name, nothing is proxied")
        }
        _ => anyhow!(
            "Service {name} has no ClusterIP{}",
            family.map_or(String::new(), |of| format!(" of {of}"))
        ),
    };
    Ok(SocketAddr::new(ip.ok_or_else(none)?, number))
}
