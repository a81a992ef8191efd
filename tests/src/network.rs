//! A wire that joins nodes to each other and to clients outside.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::cgroup::Cgroup;
use crate::name;
use crate::netns::Netns;
use crate::node::Node;
use crate::place::{Inside, Place};
use crate::sweep;

/// The first client outside on the wire; nodes come before, from 11.
const FIRST_OUTSIDE: u8 = 101;

/// One Ethernet, `192.168.49.0/24` and `fd00:192:168:49::/64`. Node `n` is host `10 + n` there; its pods are
/// in `10.244.n.0/24` and `fd00:10:244:n::/64`, to which every node has a route.
#[derive(Debug, Clone)]
pub struct Network {
    stage: Arc<Stage>,
}

/// What a network and all on it share. Its fields are dropped in this order: processes end before what they
/// run in goes.
#[derive(Debug)]
pub(crate) struct Stage {
    name: String,
    cgroup: Cgroup,
    dir: Workdir,
    wire: Netns,
    joined: Mutex<Joined>,
}

#[derive(Debug, Default)]
struct Joined {
    nodes: Vec<Arc<Netns>>,
    outside: u8,
}

impl Network {
    /// A new one, with nothing on it.
    pub fn create() -> Result<Self> {
        sweep::sweep();
        let name = name::unique();
        let wire = Netns::create(format!("{name}-wire"))?;
        wire.ip(&["link add name wire type bridge mcast_snooping 0", "link set wire up"])?;
        let cgroup = Cgroup::create(&name)?;
        let dir = Workdir::create(&name)?;
        Ok(Self { stage: Arc::new(Stage { name, cgroup, dir, wire, joined: Mutex::default() }) })
    }

    /// Adds a node. Its name becomes that of an interface: 15 characters at most.
    pub fn node(&self, name: &str) -> Result<Node> {
        let mut joined = self.stage.joined();
        let number = u8::try_from(joined.nodes.len() + 1).context("number a node")?;
        ensure!(number <= 9, "a network has 9 nodes at most");
        let netns = Arc::new(self.stage.netns(name)?);
        let addresses = Addresses::on_wire(10 + number)?;
        self.stage.join(&netns, name, &addresses)?;
        for (other, other_netns) in (1..).zip(&joined.nodes) {
            netns.ip(&routes_to_pods(other))?;
            other_netns.ip(&routes_to_pods(number))?;
        }
        joined.nodes.push(Arc::clone(&netns));
        drop(joined);
        Node::create(Arc::clone(&self.stage), netns, name, number, addresses)
    }

    /// Adds a client that is no node's: no hook sees its sockets.
    pub fn outside(&self, name: &str) -> Result<Outside> {
        let mut joined = self.stage.joined();
        let addresses = Addresses::on_wire(FIRST_OUTSIDE + joined.outside)?;
        joined.outside += 1;
        drop(joined);
        let netns = self.stage.netns(name)?;
        self.stage.join(&netns, name, &addresses)?;
        let place = Place::new(name, netns.name(), self.stage.cgroup.child(name)?);
        Ok(Outside { place, addresses, netns, _stage: Arc::clone(&self.stage) })
    }
}

/// A client outside of every node.
#[derive(Debug)]
pub struct Outside {
    place: Place,
    addresses: Addresses,
    netns: Netns,
    _stage: Arc<Stage>,
}

impl Outside {
    /// Its IPv4 address on the wire.
    pub fn v4(&self) -> Ipv4Addr {
        self.addresses.v4
    }

    /// Its IPv6 address on the wire.
    pub fn v6(&self) -> Ipv6Addr {
        self.addresses.v6
    }

    /// Runs lines of `ip -batch` in its network namespace, for what only one test wants.
    pub fn ip<S: AsRef<str>>(&self, lines: &[S]) -> Result<()> {
        self.netns.ip(lines)
    }
}

impl Inside for Outside {
    fn place(&self) -> &Place {
        &self.place
    }
}

impl Stage {
    /// A new network namespace of this stage.
    pub(crate) fn netns(&self, name: &str) -> Result<Netns> {
        Netns::create(format!("{}-{name}", self.name))
    }

    /// A new cgroup of this stage.
    pub(crate) fn cgroup(&self, name: &str) -> Result<PathBuf> {
        self.cgroup.child(name)
    }

    /// A directory of this stage's own, gone with it, with what is mounted below it.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Joins a namespace to the wire by `eth0`; the other end has the name `name`.
    fn join(&self, netns: &Netns, name: &str, addresses: &Addresses) -> Result<()> {
        netns.ip(&[
            format!("link add eth0 type veth peer name {name} netns {}", self.wire.name()),
            format!("addr add {}/24 dev eth0", addresses.v4),
            format!("addr add {}/64 dev eth0 nodad", addresses.v6),
            "link set eth0 up".to_owned(),
        ])?;
        self.wire.ip(&[format!("link set {name} master wire up")])
    }

    fn joined(&self) -> MutexGuard<'_, Joined> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One address of each family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Addresses {
    /// Of a host on the wire.
    fn on_wire(host: u8) -> Result<Self> {
        let v6 = format!("fd00:192:168:49::{host}").parse().context("an address on the wire")?;
        Ok(Self { v4: Ipv4Addr::new(192, 168, 49, host), v6 })
    }

    /// Of a host among the pods of a node.
    pub(crate) fn among_pods(node: u8, host: u8) -> Result<Self> {
        let v6 = format!("fd00:10:244:{node}::{host}").parse().context("an address of a pod")?;
        Ok(Self { v4: Ipv4Addr::new(10, 244, node, host), v6 })
    }

    /// Both, IPv4 first.
    pub(crate) fn both(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

fn routes_to_pods(node: u8) -> [String; 2] {
    [
        format!("route add 10.244.{node}.0/24 via 192.168.49.{}", 10 + node),
        format!("route add fd00:10:244:{node}::/64 via fd00:192:168:49::{}", 10 + node),
    ]
}

/// A temporary directory in which filesystems may be mounted.
#[derive(Debug)]
struct Workdir {
    dir: TempDir,
}

impl Workdir {
    fn create(name: &str) -> Result<Self> {
        let mut dir = tempfile::Builder::new();
        let dir = dir.prefix(&format!("{name}-")).tempdir().context("make a temporary directory")?;
        Ok(Self { dir })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        sweep::unmount(self.dir.path());
        // What instances with pins in it left to be read after them.
        let name = lb_userspace::control::socket_path(self.dir.path()).with_extension("");
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let left = fs::read_dir("/run/shunt").into_iter().flatten().flatten();
        for file in left.filter(|file| file.file_name().to_string_lossy().starts_with(&name)) {
            let _gone = fs::remove_file(file.path());
        }
    }
}
