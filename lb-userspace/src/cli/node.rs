//! Flags of what else is done to the node: its sockets.

use std::path::Path;

use anyhow::Context;

use crate::datapath::{DialledSockets, Pins};
use crate::terminate::{Rules, Terminator};

/// What is done to the node besides programs and maps.
#[derive(Debug, clap::Args)]
pub(super) struct NodeOptions {
    /// End TCP connections of a backend that is gone too; those of UDP always are, so that their clients learn
    /// of it at once. Without this they live until one of their ends gives up.
    #[arg(long, env = "SHUNT_TERMINATE_TCP")]
    terminate_tcp: bool,
}

impl NodeOptions {
    /// Begins to end sockets whose backend is gone.
    pub(super) fn terminator(&self, cgroup: &Path, pins: &Pins) -> anyhow::Result<Terminator> {
        let rules = Rules { cgroup: cgroup.to_owned(), tcp: self.terminate_tcp };
        Terminator::begin(rules, DialledSockets::open(pins)?).context("cannot start a thread")
    }
}
