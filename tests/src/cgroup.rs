//! Cgroups of version 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Where cgroup v2 is mounted; not /sys/fs/cgroup itself on a machine that has version 1 as well.
pub(crate) fn mount_point() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&"cgroup2"))
        .and_then(|fields| fields.get(1).map(PathBuf::from))
        .context("cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
}

/// A cgroup and all below it, gone when dropped, with the processes in it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// A new one right below the root.
    pub(crate) fn create(name: &str) -> Result<Self> {
        let path = mount_point()?.join(name);
        make(&path)?;
        Ok(Self { path })
    }

    /// A new one below this one.
    pub(crate) fn child(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        make(&path)?;
        Ok(path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            eprintln!("cgroup {} stays: {error:#}", self.path.display());
        }
    }
}

/// Makes a cgroup.
pub(crate) fn make(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("make cgroup {}", path.display()))
}

/// Ends every process in a cgroup and below it (`cgroup.kill`, Linux 5.14), then removes it.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let kill = path.join("cgroup.kill");
    fs::write(&kill, "1").with_context(|| format!("write {}", kill.display()))?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while is_populated(path)? {
        if Instant::now() > deadline {
            bail!("processes in {} do not end", path.display());
        }
        thread::sleep(Duration::from_millis(1));
    }
    remove_tree(path).with_context(|| format!("remove {}", path.display()))
}

fn is_populated(path: &Path) -> Result<bool> {
    let events = path.join("cgroup.events");
    let events = fs::read_to_string(&events).with_context(|| format!("read {}", events.display()))?;
    Ok(events.lines().any(|line| line == "populated 1"))
}

/// Only directories can be removed from a cgroup filesystem, and only leaves.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
