//! The tier `vm`: tests in an emulated machine with Debian's own kernel.
//!
//! Two ends: that kernel is older than most that develop this (6.1 in Debian 12), and it has modules that the kernel at
//! hand may not have (VLANs, bonds, SCTP, IPVS). The machine is all in memory: a kernel, and an archive with the
//! programs that the tests call. Those, the kernel and QEMU, which emulates the processor so that nothing is asked of
//! this one, are of Debian packages that are unpacked and not installed.

mod debian;
mod root;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use self::debian::Debian;
use crate::build::{self, Built};
use crate::command::{answer, note, render};
use crate::workspace;

/// Megabytes of memory.
const MEMORY: &str = "2048";
/// Seconds after which it is taken for stuck. It needs some four minutes where nothing else is done.
const PATIENCE: &str = "1500";
const REMEDY: &str = "read the failures above; a single one: cargo xtask test vm NAME";

/// A test binary, and what of it is run there.
struct Suite {
    /// The tier whose binary it is.
    name: &'static str,
    /// Names of tests contain one of these; all where there is none.
    only: &'static [&'static str],
    /// What is left out.
    without: &'static [&'static str],
}

/// What is run where nobody chooses: every program loads, packets become what they have to, real sockets by every hook,
/// and what only that kernel has. On an emulated processor all else takes longer than it shows.
const SUITES: [Suite; 4] = [
    Suite { name: "verifier", only: &[], without: &[] },
    Suite {
        name: "packets",
        only: &["forward::", "fragments::", "forms::", "refuse::", "hops::"],
        without: &[],
    },
    Suite {
        name: "nodes",
        only: &["cluster_ip::", "outside::forward::"],
        // Before Linux 6.7 the kernel doesn't tell the source of a route.
        without: &["masqueraded_always"],
    },
    Suite { name: "vm", only: &[], without: &[] },
];

/// Runs all of it, or the tests whose name contains `filter` of the tier's own.
pub(crate) fn run(built: &Built, filter: Option<&str>) -> Result<()> {
    let folder = workspace::target().join("vm");
    let debian = Debian::get(&folder)?;
    note("kernel of the emulated machine", &debian.release()?);
    let suites: Vec<&Suite> = SUITES.iter().filter(|suite| filter.is_none() || suite.name == "vm").collect();
    let mut lines = String::new();
    let mut programs = vec![built.shunt.clone(), built.folder().join("peer")];
    let staging = folder.join("programs");
    std::fs::create_dir_all(&staging).with_context(|| format!("{}: can't be made", staging.display()))?;
    for suite in &suites {
        let copy = staging.join(suite.name);
        std::fs::copy(executable(suite.name)?, &copy).with_context(|| copy.display().to_string())?;
        programs.push(copy);
        lines.push_str(&suite.line(filter));
    }
    let archive = root::archive(&folder, &debian, &programs, &lines)?;
    boot(&debian, &archive, suites.len())
}

impl Suite {
    /// A line for the machine: the binary and its arguments.
    fn line(&self, filter: Option<&str>) -> String {
        let mut words = vec![self.name];
        words.extend(filter);
        if filter.is_none() {
            words.extend(self.only);
            words.extend(self.without.iter().flat_map(|name| ["--skip", name]));
        }
        words.extend(["--test-threads", "2"]);
        words.join(" ") + "\n"
    }
}

/// Builds the test binary of a tier, and says where it is.
fn executable(tier: &str) -> Result<PathBuf> {
    let mut cargo = build::static_cargo("test")?;
    cargo.args(["--no-run", "--message-format", "json", "--test", tier]).stderr(Stdio::inherit());
    let said = answer(&mut cargo)?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found = messages.filter(|message| message["target"]["name"] == tier);
    let path = found.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    path.with_context(|| format!("cargo made no test binary of the tier {tier}"))
}

/// Starts the machine, shows what it says, and judges by it.
fn boot(debian: &Debian, archive: &Path, suites: usize) -> Result<()> {
    let kernel = debian.path(&format!("boot/vmlinuz-{}", debian.release()?));
    let qemu = debian.command("qemu-system-x86_64")?;
    let mut machine = Command::new("timeout");
    machine.arg(PATIENCE).arg(qemu.get_program()).args(qemu.get_args());
    for firmware in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
        machine.arg("-L").arg(debian.path(firmware));
    }
    machine.env("QEMU_MODULE_DIR", debian.path("usr/lib/x86_64-linux-gnu/qemu"));
    machine.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY]);
    machine.args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    machine.arg("-kernel").arg(kernel).arg("-initrd").arg(archive);
    machine.args(["-append", "console=ttyS0 panic=-1 quiet mitigations=off"]);
    machine.stdin(Stdio::null()).stdout(Stdio::piped());
    let line = render(&machine);
    eprintln!("==> tests: vm\n    {line}");
    let mut child = machine.spawn().with_context(|| format!("{line}: did not start"))?;
    let said = child.stdout.take().context("its standard output")?;
    let mut ends = Vec::new();
    for line in BufReader::new(said).split(b'\n') {
        let line = line.context("read the machine's console")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        match line.strip_prefix("VM-EXIT ").and_then(|end| end.split_once(' ')) {
            Some((name, code)) => ends.push((name.to_owned(), code == "0")),
            // What the firmware orders a terminal to do is not shown.
            None => println!("{}", line.replace('\u{1b}', "")),
        }
    }
    let status = child.wait()?;
    if ends.len() != suites {
        bail!(
            "{line}: {status}; the machine ended after {} of {suites} suites\n  remedy: {REMEDY}",
            ends.len()
        );
    }
    let failed: Vec<_> = ends.iter().filter(|(_, passed)| !passed).map(|(name, _)| name.as_str()).collect();
    if !failed.is_empty() {
        bail!("in the emulated machine failed: {}\n  remedy: {REMEDY}", failed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_told_what_to_run_and_what_to_leave_out() {
        let suite = Suite { name: "packets", only: &["echo"], without: &["flood"] };
        assert_eq!(suite.line(None), "packets echo --skip flood --test-threads 2\n");
        assert_eq!(suite.line(Some("vlan")), "packets vlan --test-threads 2\n");
    }
}
