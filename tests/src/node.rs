//! Nodes and their pods.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};

use crate::cgroup;
use crate::manifest::{self, Pod as PodManifest};
use crate::netns::Netns;
use crate::network::{Addresses, Stage};
use crate::place::{Inside, Place};

/// The gateway of a node's pods is host 1 among them, its first pod host 11.
const GATEWAY: u8 = 1;
const FIRST_POD: u8 = 11;

/// A node: its place is that of the node's own processes.
#[derive(Debug)]
pub struct Node {
    place: Place,
    number: u8,
    addresses: Addresses,
    gateway: Addresses,
    cgroup: PathBuf,
    dir: PathBuf,
    pods: AtomicU8,
    netns: Arc<Netns>,
    stage: Arc<Stage>,
}

impl Node {
    pub(crate) fn create(
        stage: Arc<Stage>,
        netns: Arc<Netns>,
        name: &str,
        number: u8,
        addresses: Addresses,
    ) -> Result<Self> {
        let gateway = Addresses::among_pods(number, GATEWAY)?;
        netns.set_sysctl("net/ipv4/ip_forward", "1")?;
        netns.set_sysctl("net/ipv6/conf/all/forwarding", "1")?;
        netns.ip(&[
            "link add name pods type bridge mcast_snooping 0".to_owned(),
            format!("addr add {}/24 dev pods", gateway.v4),
            format!("addr add {}/64 dev pods nodad", gateway.v6),
            "link set pods up".to_owned(),
        ])?;
        let cgroup = stage.cgroup(name)?;
        let own = cgroup.join("node");
        cgroup::make(&own)?;
        let dir = stage.dir().join(name);
        let bpffs = dir.join("bpf");
        for dir in [&dir.join("manifests"), &bpffs] {
            fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        }
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mount a bpffs on {}", bpffs.display()))?;
        let place = Place::new(name, netns.name(), own);
        Ok(Self { place, number, addresses, gateway, cgroup, dir, pods: AtomicU8::new(0), netns, stage })
    }

    /// Adds a pod, and waits until both of its addresses answer. Its name becomes that of an interface: 15
    /// characters at most.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        let host = FIRST_POD + self.pods.fetch_add(1, Ordering::Relaxed);
        let addresses = Addresses::among_pods(self.number, host)?;
        let netns = self.stage.netns(&format!("{}-{name}", self.place.name()))?;
        self.netns.ip(&[
            format!("link add {name} type veth peer name eth0 netns {}", netns.name()),
            format!("link set {name} master pods up"),
        ])?;
        netns.ip(&[
            format!("addr add {}/24 dev eth0", addresses.v4),
            format!("addr add {}/64 dev eth0 nodad", addresses.v6),
            "link set eth0 up".to_owned(),
            format!("route add default via {}", self.gateway.v4),
            format!("route add default via {}", self.gateway.v6),
        ])?;
        for address in addresses.both() {
            self.netns.within(|| wait_until_reached(address))??;
        }
        let cgroup = self.cgroup.join(name);
        cgroup::make(&cgroup)?;
        let place = Place::new(name, netns.name(), cgroup);
        let node = self.place.name().to_owned();
        Ok(Pod { place, node, addresses, netns, _stage: Arc::clone(&self.stage) })
    }

    /// Its IPv4 address on the wire.
    pub fn v4(&self) -> Ipv4Addr {
        self.addresses.v4
    }

    /// Its IPv6 address on the wire.
    pub fn v6(&self) -> Ipv6Addr {
        self.addresses.v6
    }

    /// Its addresses on the wire, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        self.addresses.both()
    }

    /// Its other addresses: the gateway of its pods.
    pub fn gateway_addresses(&self) -> [IpAddr; 2] {
        self.gateway.both()
    }

    /// The cgroup in which all its processes and all its pods' are.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// The directory of manifests that this node's instance reads.
    pub fn manifests(&self) -> PathBuf {
        self.dir.join("manifests")
    }

    /// A directory on a bpffs of this node's own; it does not exist yet.
    pub fn pin_dir(&self) -> PathBuf {
        self.dir.join("bpf").join("shunt")
    }

    /// The file for what this node's instance allocates; it does not exist yet.
    pub fn state_file(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// Runs `f` on a thread of its own in its network namespace.
    pub(crate) fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        self.netns.within(f)
    }

    /// Runs lines of `ip -batch` in its network namespace, for what only one test wants.
    pub fn ip<S: AsRef<str>>(&self, lines: &[S]) -> Result<()> {
        self.netns.ip(lines)
    }
}

impl Inside for Node {
    fn place(&self) -> &Place {
        &self.place
    }
}

/// A pod: a network namespace joined to its node's, and a cgroup below its node's.
#[derive(Debug)]
pub struct Pod {
    place: Place,
    node: String,
    addresses: Addresses,
    netns: Netns,
    _stage: Arc<Stage>,
}

impl Pod {
    /// Its name.
    pub fn name(&self) -> &str {
        self.place.name()
    }

    /// Its IPv4 address.
    pub fn v4(&self) -> Ipv4Addr {
        self.addresses.v4
    }

    /// Its IPv6 address.
    pub fn v6(&self) -> Ipv6Addr {
        self.addresses.v6
    }

    /// Its manifest: ready, on its node, with its addresses.
    pub fn manifest(&self) -> PodManifest {
        manifest::pod(self.name(), &self.addresses.both()).on_node(&self.node)
    }

    /// Runs lines of `ip -batch` in its network namespace, for what only one test wants.
    pub fn ip<S: AsRef<str>>(&self, lines: &[S]) -> Result<()> {
        self.netns.ip(lines)
    }
}

impl Inside for Pod {
    fn place(&self) -> &Place {
        &self.place
    }
}

/// Until `ip` refuses a connection: a new bridge port forwards, and a neighbour is known, only after a
/// while, and the first packets until then are lost.
fn wait_until_reached(ip: IpAddr) -> Result<()> {
    // The port discard (RFC 863), which nothing here serves.
    let address = SocketAddr::new(ip, 9);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            Err(error) if Instant::now() > deadline => bail!("{ip} is not reached: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}
