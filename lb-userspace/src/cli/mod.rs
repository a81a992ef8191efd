//! The `shunt` command: nouns read, verbs change.

mod check;
mod cleanup;
mod collect;
mod config;
mod flows;
mod logging;
mod node;
mod packets;
mod panic;
mod pods;
mod resting;
mod retry;
mod run;
mod serve;
mod services;
mod source;
mod span;
mod status;
mod stop;
mod takeover;

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use ipnet::IpNet;

use config::Started;

use crate::explain;
use crate::source::manifest::{Config, ConfigError, PortRange};
use crate::text;

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

    #[arg(skip)]
    started: Started,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Check(check::Args),
    Services(services::Args),
    Status(status::Args),
    Flows(flows::Args),
    Explain(Box<explain::cli::Args>),
    Takeover(takeover::Args),
    Cleanup(cleanup::Args),
    /// Print a completion script for a shell.
    ///
    /// For bash: `shunt completions bash > /etc/bash_completion.d/shunt`
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where an instance keeps its pins, and what it allocated, if nobody says otherwise.
const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/shunt";
const DEFAULT_STATE_FILE: &str = "/var/lib/shunt/state.json";

/// Where an instance keeps its pins: the same for the one that serves and for those who look at it.
#[derive(Debug, clap::Args)]
pub(crate) struct PinDir {
    /// Directory of a bpffs where maps and links are pinned; a bpffs is mounted there if there is none.
    ///
    /// Instances with pin directories of their own can serve side by side on one machine.
    #[arg(long, env = "SHUNT_PIN_DIR", value_name = "DIR", default_value = DEFAULT_PIN_DIR)]
    pub(crate) pin_dir: PathBuf,
}

/// An error as a terminal may be shown it: names of objects and of files are in it.
pub fn plain(error: &anyhow::Error) -> String {
    text::lines(&format!("{error:#}"))
}

/// What numbers a directory of manifests may be given: what an API server is told by flags of these names.
#[derive(Debug, clap::Args)]
struct Allocation {
    /// Where ClusterIPs are allocated from: one CIDR of each family at most, comma-separated. The first one's
    /// family is that of Services which don't say. [default: the ServiceCIDRs of the cluster; with a
    /// directory of manifests 10.96.0.0/12,fd00:10:96::/112]
    #[arg(long, env = "SHUNT_SERVICE_CIDR", value_name = "CIDR", value_delimiter = ',')]
    service_cidr: Vec<IpNet>,

    /// Where node ports are allocated from.
    #[arg(long, env = "SHUNT_NODE_PORT_RANGE", value_name = "FIRST-LAST", default_value = "30000-32767")]
    node_port_range: PortRange,
}

impl Allocation {
    fn config(&self, node_name: Option<String>) -> Result<Config, ConfigError> {
        Config::new(&self.service_cidrs(), self.node_port_range, node_name)
    }

    /// Whether the flag was given.
    fn names_service_cidrs(&self) -> bool {
        !self.service_cidr.is_empty()
    }

    fn service_cidrs(&self) -> Vec<IpNet> {
        if self.names_service_cidrs() {
            return self.service_cidr.clone();
        }
        Config::default().service_cidrs().to_vec()
    }
}

impl Cli {
    /// What the command line says, with what a file that it names says for defaults. A command line that makes
    /// no sense ends the process with a word about it.
    ///
    /// # Errors
    ///
    /// Where the file makes no sense.
    pub fn from_command_line() -> anyhow::Result<Self> {
        let matched = config::matches(&config::complete(Self::command()), env::args_os().collect());
        let (matches, started) = match matched.map_err(anyhow::Error::downcast::<clap::Error>) {
            Err(Ok(usage)) => usage.exit(),
            Err(Err(error)) => return Err(error),
            Ok(matched) => matched,
        };
        let line = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        Ok(Self { started, ..line })
    }

    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// What the person who typed it must act on.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(args) => run::run(*args, self.started),
            Command::Check(args) => check::run(&args, &mut io::stdout().lock()),
            Command::Services(args) => services::run(&args, &mut io::stdout().lock()),
            Command::Flows(args) => flows::run(&args, &mut io::stdout().lock()),
            Command::Status(args) => status::run(&args, &mut io::stdout().lock()),
            Command::Explain(args) => explain::cli::run(&args),
            Command::Takeover(args) => takeover::run(&args, &mut io::stdout().lock()),
            Command::Cleanup(args) => cleanup::run(&args, &mut io::stdout().lock()),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "shunt", &mut io::stdout());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
