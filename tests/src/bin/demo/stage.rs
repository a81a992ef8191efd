//! The node, its pods and the client, and the instance that serves them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lb_tests::{Network, Node, Options, Pod, Process, Shunt, serve};
use nix::unistd::geteuid;

use crate::examples::{self, Pod as PodManifest};

/// Everything that is there. Its fields are dropped in this order.
pub(crate) struct Stage {
    /// The instance.
    pub(crate) shunt: Shunt,
    _servers: Vec<Process>,
    /// The pods of the manifests.
    pub(crate) pods: Vec<(PodManifest, Pod)>,
    /// A pod that dials.
    pub(crate) client: Pod,
    /// Where all of them are.
    pub(crate) node: Node,
    _network: Network,
    /// Where the manifests were copied from.
    pub(crate) examples: PathBuf,
}

impl Stage {
    /// Makes it, and waits until every Service of the manifests is served.
    pub(crate) fn set(examples: &Path) -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "the demo makes network namespaces and loads programs into the kernel: run it as root"
        );
        let manifests = examples::pods(examples)?;
        let name = manifests.first().map_or("node", |pod| pod.node.as_str());
        let network = Network::create()?;
        let node = network.node(name)?;
        let mut pods = Vec::new();
        let mut servers = Vec::new();
        for manifest in manifests {
            let pod = node.pod(&manifest.name)?;
            ensure!(
                manifest.ip == pod.v4().to_string(),
                "{}: the demo gives the address {} to {}, not {}",
                manifest.file,
                pod.v4(),
                manifest.name,
                manifest.ip
            );
            servers.push(manifest.ports.iter().fold(serve(), |serve, port| serve.http(*port)).at(&pod)?);
            pods.push((manifest, pod));
        }
        let client = node.pod("client")?;
        for (file, text) in examples::files(examples)? {
            let path = node.manifests().join(file);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        let shunt = Shunt::resume(&node, &Options::default())?;
        let examples = examples.to_owned();
        Ok(Self { shunt, _servers: servers, pods, client, node, _network: network, examples })
    }
}
