//! `shunt takeover`

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use anyhow::bail;

use super::PinDir;
use crate::datapath::{KernelStore, Pins};
use crate::reconcile::Store;
use crate::takeover::{self, Findings};

/// What a line begins with that says what could not be looked at.
const UNSEEN: &str = "cannot look: ";

/// Take away what a kube-proxy left on this node: its nftables tables, iptables chains and IPVS servers.
///
/// Run it beside a `shunt run` that serves; it refuses otherwise. Only what kube-proxy alone makes is removed.
/// Connections that it translated go on: conntrack is left alone (those of IPVS end). It uses the node's own
/// tools, also out of a pod that has the node's process ids; where one is missing that is needed, it says which,
/// and the exit status is 1. There is nothing wrong in running it twice.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only say what there is.
    #[arg(long)]
    dry_run: bool,

    /// Remove it also where no instance serves, or a kube-proxy still runs, which will make it anew.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    pins: PinDir,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    // The pins are on this side of the step to the node's files.
    let served =
        if args.dry_run || args.force { Ok(()) } else { serves(&Pins::in_directory(&args.pins.pin_dir)) };
    if let Err(error) = takeover::enter_host() {
        eprintln!("shunt: cannot step over to the node's files, and uses the tools that are here: {error}");
    }
    let findings = takeover::find();
    tell(&findings, out)?;
    if args.dry_run {
        return Ok(if findings.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    served?;
    if findings.is_running() && !args.force {
        bail!(
            "a kube-proxy still runs, and would make its rules anew: end it first \
             (kubectl -n kube-system delete daemonset kube-proxy), or use --force"
        );
    }
    let failures = takeover::remove(&findings);
    for failure in &failures {
        writeln!(out, "not removed: {:#}", chain(failure))?;
    }
    let left = failures.is_empty() && findings.failures.is_empty();
    if left && !findings.found.is_empty() {
        writeln!(out, "removed; connections that were under way go on")?;
    }
    Ok(if left { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether an instance runs with these pins and has something in force: its first picture, which it puts there
/// as a whole, or the one of the run before, by which it goes on.
fn serves(pins: &Pins) -> anyhow::Result<()> {
    if !pins.are_held() {
        bail!(
            "no `shunt run` serves with the pins in {}: without kube-proxy's rules Services would be gone. \
             Start it first, or use --force",
            pins.directory().display()
        );
    }
    if KernelStore::open(pins)?.observe()?.frontends.is_empty() {
        bail!(
            "the instance that runs serves no Service yet: wait for its «datapath complete», or use --force"
        );
    }
    Ok(())
}

fn tell(findings: &Findings, out: &mut impl Write) -> anyhow::Result<()> {
    for found in &findings.found {
        writeln!(out, "found {found}")?;
    }
    for failure in &findings.failures {
        writeln!(out, "{UNSEEN}{}", chain(failure))?;
    }
    if findings.found.is_empty() && findings.failures.is_empty() {
        writeln!(out, "nothing of a kube-proxy's is here")?;
    }
    Ok(())
}

fn chain(error: &takeover::ToolError) -> String {
    crate::reconcile::chain(error)
}

/// Says in the log what of a kube-proxy's is on this node, by a process of its own: it may step over to the
/// node's files, which one with many threads can't.
pub(super) fn notice() {
    let looked = || {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["takeover", "--dry-run"]).stdin(Stdio::null()).output()
    };
    let said = match looked() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return tracing::debug!("cannot look for what a kube-proxy left: {error}"),
    };
    for found in said.lines().filter_map(|line| line.strip_prefix("found ")) {
        tracing::warn!("kube-proxy is, or was, on this node: {found}. Take it away by `shunt takeover`");
    }
    for why in said.lines().filter_map(|line| line.strip_prefix(UNSEEN)) {
        tracing::warn!("cannot look for all that a kube-proxy may have left on this node: {why}");
    }
}
