//! What can go wrong between here and the kernel, with the remedy where there is a known one.

use std::io;
use std::path::PathBuf;

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
    #[error("another instance holds the pins in {}: stop it first, or choose another --pin-dir", path.display())]
    Locked {
        /// The pin directory.
        path: PathBuf,
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
    /// A pinned map is not what this version would make.
    #[error("pinned map {map} has {field} {found}, this version needs {expected}: remove {} and start again", path.display())]
    PinnedMapDiffers {
        /// The map.
        map: String,
        /// Which of its properties.
        field: &'static str,
        /// What the pinned one has.
        found: u32,
        /// What it should have.
        expected: u32,
        /// The directory of this layout version's pins.
        path: PathBuf,
    },
    /// aya could not load the object.
    #[error("cannot load the eBPF object")]
    Load(#[source] aya::EbpfError),
    /// The kernel refused a program.
    #[error(
        "the kernel refused program {program} (Linux 5.18 is the oldest that can serve): is this process root, with CAP_BPF and CAP_NET_ADMIN?"
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
