//! What goes wrong around an instance. Each is brought about, seen to be told, taken away, and seen to be
//! recovered from without any other change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::{Addr, Frontend, FrontendFlags, FrontendKey, FrontendKind, Port, Proto, ServiceId};
use lb_userspace::datapath::Pins;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::keeper::Keeper;
use super::stage::Stage;
use crate::manifest::{Manifest, service};
use crate::node::Node;

/// How long an instance may take to tell of a fault, and to recover.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A device with an address comes, and vanishes.
    Device,
    /// A file of the manifests is none.
    BrokenManifest,
    /// The map of frontends is full of others' entries.
    MapFull,
    /// The disk of the state file is full.
    DiskFull,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Device, Self::BrokenManifest, Self::MapFull, Self::DiskFull];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device vanishes",
            Self::BrokenManifest => "broken manifest",
            Self::MapFull => "map full",
            Self::DiskFull => "state file's disk full",
        }
    }

    /// Brings it about and takes it away; what is not told of or not recovered from is an error.
    ///
    /// # Errors
    ///
    /// With what was waited for in vain.
    pub fn happen(self, stage: &Stage, keeper: &Keeper<'_>, disk: &Disk) -> Result<()> {
        keeper.wait()?;
        match self {
            Self::Device => device(stage, keeper),
            Self::BrokenManifest => broken_manifest(stage, keeper),
            Self::MapFull => map_full(stage, keeper),
            Self::DiskFull => disk_full(stage, keeper, disk),
        }
        .with_context(|| self.name())
    }
}

/// Adds a device with an address to the node, which the programs are attached to, and takes it away.
fn device(stage: &Stage, keeper: &Keeper<'_>) -> Result<()> {
    let shunt = keeper.shunt()?;
    let seen = shunt.lines_so_far();
    stage.node.ip(&[
        "link add extra0 type veth peer name extra1",
        "addr add 192.168.78.1/24 dev extra0",
        "link set extra0 up",
    ])?;
    shunt.wait_for_line(seen, |line| line.contains("attached to device extra0"))?;
    stage.node.ip(&["link del extra0"])?;
    shunt.wait_for_line(seen, |line| line.contains("device extra0 is gone")).map(drop)
}

fn broken_manifest(stage: &Stage, keeper: &Keeper<'_>) -> Result<()> {
    let shunt = keeper.shunt()?;
    let seen = shunt.lines_so_far();
    let file = stage.node.manifests().join("broken.yaml");
    fs::write(&file, "kind: Service\nmetadata: {name: [\n")?;
    let told = shunt.wait_for_line(seen, |line| line.contains("ERROR") && line.contains("broken.yaml"));
    fs::remove_file(&file)?;
    told?;
    shunt.wait_for_line(seen, |line| line.contains("no longer wrong")).map(drop)
}

/// The writer of the world waits meanwhile: its next version has a frontend that finds no room either.
fn map_full(stage: &Stage, keeper: &Keeper<'_>) -> Result<()> {
    let shunt = keeper.shunt()?;
    let seen = shunt.lines_so_far();
    let pin = Pins::in_directory(&stage.node.pin_dir()).map("FRONTENDS");
    let mut map: HashMap<MapData, FrontendKey, Frontend> =
        Map::from_map_data(MapData::from_pin(pin)?)?.try_into()?;
    let strangers = fill(&mut map)?;
    let manifest = Extra::apply(stage, "no-room")?;
    let told = shunt.wait_for_line(seen, |line| line.contains("map FRONTENDS is full"));
    for key in strangers {
        map.remove(&key)?;
    }
    told?;
    manifest.wait_until_served(&stage.node)
}

/// Fills a map with frontends of nobody's address; gives what it put there.
fn fill(map: &mut HashMap<MapData, FrontendKey, Frontend>) -> Result<Vec<FrontendKey>> {
    let nowhere = Frontend::new(ServiceId::from_number(0), FrontendFlags::of(FrontendKind::ClusterIp));
    let mut keys = Vec::new();
    for number in 0_u32.. {
        // A network for tests (RFC 2544), each address with every port.
        let addr = Addr::from(std::net::IpAddr::from([198, 18, (number >> 16) as u8, 1]));
        let key = FrontendKey::new(addr, Port::new((number & 0xffff) as u16), Proto::TCP);
        match map.insert(key, nowhere, 0) {
            Ok(()) => keys.push(key),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(nix::libc::E2BIG) => {
                break;
            }
            Err(error) => return Err(error).context("fill FRONTENDS"),
        }
    }
    Ok(keys)
}

fn disk_full(stage: &Stage, keeper: &Keeper<'_>, disk: &Disk) -> Result<()> {
    let shunt = keeper.shunt()?;
    let seen = shunt.lines_so_far();
    let filler = disk.fill()?;
    let manifest = Extra::apply(stage, "no-disk")?;
    let told = shunt.wait_for_line(seen, |line| line.contains("state.json") && !line.contains("INFO"));
    fs::remove_file(filler)?;
    told?;
    manifest.wait_until_served(&stage.node)
}

/// A Service in a file of its own, whose address is to be allocated; gone when dropped.
struct Extra {
    name: String,
    file: PathBuf,
}

impl Extra {
    /// One of a name that there never was: numbers of a Service that went are kept for it for a while.
    fn apply(stage: &Stage, kind: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{kind}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let file = stage.node.manifests().join(format!("{name}.json"));
        fs::write(&file, service(&name).port(80).to_value().to_string())?;
        Ok(Self { name, file })
    }

    /// Until a frontend of it is in the kernel.
    fn wait_until_served(&self, node: &Node) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let services = crate::shunt::ask_shunt(node, "services")?;
            let text = services.to_string();
            if text.contains(&format!("\"{}\"", self.name)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("Service {} is not served {PATIENCE:?} after there was room again", self.name);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Extra {
    fn drop(&mut self) {
        // Whoever made it is done, or says more.
        let _removed = fs::remove_file(&self.file);
    }
}

/// A small disk; gone when dropped.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// One of a megabyte, for the state file of a stage's instance.
    ///
    /// # Errors
    ///
    /// Where it can't be mounted.
    pub fn mount(stage: &Stage) -> Result<Self> {
        let path = stage.node.state_file().with_file_name("disk");
        fs::create_dir_all(&path)?;
        mount(Some("soak"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=1m"))
            .context("mount a disk")?;
        Ok(Self { path })
    }

    /// The state file on it.
    pub fn state_file(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Leaves no room on it; gives the file that has it.
    fn fill(&self) -> Result<PathBuf> {
        let filler = self.path.join("filler");
        // That it ends in an error is what is wanted: what fitted is there.
        let _full = fs::write(&filler, vec![0_u8; 2 << 20]);
        Ok(filler)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is not unmounted is swept up with the directory that it is in.
        let _unmounted = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}
