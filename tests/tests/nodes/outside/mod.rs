//! Clients outside: what becomes of packets that no socket hook of the node saw.

mod bulk;
mod capture;
mod flood;
mod forward;
mod hairpin;
mod kinds;
mod lifetime;
mod nameless;
mod others;
mod refuse;
mod status;

use std::net::IpAddr;

use aya::maps::{HashMap, Map, MapData};
use lb_common::{Flow, FlowKey};
use lb_tests::manifest::{Manifest, Service, service};
use lb_tests::{Inside, Network, Node, Options, Outside, Pod, Process, Shunt, serve};

/// The client's routes to addresses of Services lead to the node.
const ROUTED: [&str; 3] = ["10.96.0.0/16", "203.0.113.0/24", "198.51.100.0/24"];
const ROUTED_V6: [&str; 2] = ["fd00:10:96::/64", "fd00:203:113::/64"];

/// Two nodes with a pod each, one of the nodes with an instance, and a client that is none's. The fields are
/// dropped in this order.
pub(crate) struct Edge {
    /// The binary under test, on `node`.
    pub(crate) shunt: Shunt,
    servers: Vec<Process>,
    /// A pod of `node`, with the label `app: here`.
    pub(crate) here: Pod,
    /// A pod of the other node, with the label `app: there`.
    pub(crate) there: Pod,
    /// Outside of both.
    pub(crate) client: Outside,
    /// Where packets of Services come to.
    pub(crate) node: Node,
    other: Node,
    network: Network,
}

impl Edge {
    #[track_caller]
    pub(crate) fn serving(services: &[&dyn Manifest]) -> Self {
        Self::with_arguments(&[], services)
    }

    #[track_caller]
    pub(crate) fn with_arguments(arguments: &[&str], services: &[&dyn Manifest]) -> Self {
        let arguments = arguments.iter().map(Into::into).collect();
        Self::with_options(Options { arguments, ..Options::default() }, services)
    }

    #[track_caller]
    pub(crate) fn with_options(options: Options, services: &[&dyn Manifest]) -> Self {
        Self::prepared(|_, _| Ok(()), options, services)
    }

    /// The same, after something was done to both nodes, before there is an instance.
    #[track_caller]
    pub(crate) fn prepared(
        prepare: impl Fn(&Node, &Node) -> anyhow::Result<()>,
        options: Options,
        services: &[&dyn Manifest],
    ) -> Self {
        Self::try_start(prepare, options, services).unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn try_start(
        prepare: impl Fn(&Node, &Node) -> anyhow::Result<()>,
        mut options: Options,
        services: &[&dyn Manifest],
    ) -> anyhow::Result<Self> {
        let network = Network::create()?;
        let node = network.node("node-1")?;
        let other = network.node("node-2")?;
        let client = network.outside("client")?;
        for net in ROUTED {
            client.ip(&[format!("route add {net} via {}", node.v4())])?;
        }
        for net in ROUTED_V6 {
            client.ip(&[format!("route add {net} via {}", node.v6())])?;
        }
        let (here, there) = (node.pod("here")?, other.pod("there")?);
        let mut servers = Vec::new();
        for pod in [&here, &there] {
            servers.push(serve().http(80).udp(5000).dns(53, pod.v4()).at(pod)?);
        }
        let pods = [&here, &there].map(|pod| pod.manifest().label("app", pod.name()));
        let mut manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
        manifests.extend(services);
        prepare(&node, &other)?;
        options.arguments.extend(["--log", "info,lb_userspace=debug"].map(Into::into));
        let shunt = Shunt::start(&node, &options, &manifests)?;
        anyhow::ensure!(!shunt.log().contains("ERROR"), "{}", shunt.log());
        Ok(Self { shunt, servers, here, there, client, node, other, network })
    }

    /// A port of the node's addresses, both families.
    pub(crate) fn on_node(&self, port: u16) -> [String; 2] {
        self.node.addresses().map(|ip| socket(ip, port))
    }

    /// Runs a shell's line at the client, and gives what it printed.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) -> String {
        self.client.place().run("sh", &["-c", line]).unwrap_or_else(|error| panic!("{error:#}"))
    }
}

/// The table of flows that both sides were heard of.
#[track_caller]
pub(crate) fn flow_table(edge: &Edge) -> HashMap<MapData, FlowKey, Flow> {
    let data = MapData::from_pin(edge.node.pin_dir().join("v1/maps/FLOWS")).expect("the table");
    Map::from_map_data(data).expect("a map").try_into().expect("a hash")
}

/// An address and port as one writes it.
pub(crate) fn socket(ip: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(ip, port).to_string()
}

/// A Service of port 80, in both families, for the pod of the node.
pub(crate) fn here(name: &str) -> Service {
    for_app(name, "here").port(80)
}

/// The same for the pod of the other node.
pub(crate) fn there(name: &str) -> Service {
    for_app(name, "there").port(80)
}

/// A Service in both families, for the pods with a label `app`; its ports are yet to be said.
pub(crate) fn for_app(name: &str, app: &str) -> Service {
    service(name).with("ipFamilyPolicy", "PreferDualStack".into()).selecting("app", app)
}

/// The same for the pods with the label `tier: all`, when both have it.
pub(crate) fn for_both(name: &str) -> Service {
    service(name).with("ipFamilyPolicy", "PreferDualStack".into()).selecting("tier", "all")
}
