//! Programs and maps into the kernel, or those taken over that are there.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, MapData, MapInfo};
use aya::{Ebpf, EbpfLoader};
use aya_obj::Object;
use lb_common::ServiceLabel;

use super::attach::{self, HOOKS};
use super::store::{LABELS, LABELS_CAPACITY};
use super::{DatapathError, DeviceHooks, KernelStore, Pins, devices, place, sys};

/// The programs, as `cargo xtask build` made them. Empty where this was built without.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-ebpf.o"));

/// Maps of the object that are kept over restarts.
const KEPT: [&str; 15] = [
    "FRONTENDS",
    "SERVICES",
    "SLOTS",
    "BACKENDS",
    "AFFINITY",
    "SOCKET_DIALLED",
    "SOCKET_FLOWS",
    "COUNTERS",
    "FILTER",
    "RANGES",
    "NODE",
    "FLOWS",
    "NEW_FLOWS",
    "FRAGMENTS",
    "EXHAUSTED",
];

/// Where to attach and to pin.
#[derive(Debug, Clone)]
pub struct Options {
    /// A directory of the cgroup v2 hierarchy: sockets of processes in it and below it are served.
    pub cgroup: PathBuf,
    /// A directory for pins.
    pub pin_dir: PathBuf,
    /// Attach to devices by clsact filters also where the kernel has TCX.
    pub no_tcx: bool,
}

/// A loaded and attached datapath.
#[derive(Debug)]
pub struct Datapath {
    /// The maps that the controller writes.
    pub store: KernelStore,
    /// The packet programs: loaded, and attached to the devices that are given to them.
    pub devices: DeviceHooks,
    /// How many maps held state of an earlier run.
    pub adopted_maps: usize,
    /// Held for as long as this instance lives: a second one on the same pins is refused.
    pub lock: File,
}

/// The names of all programs in the object.
pub fn program_names() -> impl Iterator<Item = &'static str> {
    HOOKS.into_iter().map(|(name, _)| name).chain(devices::PROGRAMS)
}

/// Loads the programs, adopts pinned maps or makes new ones, attaches every hook of the cgroup. Run in the
/// network namespace of the node.
///
/// # Errors
///
/// With the remedy where it is known; what was attached before stays attached.
pub fn load(options: &Options) -> Result<Datapath, DatapathError> {
    if OBJECT.is_empty() {
        return Err(DatapathError::NoObject);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(DatapathError::NotRoot);
    }
    let cgroup = place::open_cgroup(&options.cgroup)?;
    let pins = Pins::in_directory(&options.pin_dir);
    let lock = pins.prepare()?;
    let adopted_maps = check_pinned_maps(&pins)?;
    let netns = node_netns()?;
    let paths: Vec<_> = KEPT.into_iter().map(|name| (name, pins.map(name))).collect();
    let mut loader = EbpfLoader::new();
    loader.override_global("NODE_NETNS", &netns, true);
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    let mut ebpf = loader.load(OBJECT).map_err(DatapathError::Load)?;
    ensure_labels(&pins.map(LABELS))?;
    attach_all(&mut ebpf, &cgroup, &pins)?;
    let store = KernelStore::open(&pins)?;
    let devices = DeviceHooks::new(ebpf, &pins, options.no_tcx)?;
    Ok(Datapath { store, devices, adopted_maps, lock })
}

fn attach_all(ebpf: &mut Ebpf, cgroup: &File, pins: &Pins) -> Result<(), DatapathError> {
    // All are loaded before the first is attached: a kernel that refuses one is left as it was.
    for name in program_names() {
        attach::load(program(ebpf, name)?)
            .map_err(|source| DatapathError::Program { program: name.to_owned(), source })?;
    }
    for (name, attach_type) in HOOKS {
        attach::attach(name, attach_type, program(ebpf, name)?, cgroup, pins)?;
    }
    Ok(())
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::programs::Program, DatapathError> {
    ebpf.program_mut(name).ok_or_else(|| DatapathError::Missing { what: "program", name: name.to_owned() })
}

/// The cookie of this process's network namespace.
fn node_netns() -> Result<u64, DatapathError> {
    let syscall = |call| move |source| DatapathError::Syscall { call, source };
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(syscall("bind to loopback"))?;
    sys::netns_cookie(socket.as_fd()).map_err(syscall("getsockopt(SO_NETNS_COOKIE)"))
}

/// Compares every pinned map with the object's: the kernel and aya would take a wrong one. Returns how many
/// there are.
fn check_pinned_maps(pins: &Pins) -> Result<usize, DatapathError> {
    let object = Object::parse(OBJECT).map_err(|error| DatapathError::Load(error.into()))?;
    let mut pinned = 0;
    for name in KEPT {
        let map = object
            .maps
            .get(name)
            .ok_or_else(|| DatapathError::Missing { what: "map", name: name.to_owned() })?;
        pinned += usize::from(check_pinned_map(
            pins,
            name,
            [map.map_type(), map.key_size(), map.value_size(), map.max_entries(), map.map_flags()],
        )?);
    }
    Ok(pinned)
}

/// Compares a pinned map's type, key size, value size, capacity and flags; false where there is no pin.
fn check_pinned_map(pins: &Pins, name: &str, expected: [u32; 5]) -> Result<bool, DatapathError> {
    let path = pins.map(name);
    if !path.exists() {
        return Ok(false);
    }
    let error = |source| DatapathError::Map { what: "inspect pinned", map: name.to_owned(), source };
    let info = MapInfo::from_pin(&path).map_err(error)?;
    let found = [
        info.map_type().map_err(error)? as u32,
        info.key_size(),
        info.value_size(),
        info.max_entries(),
        info.map_flags(),
    ];
    let fields = ["type", "key size", "value size", "capacity", "flags"];
    for ((field, found), expected) in fields.into_iter().zip(found).zip(expected) {
        if found != expected {
            return Err(DatapathError::PinnedMapDiffers {
                map: name.to_owned(),
                field,
                found,
                expected,
                path: pins.version_directory(),
            });
        }
    }
    Ok(true)
}

/// The map of labels, which no program reads: made here rather than by the object.
fn ensure_labels(path: &Path) -> Result<(), DatapathError> {
    if path.exists() {
        return Ok(());
    }
    const NO_PREALLOC: u32 = 1;
    let error = |source| DatapathError::Map { what: "create", map: LABELS.to_owned(), source };
    let labels =
        HashMap::<MapData, u32, ServiceLabel>::create(LABELS_CAPACITY, NO_PREALLOC).map_err(error)?;
    labels.pin(path).map_err(|source| DatapathError::Pin {
        what: "make",
        path: path.to_owned(),
        source: std::io::Error::other(source),
    })
}
