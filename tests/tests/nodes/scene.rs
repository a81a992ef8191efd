//! What the tests share: a node with three pods that serve, and one that dials.

use lb_tests::manifest::{Manifest, Service, service};
use lb_tests::{Network, Node, Options, Pod, Process, Shunt, serve};

/// The label of the pods that serve, `app`.
pub(crate) const APP: &str = "web";

/// A node that serves. Its fields are dropped in this order.
pub(crate) struct Scene {
    /// The binary under test.
    pub(crate) shunt: Shunt,
    /// The servers in `pods`.
    servers: Vec<Process>,
    /// `pod-a` to `pod-c`: HTTP on 80, datagrams on 5000 to 5002, DNS on 53; each has its own address for an answer.
    pub(crate) pods: Vec<Pod>,
    /// A pod that serves nothing.
    pub(crate) client: Pod,
    /// Where all of them are.
    pub(crate) node: Node,
    /// Where the node is.
    network: Network,
}

impl Scene {
    /// The three pods behind these Services.
    #[track_caller]
    pub(crate) fn serving(services: &[&dyn Manifest]) -> Self {
        Self::with_options(&Options::default(), services)
    }

    /// The same, with an instance that is started so.
    #[track_caller]
    pub(crate) fn with_options(options: &Options, services: &[&dyn Manifest]) -> Self {
        let stage = Stage::set();
        let pods: Vec<_> = stage.pods.iter().map(labelled).collect();
        let mut manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
        manifests.extend(services);
        let shunt =
            Shunt::start(&stage.node, options, &manifests).unwrap_or_else(|error| panic!("{error:#}"));
        stage.with(shunt)
    }

    /// The three pods, and nothing in the directory of manifests but these files.
    #[track_caller]
    pub(crate) fn with_files(files: &[(&str, &str)]) -> Self {
        let stage = Stage::set();
        for (file, text) in files {
            std::fs::write(stage.node.manifests().join(file), text).expect("a manifest written");
        }
        let shunt = Shunt::resume(&stage.node, &Options::default());
        stage.with(shunt.unwrap_or_else(|error| panic!("{error:#}")))
    }

    /// Puts manifests in force.
    #[track_caller]
    pub(crate) fn apply(&self, manifests: &[&dyn Manifest]) {
        self.shunt.apply(manifests).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Takes these Pods away from the cluster; their servers go on.
    #[track_caller]
    pub(crate) fn remove_pods(&self, names: &[&str]) {
        self.shunt.remove("Pod", names).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// A client that no hook of the node sees, beside it.
    #[track_caller]
    pub(crate) fn outside(&self, name: &str) -> lb_tests::Outside {
        self.network.outside(name).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Makes these Pods part of the cluster again.
    #[track_caller]
    pub(crate) fn restore_pods(&self, names: &[&str]) {
        let pods: Vec<_> = self.pods.iter().filter(|pod| names.contains(&pod.name())).map(labelled).collect();
        let manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
        self.apply(&manifests);
    }

    /// Ends the instance and, after `meanwhile`, starts another for the same directory.
    #[track_caller]
    pub(crate) fn restart(
        self,
        end: fn(Shunt) -> anyhow::Result<()>,
        meanwhile: impl FnOnce(&Pod, &Node),
    ) -> Self {
        let Self { shunt, servers, pods, client, node, network } = self;
        end(shunt).unwrap_or_else(|error| panic!("{error:#}"));
        meanwhile(&client, &node);
        let shunt = Shunt::resume(&node, &Options::default());
        let shunt = shunt.unwrap_or_else(|error| panic!("{error:#}"));
        Self { shunt, servers, pods, client, node, network }
    }
}

/// A Service for the pods of a scene.
pub(crate) fn web(name: &str) -> Service {
    service(name).selecting("app", APP)
}

/// A Pod's manifest with the label by which [`web`] finds it.
pub(crate) fn labelled(pod: &Pod) -> lb_tests::manifest::Pod {
    pod.manifest().label("app", APP).container_port("http", 80)
}

/// A scene before the instance is there.
struct Stage {
    servers: Vec<Process>,
    pods: Vec<Pod>,
    client: Pod,
    node: Node,
    network: Network,
}

impl Stage {
    #[track_caller]
    fn set() -> Self {
        Self::try_set().unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn try_set() -> anyhow::Result<Self> {
        let network = Network::create()?;
        let node = network.node("node-1")?;
        let mut pods = Vec::new();
        let mut servers = Vec::new();
        for name in ["pod-a", "pod-b", "pod-c"] {
            let pod = node.pod(name)?;
            servers.push(serve().http(80).udp(5000).udp(5001).udp(5002).dns(53, pod.v4()).at(&pod)?);
            pods.push(pod);
        }
        let client = node.pod("client")?;
        Ok(Self { servers, pods, client, node, network })
    }

    fn with(self, shunt: Shunt) -> Scene {
        let Self { servers, pods, client, node, network } = self;
        Scene { shunt, servers, pods, client, node, network }
    }
}
