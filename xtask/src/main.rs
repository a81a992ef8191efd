//! `cargo xtask`: set-up, build, checks, tests and the demo, on a machine that has only rustup's stable
//! toolchain.
//!
//! Every step says what it runs and how long it took; what is already there is skipped with one line.
//! A command that fails is printed whole, with its status and the remedy.

mod build;
mod check;
mod ci;
mod command;
mod dependencies;
mod elf;
mod image;
mod linker;
mod packages;
mod run;
mod setup;
mod soak;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Set-up, build, checks, tests and the demo.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building and testing need: Debian packages and bpf-linker
    Setup,
    /// Build the eBPF object and, around it, the static binary `shunt`
    Build,
    /// Build, and pack the binary alone into an OCI image
    Image,
    /// Formatting, clippy for both targets and the documentation, with warnings denied
    Check,
    /// Run the tests of one tier, or of every tier that this machine can run
    Test(test::Options),
    /// Run the demo; or, with arguments after `--`, `shunt run` on this machine
    Run(run::Options),
    /// Churn, load, kills and faults for some minutes, and what was lost by them
    Soak(soak::Options),
    /// `test` with nothing skipped, then `check`
    Ci,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        None => Cli::command().print_long_help().map_err(Into::into),
        Some(Task::Setup) => setup::run(),
        Some(Task::Build) => build::run(setup::Purpose::Build).map(drop),
        Some(Task::Image) => image::run(),
        Some(Task::Check) => check::run(),
        Some(Task::Test(options)) => test::run(&options),
        Some(Task::Run(options)) => run::run(&options),
        Some(Task::Soak(options)) => soak::run(&options),
        Some(Task::Ci) => ci::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
