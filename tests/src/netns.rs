//! Network namespaces, set up by `ip`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};

/// Where `ip netns` keeps them.
pub(crate) const DIR: &str = "/run/netns";

/// A network namespace, gone when dropped.
#[derive(Debug)]
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    /// A new one, with loopback up and without duplicate address detection, which would keep an IPv6
    /// address from being used for a second.
    pub(crate) fn create(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        let netns = Self { name };
        for family in ["all", "default"] {
            netns.set_sysctl(&format!("net/ipv6/conf/{family}/accept_dad"), "0")?;
        }
        netns.ip(&["link set lo up"])?;
        Ok(netns)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines of `ip -batch` here.
    pub(crate) fn ip<S: AsRef<str>>(&self, lines: &[S]) -> Result<()> {
        let lines: Vec<_> = lines.iter().map(AsRef::as_ref).collect();
        run(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), &lines.join("\n"))
    }

    /// Writes a file below /proc/sys: those of `net` are the writing thread's namespace's.
    pub(crate) fn set_sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(name);
        self.within(|| fs::write(&path, value))?.with_context(|| format!("write {}", path.display()))
    }

    /// Runs `f` on a thread of its own that is in this namespace. Its cgroup stays that of the process.
    pub(crate) fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let netns = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| setns(netns, CloneFlags::CLONE_NEWNET).map(|()| f()));
            thread.join().map_err(|_| anyhow!("a thread in {} panicked", self.name))
        })?
        .with_context(|| format!("enter {}", path.display()))
    }

    /// Puts this thread into this namespace until what is given back is dropped.
    pub(crate) fn enter(&self) -> Result<Entered> {
        let former = File::open("/proc/thread-self/ns/net").context("open this thread's namespace")?;
        let path = self.path();
        let netns = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        setns(netns, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter {}", path.display()))?;
        Ok(Entered { former })
    }

    fn path(&self) -> PathBuf {
        Path::new(DIR).join(&self.name)
    }
}

/// That a thread is in another namespace than it was.
#[derive(Debug)]
pub(crate) struct Entered {
    former: File,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.former, CloneFlags::CLONE_NEWNET) {
            eprintln!("this thread stays in another network namespace: {error}");
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Deletes a namespace; its devices go with it.
pub(crate) fn delete(name: &str) {
    if let Err(error) = run(Command::new("ip").args(["netns", "del", name]), "") {
        eprintln!("network namespace {name} stays: {error:#}");
    }
}

/// Runs a command with an input; its output is part of the error where it fails.
fn run(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context("write to `ip`")?;
    }
    let output = child.wait_with_output().context("wait for `ip`")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}\n{input}", output.status, said.trim());
    }
    Ok(())
}
