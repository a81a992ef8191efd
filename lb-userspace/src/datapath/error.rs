//! What can go wrong between here and the kernel, with the remedy where there is a known one.

use std::io;
use std::path::PathBuf;

use super::Holder;

/// An operation on the kernel that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatapathError {
    /// Built without the eBPF object.
    #[error("this binary was built without its eBPF object; build it with `cargo xtask build`")]
    NoObject,
    /// Not root.
    #[error(
        "this needs root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, and CAP_SYS_ADMIN to mount): \
         run it with sudo, or in a privileged container"
    )]
    NotRoot,
    /// No cgroup v2 hierarchy.
    #[error(
        "no cgroup2 file system is mounted; mount one with `mount -t cgroup2 none /sys/fs/cgroup`, or name a directory of one with --cgroup"
    )]
    NoCgroup2,
    /// Not a directory of a cgroup v2 hierarchy.
    #[error("cannot attach to cgroup {}", path.display())]
    Cgroup {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither is the pin directory on a bpffs, nor could one be mounted.
    #[error("no bpffs for pins at {}, and none can be mounted there (mount one with `mount -t bpf bpf DIR` and name a directory of it with --pin-dir)", path.display())]
    BpfFs {
        /// The pin directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another instance serves with these pins.
    #[error(
        "another instance holds the pins in {}: {}; stop it first, or choose another --pin-dir",
        path.display(),
        holder.as_ref().map_or_else(|| "a process that can't be seen from here".to_owned(), ToString::to_string)
    )]
    Locked {
        /// The pin directory.
        path: PathBuf,
        /// The instance.
        holder: Option<Box<Holder>>,
    },
    /// Nothing is pinned.
    #[error("nothing is pinned in {}: is `shunt run` running with this --pin-dir, and are you root?", path.display())]
    NotRunning {
        /// The pin directory.
        path: PathBuf,
    },
    /// A file operation on a pin.
    #[error("cannot {what} pin {}", path.display())]
    Pin {
        /// What was tried.
        what: &'static str,
        /// Which pin.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pinned map holds something else than this version reads.
    #[error("pinned map {map} in {} has values of {found} bytes, this version reads {expected}: ask with the binary that made it", path.display())]
    OtherLayout {
        /// The map.
        map: String,
        /// The size of its values in bytes.
        found: u32,
        /// The one that is known.
        expected: u32,
        /// The directory of this layout version's pins.
        path: PathBuf,
    },
    /// The pins are of another layout, and a map with content that has a meaning can't be taken over.
    #[error(
        "the pins in {0} are of layout version {version}{made_by}, and map {map} can't be taken over: {why}; what they \
         serve goes on. Start the version that made them, or `shunt run --discard-state`, by which connections of \
         clients outside and affinities begin anew, or take everything out with `shunt cleanup --pin-dir {0}`",
        pins.display()
    )]
    LayoutDiffers {
        /// The pin directory.
        pins: PathBuf,
        /// Their layout version.
        version: u32,
        /// « of Shunt 0.1.0», where it is known.
        made_by: String,
        /// The map.
        map: &'static str,
        /// What is different.
        why: String,
    },
    /// More is in a map than the size that was chosen for it allows.
    #[error(
        "map {map} can't have {size} entries: it holds more; start with a larger --map-size {map}=ENTRIES, or without"
    )]
    DoesNotFit {
        /// The map.
        map: &'static str,
        /// The size that was chosen.
        size: u32,
    },
    /// Entries could not be copied from an old map to a new one.
    #[error("cannot copy the entries of map {map}")]
    Copy {
        /// The map.
        map: &'static str,
        /// Why.
        source: io::Error,
    },
    /// aya could not load the object.
    #[error("cannot load the eBPF object")]
    Load(#[source] aya::EbpfError),
    /// The kernel refused a program.
    #[error(
        "the kernel refused program {program} (Linux 6.1 is the oldest that can serve): is this process root, with CAP_BPF and CAP_NET_ADMIN?"
    )]
    Program {
        /// Its name.
        program: String,
        /// Why, with the verifier's log.
        source: aya::programs::ProgramError,
    },
    /// The object lacks something this code expects in it.
    #[error("the eBPF object has no {what} {name}")]
    Missing {
        /// «program» or «map».
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An operation on a map.
    #[error("cannot {what} map {map}")]
    Map {
        /// What was tried.
        what: &'static str,
        /// Which map.
        map: String,
        /// Why.
        source: aya::maps::MapError,
    },
    /// A system call.
    #[error("{call} failed")]
    Syscall {
        /// Which.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
}
