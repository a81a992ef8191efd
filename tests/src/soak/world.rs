//! By what an instance learns of the world, how that is written, and by what the kernel's maps say that a version of it
//! is in force.
//!
//! The marker of a version is what is put in force last. From a directory the world is one file, and the marker the port
//! of a Service whose name is the last. From a cluster it is not one thing: Services and slices are two watches that may
//! overtake each other. There only slices change with a version, which one watch tells in order; the last of them is the
//! marker's, and its port is the version. It is read as a program reads it: frontend, list, slot, backend.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use lb_common::{Backend, Frontend, FrontendKey, Port, Proto, Service};
use lb_userspace::datapath::Pins;
use serde_json::{Value, json};

use super::stage::{PATHS, Path, Stage, TRANSFERS};
use crate::Pod;
use crate::apiserver::ApiServer;
use crate::manifest::{Manifest, service};
use crate::shunt::{Options, Shunt};
use crate::slice::slice;
use crate::wire::Transport;

/// The Service whose port, or whose endpoint's, is the version: its name is the last.
const MARKER: &str = "zz-marker";
const MARKER_IP: [u8; 4] = [10, 96, 1, 1];
/// Its own port where that is not the version.
const MARKER_PORT: u16 = 80;

/// What an instance is started for.
#[derive(Debug, Clone)]
pub enum Source {
    /// The node's directory of manifests.
    Manifests,
    /// A cluster with this API server.
    Cluster(Arc<ApiServer>),
}

impl Source {
    /// A cluster with an API server on the stage's node.
    ///
    /// # Errors
    ///
    /// Where it can't listen.
    pub fn cluster(stage: &Stage) -> Result<Self> {
        let address = SocketAddr::new(stage.node.v4().into(), 6443);
        Ok(Self::Cluster(Arc::new(ApiServer::start_at(&stage.node, address)?)))
    }

    /// Starts an instance; does not wait for anything.
    pub(super) fn begin(&self, stage: &Stage, options: &Options) -> Result<Shunt> {
        match self {
            Self::Manifests => Shunt::begin(&stage.node, options),
            Self::Cluster(api) => Shunt::follow(&stage.node, options, &api.url()),
        }
    }

    /// Forgets what nobody needs: an API server's history grows with each version.
    pub fn tidy(&self) {
        if let Self::Cluster(api) = self {
            api.compact();
        }
    }
}

/// The world's writer.
#[derive(Debug)]
pub(super) struct World {
    source: Source,
    file: PathBuf,
    pods: Vec<Known>,
}

/// What is known of a pod.
#[derive(Debug)]
struct Known {
    /// Without labels.
    manifest: Value,
    ip: IpAddr,
    node: String,
}

impl Known {
    fn of(pod: &Pod) -> Self {
        let manifest = pod.manifest().to_value();
        let node = manifest["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        Self { manifest, ip: pod.v4().into(), node }
    }
}

impl World {
    /// Nothing is written yet.
    pub(super) fn new(stage: &Stage, source: &Source) -> Self {
        let file = stage.node.manifests().join("soak.json");
        Self { source: source.clone(), file, pods: stage.pods.iter().map(Known::of).collect() }
    }

    /// Writes a version at once; `begins` is called at the moment before it can be read.
    pub(super) fn write(&self, version: usize, begins: impl FnOnce()) -> Result<()> {
        match &self.source {
            Source::Manifests => self.save(version, begins),
            Source::Cluster(api) => self.put(api, version, begins),
        }
    }

    /// As an editor saves.
    fn save(&self, version: usize, begins: impl FnOnce()) -> Result<()> {
        let mut items: Vec<Value> = self.pods.iter().map(|pod| pod.manifest.clone()).collect();
        for (pod, item) in items.iter_mut().enumerate() {
            for path in paths().filter(|path| path.has(version, pod)) {
                item["metadata"]["labels"][path.name] = json!("yes");
            }
        }
        items.extend(paths().map(|path| path.service().to_value()));
        items.push(marker_service(port(version)));
        let draft = self.file.with_file_name(".soak.json.draft");
        let text = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
        fs::write(&draft, text).with_context(|| draft.display().to_string())?;
        begins();
        fs::rename(&draft, &self.file).with_context(|| self.file.display().to_string())
    }

