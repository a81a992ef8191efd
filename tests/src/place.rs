//! Where a process runs.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::wire::{Probe, Probed};

use crate::netns;

/// A network namespace and a cgroup.
#[derive(Debug, Clone)]
pub struct Place {
    name: String,
    netns: String,
    cgroup: PathBuf,
}

impl Place {
    pub(crate) fn new(name: &str, netns: &str, cgroup: PathBuf) -> Self {
        Self { name: name.to_owned(), netns: netns.to_owned(), cgroup }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of the cgroup that its processes are in.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// The name of its network namespace, as `ip netns` has it.
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// The network namespace of `other` with the cgroup of this place: sockets there that no hook of the
    /// other's node sees.
    #[must_use]
    pub fn in_netns(&self, other: &Self) -> Self {
        Self { name: other.name.clone(), netns: other.netns.clone(), cgroup: self.cgroup.clone() }
    }

    /// A socket of this process that listens here; it stays here whoever accepts.
    pub fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        let listener = netns::within(&self.netns, || TcpListener::bind(address))?;
        listener.with_context(|| format!("listen on {address} in {}", self.name))
    }

    /// Runs `f` on a thread of its own in this network namespace: a socket that it makes stays there. The cgroup is
    /// that of this process.
    pub fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        netns::within(&self.netns, f)
    }

    /// A command that runs here.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(programs_dir()?.join("peer"));
        command.arg("enter").arg("--netns").arg(&self.netns).arg("--cgroup").arg(&self.cgroup);
        command.arg("--").arg(program);
        Ok(command)
    }

    /// The binary `peer`, run here.
    pub(crate) fn peer(&self) -> Result<Command> {
        self.command(programs_dir()?.join("peer"))
    }

    /// Runs a command here to its end, and gives what it printed.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Result<String> {
        let mut command = self.command(program)?;
        output_of(command.args(arguments))
    }

    /// Changes a setting of the kernel here, named by its path below `/proc/sys`.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let line = format!("echo {value} > /proc/sys/{setting}");
        self.run("sh", &["-c", &line]).map(drop)
    }
}

/// Runs `peer probe` at a place; what became of each dial, in order, each as often as it was asked for.
pub fn probe(place: &impl Inside, probes: &[Probe]) -> Result<Vec<Vec<Probed>>> {
    let mut lines = Vec::new();
    for probe in probes {
        serde_json::to_writer(&mut lines, probe)?;
        lines.push(b'\n');
    }
    let mut command = place.place().peer()?;
    command.arg("probe").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("start peer probe")?;
    let mut stdin = child.stdin.take().context("its standard input")?;
    // Written beside what is read: either pipe is shorter than what goes through it.
    let writer = thread::spawn(move || stdin.write_all(&lines));
    let output = child.wait_with_output().context("read peer probe")?;
    writer.join().ok().context("the writer panicked")?.context("write to peer probe")?;
    let mut probed = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Probed>();
    let of_probe = |probe: &Probe| probed.by_ref().take(probe.count as usize).collect::<Result<Vec<_>, _>>();
    let all: Vec<Vec<Probed>> = probes.iter().map(of_probe).collect::<Result<_, _>>()?;
    ensure!(
        all.iter().zip(probes).all(|(all, probe)| all.len() == probe.count as usize),
        "peer probe broke off"
    );
    Ok(all)
}

/// Something that has a place: processes can run there.
pub trait Inside {
    /// Where.
    fn place(&self) -> &Place;
}

impl Inside for Place {
    fn place(&self) -> &Place {
        self
    }
}

/// The directory with this package's binaries: `$LB_TESTS_BIN_DIR`, or where cargo put them beside the
/// running program.
pub fn programs_dir() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("LB_TESTS_BIN_DIR") {
        return Ok(dir.into());
    }
    let program = env::current_exe().context("find the running program")?;
    program
        .ancestors()
        .skip(1)
        .take(2)
        .find(|dir| dir.join("peer").is_file())
        .map(Path::to_path_buf)
        .context("the binary `peer` is not there: cargo build -p lb-tests --bins")
}

/// What a command printed; its error output where it fails.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(said)
}
