//! The demo on a node of its own, or `shunt run` on this machine.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::build;
use crate::command::become_command;
use crate::setup::Purpose;
use crate::workspace::{is_root, root};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// End the demo after its tour, with an exit status, instead of staying up
    #[arg(long, conflicts_with = "arguments")]
    once: bool,
    /// Run `shunt run` with these arguments on this machine instead of the demo
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// Builds, then becomes what is run.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.arguments.is_empty() {
        let built = build::run(Purpose::Build)?;
        let mut shunt = Command::new(built.shunt);
        return Err(become_command("shunt", shunt.arg("run").args(&options.arguments)));
    }
    if !is_root() {
        bail!("the demo makes network namespaces and loads programs into the kernel: it needs root");
    }
    let built = build::run(Purpose::Run)?;
    let demo = built.folder().join("demo");
    if !demo.exists() {
        bail!("{}: there is no demo", demo.display());
    }
    let mut command = Command::new(demo);
    command.env("SHUNT_BIN", &built.shunt).env("LB_TESTS_BIN_DIR", built.folder());
    // The demo serves `examples`, wherever in the repository this was started.
    command.current_dir(root());
    Err(become_command("demo", command.args(options.once.then_some("--once"))))
}
