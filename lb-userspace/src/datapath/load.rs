//! Programs and maps into the kernel, or those taken over that are there.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, MapData};
use aya::{Ebpf, EbpfLoader};
use lb_common::ServiceLabel;

use super::attach::{self, HOOKS};
use super::layout::{Layout, Record, layout};
use super::migrate::{self, Late, Migration, Start};
use super::store::{LABELS, LABELS_SHAPE};
use super::{
    DatapathError, DeviceHooks, DeviceStatus, Keeper, KernelStore, MapSize, Pins, devices, place, sys,
};
use crate::node::devices::Device;

/// The programs, as `cargo xtask build` made them. Empty where this was built without.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-ebpf.o"));

/// Where to attach and to pin.
#[derive(Debug, Clone)]
pub struct Options {
    /// A directory of the cgroup v2 hierarchy: sockets of processes in it and below it are served.
    pub cgroup: PathBuf,
    /// A directory for pins.
    pub pin_dir: PathBuf,
    /// Attach to devices by clsact filters also where the kernel has TCX.
    pub no_tcx: bool,
    /// Sizes of maps that are not to be as the object has them.
    pub sizes: Vec<MapSize>,
    /// Begin with empty maps where what is pinned can't be taken over.
    pub discard_state: bool,
    /// The state file, remembered beside the maps for who takes everything out.
    pub state_file: Option<PathBuf>,
}

/// A loaded datapath; attached to the cgroup, or about to take over from another.
#[derive(Debug)]
pub struct Datapath {
    /// The maps that the controller writes.
    pub store: KernelStore,
    /// Where all maps are pinned now.
    pub maps: Pins,
    /// The packet programs: loaded, and attached to the devices that are given to them.
    pub devices: DeviceHooks,
    /// How many maps held state of an earlier run.
    pub adopted_maps: usize,
    /// Keeps it there for as long as this instance lives, and a second one on the same pins out.
    pub keeper: Keeper,
    /// Where pins of another layout are taken over: what is left to do when all maps are filled.
    pub pending: Option<Pending>,
}

/// A datapath that is loaded and not attached: the programs of another layout serve until it is complete.
#[derive(Debug)]
pub struct Pending {
    cgroup: File,
    pins: Pins,
    migration: Box<Migration>,
}

impl Pending {
    /// Puts the programs behind the links that are there, and attaches them where there are none. Returns what is
    /// different on the devices.
    ///
    /// # Errors
    ///
    /// Where one can't be attached; the next start goes on from there.
    pub fn activate(
        self,
        hooks: &mut DeviceHooks,
        devices: &[Device],
    ) -> Result<Vec<DeviceStatus>, DatapathError> {
        let Self { cgroup, pins, migration } = self;
        migration.commit()?;
        // Devices first: it is their tables that old programs fill while they are copied.
        let changed = hooks.apply(devices)?;
        attach_sockets(hooks.ebpf_mut(), &cgroup, &pins)?;
        let late = migration.finish()?;
        hooks.remove_other_links(HOOKS.map(|(name, _)| name))?;
        tracing::info!(late, "the programs of this version serve");
        Ok(changed)
    }
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
    let lock = pins.prepare(place::PATIENCE)?;
    let loaded = Loaded::make(&pins, options).inspect_err(|_| migrate::abandon(&pins))?;
    let Loaded { mut ebpf, maps, adopted_maps, late, migration } = loaded;
    let store = KernelStore::open(&maps)?;
    if migration.is_none() {
        attach_sockets(&mut ebpf, &cgroup, &pins)?;
        migrate::remove_others(&pins)?;
    }
    let devices = DeviceHooks::new(ebpf, &maps, &pins, options.no_tcx, late)?;
    let keeper = Keeper::new(&pins, &options.cgroup, &cgroup, lock)
        .map_err(|source| DatapathError::Cgroup { path: options.cgroup.clone(), source })?;
    let pending = migration.map(|migration| Pending { cgroup, pins, migration });
    Ok(Datapath { store, maps, devices, adopted_maps, keeper, pending })
}

/// Programs in the kernel, attached nowhere, and their maps.
struct Loaded {
    ebpf: Ebpf,
    /// Where the maps are pinned.
    maps: Pins,
    adopted_maps: usize,
    /// What programs of before may write to still.
    late: Option<Late>,
    migration: Option<Box<Migration>>,
}

impl Loaded {
    fn make(pins: &Pins, options: &Options) -> Result<Self, DatapathError> {
        let layout = layout(&options.sizes)?;
        let start = migrate::begin(pins, &layout, options.discard_state)?;
        if let Start::Adopted(adopted_maps, late) = start {
            let ebpf = load_object(pins, &layout, options)?;
            return Ok(Self { ebpf, maps: pins.clone(), adopted_maps, late: Some(late), migration: None });
        }
        let maps = migrate::building(pins);
        let ebpf = load_object(&maps, &layout, options)?;
        if let Start::Over(mut migration) = start {
            migration.copy()?;
            tracing::info!("{}", migration.summary());
            return Ok(Self { ebpf, maps, adopted_maps: 0, late: None, migration: Some(migration) });
        }
        migrate::commit_fresh(pins)?;
        Ok(Self { ebpf, maps: pins.clone(), adopted_maps: 0, late: None, migration: None })
    }
}

/// Loads every program, with the maps that are pinned there; those that are not are made and pinned. A kernel that
/// refuses one is left as it was.
fn load_object(pins: &Pins, layout: &Layout, options: &Options) -> Result<Ebpf, DatapathError> {
    let netns = node_netns()?;
    let paths: Vec<_> = layout.keys().map(|name| (*name, pins.map(name))).collect();
    let mut loader = EbpfLoader::new();
    loader.override_global("NODE_NETNS", &netns, true);
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    for (name, wanted) in layout.iter().filter(|(_, wanted)| wanted.shape.entries > 0) {
        loader.map_max_entries(name, wanted.shape.entries);
    }
    let mut ebpf = loader.load(OBJECT).map_err(DatapathError::Load)?;
    if let Some(labels) = layout.get(LABELS) {
        ensure_labels(&pins.map(LABELS), labels.shape.entries)?;
    }
    devices::ensure_records(pins)?;
    Record::own(options.state_file.clone()).write(&pins.map(Record::MAP))?;
    for name in program_names() {
        attach::load(program(&mut ebpf, name)?)
            .map_err(|source| DatapathError::Program { program: name.to_owned(), source })?;
    }
    Ok(ebpf)
}

pub(super) fn attach_sockets(ebpf: &mut Ebpf, cgroup: &File, pins: &Pins) -> Result<(), DatapathError> {
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

/// The map of labels, which no program reads: made here rather than by the object.
fn ensure_labels(path: &Path, entries: u32) -> Result<(), DatapathError> {
    if path.exists() {
        return Ok(());
    }
    let error = |source| DatapathError::Map { what: "create", map: LABELS.to_owned(), source };
    let labels = HashMap::<MapData, u32, ServiceLabel>::create(entries, LABELS_SHAPE.flags).map_err(error)?;
    labels.pin(path).map_err(|source| DatapathError::Pin {
        what: "make",
        path: path.to_owned(),
        source: std::io::Error::other(source),
    })
}
