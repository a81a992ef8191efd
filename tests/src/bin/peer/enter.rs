//! Into a network namespace and a cgroup, then the command in place of this process.
//!
//! setns(2) on the network namespace alone: `ip netns exec` mounts a new /sys as well, which hides the
//! cgroup and bpffs mounts below it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::Context;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::SigSet;

#[derive(clap::Args)]
pub(crate) struct Enter {
    /// Name of a network namespace as `ip netns` has it
    #[arg(long)]
    netns: String,
    /// Directory of a cgroup v2
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Enter {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let path = Path::new("/run/netns").join(&self.netns);
        let netns = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        setns(netns, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter {}", path.display()))?;
        if let Some(cgroup) = &self.cgroup {
            let procs = cgroup.join("cgroup.procs");
            fs::write(&procs, process::id().to_string())
                .with_context(|| format!("write {}", procs.display()))?;
        }
        // Whoever started this may take signals by waiting for them, and so have them blocked; a mask is
        // inherited (execve(2)), and a server that never hears SIGTERM would not end.
        SigSet::empty().thread_set_mask().context("unblock signals")?;
        let (program, arguments) = self.command.split_first().context("no command")?;
        let error = Command::new(program).args(arguments).exec();
        Err(error).with_context(|| format!("run {}", program.display()))
    }
}
