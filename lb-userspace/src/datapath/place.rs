//! Where programs attach and pins live: file systems, directories, the lock.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lb_common::LAYOUT_VERSION;
use rustix::fs::{FlockOperation, flock, statfs};
use rustix::mount::{MountFlags, mount};

use super::DatapathError;
use super::holder::Holder;
use crate::private;

/// `BPF_FS_MAGIC`, `CGROUP2_SUPER_MAGIC` (linux/magic.h)
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// How long the lock is waited for where somebody has it: who only asks whether it is held has it for a moment.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is tried meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// The root of the cgroup v2 hierarchy: where it is mounted differs between machines.
pub fn cgroup2_root() -> Result<PathBuf, DatapathError> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find_map(|fields| match fields.as_slice() {
            [_, path, "cgroup2", ..] => Some(PathBuf::from(path)),
            _ => None,
        })
        .ok_or(DatapathError::NoCgroup2)
}

/// Opens a directory of the cgroup v2 hierarchy.
pub(super) fn open_cgroup(path: &Path) -> Result<File, DatapathError> {
    let cgroup = |source| DatapathError::Cgroup { path: path.to_owned(), source };
    let directory = File::open(path).map_err(cgroup)?;
    if magic(path).map_err(cgroup)? != CGROUP2_MAGIC {
        return Err(cgroup(io::Error::other("not a directory of a cgroup2 file system")));
    }
    Ok(directory)
}

/// The directory of the pins of one instance.
#[derive(Debug, Clone)]
pub struct Pins {
    directory: PathBuf,
    /// Maps are in this directory of it, in place of that of the layout version.
    maps_in: Option<&'static str>,
}

impl Pins {
    /// Pins in `directory`, whatever there is.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), maps_in: None }
    }

    /// The same pins with the maps in another directory.
    pub(super) fn with_maps_in(&self, directory: &'static str) -> Self {
        Self { maps_in: Some(directory), ..self.clone() }
    }

    /// The directory that the caller named.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The pins of this layout version.
    pub fn version_directory(&self) -> PathBuf {
        self.directory.join(format!("v{LAYOUT_VERSION}"))
    }

    /// The directory of the maps' pins.
    pub fn maps(&self) -> PathBuf {
        let directory = self.maps_in.map(|name| self.directory.join(name));
        directory.unwrap_or_else(|| self.version_directory()).join("maps")
    }

    /// The pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// The pin of the link that a program is attached by.
    pub fn link(&self, program: &str) -> PathBuf {
        self.version_directory().join("links").join(program)
    }

    /// Makes the directory, on a bpffs that is mounted if there is none, and takes the lock that keeps a
    /// second instance out for as long as the file lives. Where somebody has it, it is waited for that long.
    pub(super) fn prepare(&self, patience: Duration) -> Result<File, DatapathError> {
        let bpffs = |source| DatapathError::BpfFs { path: self.directory.clone(), source };
        self.mount().map_err(bpffs)?;
        // A file system's own root may be others' too.
        if !is_mount_point(&self.directory) {
            private::directory(&self.directory).map_err(bpffs)?;
        }
        self.lock(&File::open(&self.directory).map_err(bpffs)?, patience)
    }

    /// Whether an instance holds them. Who asks does not keep out others who ask, and an instance that begins for a
    /// moment only, which it waits for ([`PATIENCE`]).
    pub fn are_held(&self) -> bool {
        let directory = File::open(&self.directory);
        directory.is_ok_and(|directory| {
            flock(directory, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
        })
    }

    /// Takes the lock where there is a directory: whoever removes pins keeps instances out.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Locked`] where an instance holds it.
    pub fn lock_existing(&self) -> Result<Option<File>, DatapathError> {
        match File::open(&self.directory) {
            Ok(directory) => self.lock(&directory, PATIENCE).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DatapathError::BpfFs { path: self.directory.clone(), source }),
        }
    }

    /// What an instance that wanted these pins would be told now, where another is known to hold them.
    pub fn refusal(&self) -> Option<DatapathError> {
        let holder = Holder::of(&self.directory)?;
        Some(DatapathError::Locked { path: self.directory.clone(), holder: Some(Box::new(holder)) })
    }

    fn lock(&self, directory: &File, patience: Duration) -> Result<File, DatapathError> {
        let failed = |source| DatapathError::BpfFs { path: self.directory.clone(), source };
        let deadline = Instant::now() + patience;
        loop {
            match flock(directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return directory.try_clone().map_err(failed),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOOK),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let holder = Holder::of(&self.directory).map(Box::new);
                    return Err(DatapathError::Locked { path: self.directory.clone(), holder });
                }
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }

    /// Mounts a bpffs where the directory is not on one: on the customary place where that is above it, else
    /// on the directory itself.
    fn mount(&self) -> io::Result<()> {
        let customary = Path::new("/sys/fs/bpf");
        let at = if self.directory.starts_with(customary) { customary } else { &self.directory };
        if at != customary {
            fs::create_dir_all(at)?;
        }
        if magic(at)? == BPF_FS_MAGIC {
            return Ok(());
        }
        mount("bpf", at, "bpf", MountFlags::empty(), Some(c"mode=0700"))?;
        tracing::info!(directory = %at.display(), "mounted a bpffs");
        Ok(())
    }
}

/// The files of a directory that may not be there.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, DatapathError> {
    let read = || fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect();
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => {
            other.map_err(|source| DatapathError::Pin { what: "list", path: directory.to_owned(), source })
        }
    }
}

/// Whether a directory that is there is the root of its file system.
fn is_mount_point(directory: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
    match (device(directory), directory.parent().map(device)) {
        (Ok(own), Some(Ok(above))) => own != above,
        _ => false,
    }
}

/// Whether a directory is on a bpffs.
pub(super) fn is_bpffs(path: &Path) -> bool {
    magic(path).is_ok_and(|magic| magic == BPF_FS_MAGIC)
}

#[expect(clippy::useless_conversion, reason = "the type of f_type differs between architectures")]
fn magic(path: &Path) -> io::Result<i64> {
    Ok(i64::from(statfs(path)?.f_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_asks_whether_pins_are_held_keeps_nobody_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let pins = Pins::in_directory(directory.path());
        // As one who asks, and takes long.
        let asking = File::open(directory.path()).expect("the directory");
        flock(&asking, FlockOperation::NonBlockingLockShared).expect("nobody has it");
        assert!(!pins.are_held(), "another one asks too");
        let held = thread::scope(|scope| {
            let begins = scope.spawn(|| pins.lock_existing());
            thread::sleep(PATIENCE / 10);
            drop(asking);
            begins.join().expect("no panic").expect("it waited").expect("there is a directory")
        });
        assert!(pins.are_held());
        let second = pins.lock_existing();
        assert!(matches!(second, Err(DatapathError::Locked { .. })), "{second:?}");
        drop(held);
        assert!(!pins.are_held());
    }
}
