//! Two nodes with a pod each, one of the nodes with an instance, and a client that is none's.

use lb_tests::manifest::{Manifest, Service, service};
use lb_tests::{Inside, Network, Node, Options, Outside, Pod, Process, Shunt, serve};

/// The port of the node by which the pod of the node is dialled, and the other node's.
pub(crate) const HERE: u16 = 31_001;
pub(crate) const THERE: u16 = 31_002;

/// The fields are dropped in this order.
pub(crate) struct Scene {
    pub(crate) shunt: Shunt,
    _servers: Vec<Process>,
    /// A pod of `node`, with the label `app: here`.
    pub(crate) here: Pod,
    /// A pod of the other node, with the label `app: there`.
    pub(crate) there: Pod,
    /// Outside of both.
    pub(crate) client: Outside,
    /// Where the instance is.
    pub(crate) node: Node,
    _other: Node,
    _network: Network,
}

impl Scene {
    /// With these Services besides those of [`HERE`] and [`THERE`].
    #[track_caller]
    pub(crate) fn serving(services: &[&dyn Manifest]) -> Self {
        Self::start(services).unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn start(services: &[&dyn Manifest]) -> anyhow::Result<Self> {
        let network = Network::create()?;
        let (node, other) = (network.node("node-1")?, network.node("node-2")?);
        let client = network.outside("client")?;
        let (here, there) = (node.pod("here")?, other.pod("there")?);
        let mut servers = Vec::new();
        for pod in [&here, &there] {
            servers.push(serve().http(80).at(pod)?);
        }
        let pods = [&here, &there].map(|pod| pod.manifest().label("app", pod.name()));
        let own = [("here", HERE), ("there", THERE)].map(|(app, port)| of(app, app).port(80).node_port(port));
        let mut manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
        manifests.extend(own.iter().map(|service| service as &dyn Manifest));
        manifests.extend(services);
        let shunt = Shunt::start(&node, &options(), &manifests)?;
        Ok(Self { shunt, _servers: servers, here, there, client, node, _other: other, _network: network })
    }

    /// The next instance, over what this one left.
    #[track_caller]
    pub(crate) fn restart(self) -> Self {
        self.shunt.stop().unwrap_or_else(|error| panic!("{error:#}"));
        let shunt = Shunt::resume(&self.node, &options()).unwrap_or_else(|error| panic!("{error:#}"));
        Self { shunt, ..self }
    }

    /// Runs lines of `ip` on the node, and waits for what the instance says of a device then.
    #[track_caller]
    pub(crate) fn ip(&self, lines: &[&str], said: &str) {
        let seen = self.shunt.lines_so_far();
        self.node.ip(lines).unwrap_or_else(|error| panic!("{error:#}"));
        let waited = self.shunt.wait_for_line(seen, |line| line.contains(said));
        waited.unwrap_or_else(|error| panic!("{error:#}\n{}", self.shunt.log()));
    }

    /// Waits until an address of the node is served.
    #[track_caller]
    pub(crate) fn wait_until_served(&self, target: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while lb_tests::ask_shunt(&self.node, "services")
            .map_or(true, |said| !said.to_string().contains(target))
        {
            assert!(std::time::Instant::now() < deadline, "{target} is not served:\n{}", self.shunt.log());
        }
    }

    /// Runs a shell's line on the node, and gives what it printed.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) -> String {
        self.node.place().run("sh", &["-c", line]).unwrap_or_else(|error| panic!("{error:#}"))
    }
}

/// A Service of the pods with a label `app`, in both families.
pub(crate) fn of(name: &str, app: &str) -> Service {
    service(name).with("ipFamilyPolicy", "PreferDualStack".into()).selecting("app", app)
}

fn options() -> Options {
    let arguments = ["--log", "info,lb_userspace=debug"].map(Into::into).to_vec();
    Options { find_addresses: true, arguments, ..Options::default() }
}
