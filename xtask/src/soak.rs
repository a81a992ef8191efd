//! Churn, load, kills and faults for as long as one likes.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::build;
use crate::command::become_command;
use crate::setup::Purpose;
use crate::workspace::is_root;

/// How long, and how it is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How many minutes
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What chance begins with [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Neither kills nor faults: what is lost is not lost by them
    #[arg(long)]
    calm: bool,
    /// For a cluster and its API server instead of a directory of manifests
    #[arg(long)]
    cluster: bool,
    /// text or json
    #[arg(long, default_value = "text")]
    output: String,
}

/// Builds, then becomes the soak.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !is_root() {
        bail!("the soak makes network namespaces and loads programs into the kernel: it needs root");
    }
    let built = build::run(Purpose::Run)?;
    let mut command = Command::new(built.folder().join("soak"));
    command.env("SHUNT_BIN", &built.shunt).env("LB_TESTS_BIN_DIR", built.folder());
    command.args(["--minutes", &options.minutes.to_string(), "--output", &options.output]);
    command.args(options.seed.map(|seed| format!("--seed={seed}")));
    command.args(options.calm.then_some("--calm"));
    command.args(options.cluster.then_some("--cluster"));
    Err(become_command("soak", &mut command))
}