    /// As controllers do; Services are there with the first version.
    fn put(&self, api: &ApiServer, version: usize, begins: impl FnOnce()) -> Result<()> {
        if version == 0 {
            let services = paths().map(|path| path.service().to_value());
            let services: Vec<Value> = services.chain([marker_service(MARKER_PORT)]).collect();
            api.put(&services.iter().map(|service| service as &dyn Manifest).collect::<Vec<_>>())?;
        }
        let slices = paths().map(|path| {
            let slice = slice(path.name, "a").port("", path.port);
            let slice = if path.transport == Transport::Tcp { slice } else { slice.udp() };
            let pods = self.pods.iter().enumerate().filter(|(pod, _)| path.has(version, *pod));
            pods.fold(slice, |slice, (_, pod)| slice.endpoint(pod.ip, &pod.node))
        });
        let first = self.pods.first().context("a pod")?;
        let marker = slice(MARKER, "a").port("", port(version)).endpoint(first.ip, &first.node);
        let slices: Vec<_> = slices.chain([marker]).collect();
        begins();
        api.put(&slices.iter().map(|slice| slice as &dyn Manifest).collect::<Vec<_>>())
    }
}

fn paths() -> impl Iterator<Item = &'static Path> {
    PATHS.iter().chain(&TRANSFERS)
}

fn marker_service(port: u16) -> Value {
    let ip = std::net::Ipv4Addr::from(MARKER_IP).to_string();
    service(MARKER).port(port).cluster_ip(&ip).to_value()
}

/// The port that stands for a version; it is another one for each of the last 60,000.
fn port(version: usize) -> u16 {
    u16::try_from(version % 60_000 + 1).unwrap_or(1)
}

/// Reads what is in force.
pub(super) struct Marker {
    frontends: HashMap<MapData, FrontendKey, Frontend>,
    /// Where the port of the backend is the version, and not that of the frontend.
    lists: Option<Lists>,
}

struct Lists {
    services: Array<MapData, Service>,
    slots: Array<MapData, u32>,
    backends: Array<MapData, Backend>,
}

impl Marker {
    pub(super) fn open(pins: &FilePath, source: &Source) -> Result<Self> {
        let pins = Pins::in_directory(pins);
        let open = |name: &str| -> Result<Map> {
            let data = MapData::from_pin(pins.map(name)).with_context(|| format!("open {name}"))?;
            Ok(Map::from_map_data(data)?)
        };
        let lists = match source {
            Source::Manifests => None,
            Source::Cluster(_) => Some(Lists {
                services: open("SERVICES")?.try_into()?,
                slots: open("SLOTS")?.try_into()?,
                backends: open("BACKENDS")?.try_into()?,
            }),
        };
        Ok(Self { frontends: open("FRONTENDS")?.try_into()?, lists })
    }

    /// Whether a version is in force.
    pub(super) fn is_in_force(&self, version: usize) -> bool {
        let own = if self.lists.is_some() { MARKER_PORT } else { port(version) };
        let key = FrontendKey::new(IpAddr::from(MARKER_IP).into(), Port::new(own), Proto::TCP);
        let Ok(frontend) = self.frontends.get(&key, 0) else { return false };
        self.lists.as_ref().is_none_or(|lists| lists.leads_to(frontend, port(version)))
    }
}

impl Lists {
    /// A number that becomes another's between two of these reads leads to another port, not to this one.
    fn leads_to(&self, frontend: Frontend, port: u16) -> bool {
        let backend = || {
            let list = self.services.get(&frontend.service().number(), 0).ok()?.cluster();
            let slot = Some(list.first()).filter(|_| !list.is_empty())?;
            self.backends.get(&self.slots.get(&slot, 0).ok()?, 0).ok()
        };
        backend().is_some_and(|backend| backend.port() == Port::new(port))
    }
}
