//! The `shunt` command: nouns read, verbs change.

mod cleanup;
mod logging;
mod run;
mod services;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Service load balancing for Kubernetes in the kernel.
///
/// A connection to a Service's address is sent to one of its pods by eBPF programs, before there is a packet:
/// ClusterIP:port, node:nodePort, external and load-balancer addresses all become podIP:targetPort.
///
/// Try it without a cluster: `shunt check DIR` says what a directory of manifests means, `shunt run
/// --manifests DIR` serves it on this machine, `shunt services` shows what is served, `shunt cleanup` takes
/// everything out again.
#[derive(Debug, Parser)]
#[command(name = "shunt", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Services(services::Args),
    Cleanup(cleanup::Args),
    /// Print a completion script for a shell.
    ///
    /// For bash: `shunt completions bash > /etc/bash_completion.d/shunt`
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where an instance keeps its pins: the same for the one that serves and for those who look at it.
#[derive(Debug, clap::Args)]
struct PinDir {
    /// Directory of a bpffs where maps and links are pinned; a bpffs is mounted there if there is none.
    ///
    /// Instances with pin directories of their own can serve side by side on one machine.
    #[arg(long, env = "SHUNT_PIN_DIR", value_name = "DIR", default_value = "/sys/fs/bpf/shunt")]
    pin_dir: PathBuf,
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// What the person who typed it must act on.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(args) => run::run(*args),
            Command::Services(args) => services::run(&args, &mut io::stdout().lock()),
            Command::Cleanup(args) => cleanup::run(&args),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "shunt", &mut io::stdout());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
