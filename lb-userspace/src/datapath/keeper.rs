//! What is in the kernel is kept there while this process lives, whatever becomes of the pins and the cgroup.
//!
//! A link or a map lives for as long as something refers to it. The pins do, until their bpffs is unmounted or
//! somebody removes them: so this process refers to all of them too, and pins them again. A cgroup takes its links
//! along when it is removed: the programs are attached anew when it is there again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load::attach_sockets;
use super::place::{self, entries, is_bpffs};
use super::{DatapathError, DeviceHooks, Pins, sys};

/// What was found and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// So many pins were gone, and are there again.
    PinnedAgain(usize),
    /// The cgroup is not there: no socket is served until it is.
    NoCgroup,
    /// The cgroup was away, and is served again.
    CgroupBack,
}

/// Refers to every pinned object.
#[derive(Debug)]
pub struct Keeper {
    pins: Pins,
    cgroup: PathBuf,
    /// The inode number of the cgroup that programs are attached to.
    attached: u64,
    /// By path below the directory of pins.
    held: BTreeMap<PathBuf, OwnedFd>,
    /// Held for as long as this instance lives: a second one on the same pins is refused.
    lock: File,
}

impl Keeper {
    /// Of what is pinned in `pins`, attached to the directory `cgroup` that was opened as `attached`.
    pub(super) fn new(pins: &Pins, cgroup: &Path, attached: &File, lock: File) -> io::Result<Self> {
        let (cgroup, attached) = (cgroup.to_owned(), attached.metadata()?.ino());
        Ok(Self { pins: pins.clone(), cgroup, attached, held: BTreeMap::new(), lock })
    }

    /// Takes note of what is pinned now: call it when pins were made or removed on purpose. Links of devices come and
    /// go; anything else that is no longer pinned was taken away by somebody.
    pub fn refresh(&mut self) {
        if !self.is_there() {
            return;
        }
        let is_of_device =
            |below: &Path| below.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"tc-"));
        self.held.retain(|below, _| !is_of_device(below));
        if let Err(error) = self.note() {
            tracing::debug!("pins are not taken note of: {:#}", anyhow::Error::from(error));
        }
    }

    fn note(&mut self) -> Result<(), DatapathError> {
        for layout in self.pins.layouts()? {
            for kind in ["links", "maps"] {
                for path in entries(&layout.join(kind))? {
                    let failed = |source| DatapathError::Pin { what: "open", path: path.clone(), source };
                    let below = path.strip_prefix(self.pins.directory()).unwrap_or(&path).to_owned();
                    self.held.insert(below, sys::open_pin(&path).map_err(failed)?);
                }
            }
        }
        Ok(())
    }

    /// Whether the directory is the one that is locked.
    fn is_there(&self) -> bool {
        let inode = |metadata: fs::Metadata| metadata.ino();
        let now = fs::metadata(self.pins.directory()).map(inode);
        is_bpffs(self.pins.directory())
            && now.is_ok_and(|now| self.lock.metadata().is_ok_and(|then| inode(then) == now))
    }

    /// Looks whether everything is as it was left, and puts right what is not.
    ///
    /// # Errors
    ///
    /// Where that can't be done; what is in the kernel goes on, and the next call tries again.
    pub fn look(&mut self, hooks: &mut DeviceHooks) -> Result<Option<Found>, DatapathError> {
        let again = self.pin_again()?;
        match fs::metadata(&self.cgroup).map(|metadata| metadata.ino()) {
            Err(_) => return Ok(Some(Found::NoCgroup)),
            Ok(inode) if inode != self.attached => {
                let cgroup = place::open_cgroup(&self.cgroup)?;
                attach_sockets(hooks.ebpf_mut(), &cgroup, &self.pins)?;
                self.attached = inode;
                self.refresh();
                return Ok(Some(Found::CgroupBack));
            }
            Ok(_) => {}
        }
        Ok((again > 0).then_some(Found::PinnedAgain(again)))
    }

    /// Pins what is pinned no more, on a bpffs that is mounted if there is none.
    fn pin_again(&mut self) -> Result<usize, DatapathError> {
        let directory = self.pins.directory().to_owned();
        if !self.is_there() {
            self.lock = self.pins.prepare(Duration::ZERO)?;
        }
        let mut again = 0;
        for (below, object) in &self.held {
            let path = directory.join(below);
            if path.exists() {
                continue;
            }
            let failed = |source| DatapathError::Pin { what: "make", path: path.clone(), source };
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            sys::pin(object.as_fd(), &path).map_err(failed)?;
            again += 1;
        }
        Ok(again)
    }
}
