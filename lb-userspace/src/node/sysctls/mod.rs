//! Kernel settings that Services need (SYS-01, SYS-02): read, compared, and written only where they differ.
//!
//! What kube-proxy sets and why it matters here:
//!
//! - the sizes and time-outs of conntrack (`net.netfilter.nf_conntrack_*`): Shunt's own flows need none of them,
//!   but what else runs on the node does (masquerade of a CNI, host ports), and a node that kube-proxy has left
//!   must not fall back to a table that is too small, or to a `close_wait` of a minute;
//! - `net.ipv4.ip_forward`, `net.ipv6.conf.all.forwarding`: the packet path hands packets to the stack, which
//!   drops them where it may not forward. Looked at; set only where asked for, for a host that forwards is
//!   another kind of host;
//! - not `route_localnet` (iptables mode): node ports on loopback are served at the socket, where no packet
//!   with such an address is ever sent; not those of IPVS.
//!
//! Differences from kube-proxy: an error is told and is not fatal; `nf_conntrack_max` is never made smaller.
//!
//! What was there before is remembered ([`record`]) until the machine restarts, when all of it is forgotten by
//! the kernel as well.
//!
//! A setting may come later: conntrack's are there when something has loaded it, which on a node without
//! kube-proxy may be hours after the start. So [`Settings`] looks again for what is missing.
//!
//! *Invariant:* what a setting was is on record before it is written.

mod conntrack;
pub mod record;
mod settings;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use conntrack::{Conntrack, cpus};
pub use settings::{Settings, report, report_files, report_path};

/// A value that a setting should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This one.
    Exactly(u64),
    /// This one or more.
    AtLeast(u64),
}

impl Wanted {
    fn is_met_by(self, now: u64) -> bool {
        match self {
            Self::Exactly(value) => now == value,
            Self::AtLeast(value) => now >= value,
        }
    }

    fn value(self) -> u64 {
        match self {
            Self::Exactly(value) | Self::AtLeast(value) => value,
        }
    }
}

/// A setting: a file below / that holds a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// As in `proc/sys/net/ipv4/ip_forward`.
    pub file: &'static str,
    /// What it should be.
    pub wanted: Wanted,
}

/// What became of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was so.
    Right,
    /// It was this, and is as wanted now.
    Set {
        /// What it was.
        before: u64,
    },
    /// It is this, and was to be left alone.
    Different {
        /// What it is.
        now: u64,
    },
    /// The kernel has no such setting, or not yet: its module is not loaded.
    Missing,
    /// It could not be read or written.
    Failed {
        /// Why.
        why: String,
    },
}

/// A setting and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its file below /.
    pub file: String,
    /// What it should be, or more.
    pub wanted: u64,
    /// What became of it.
    pub state: State,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, wanted, state } = self;
        match state {
            State::Right => write!(f, "/{file} is as wanted ({wanted})"),
            State::Set { before } => write!(f, "/{file} is {wanted} now, was {before}"),
            State::Different { now } => write!(f, "/{file} is {now}, and {wanted} is needed"),
            State::Missing => write!(f, "/{file} is not there"),
            State::Failed { why } => write!(f, "/{file} can't be made {wanted}: {why}"),
        }
    }
}

impl Setting {
    /// What it is below `root`; nothing is written.
    fn look(self, root: &Path) -> State {
        match read(&root.join(self.file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::Missing,
            Err(error) => State::Failed { why: error.to_string() },
            Ok(now) if self.wanted.is_met_by(now) => State::Right,
            Ok(now) => State::Different { now },
        }
    }

    /// Writes it below `root`, where it was this before.
    fn write(self, root: &Path, before: u64) -> State {
        match fs::write(root.join(self.file), self.wanted.value().to_string()) {
            Ok(()) => State::Set { before },
            Err(error) => State::Failed { why: format!("{error}; it is {before}") },
        }
    }

    fn with(self, state: State) -> Outcome {
        Outcome { file: self.file.to_owned(), wanted: self.wanted.value(), state }
    }
}

fn read(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{:?} is no number", text.trim())))
}

/// What a node must do for packets of others to reach pods: IPv4, and IPv6 where the kernel has it.
pub const FORWARDING: [Setting; 2] = [
    Setting { file: "proc/sys/net/ipv4/ip_forward", wanted: Wanted::AtLeast(1) },
    Setting { file: "proc/sys/net/ipv6/conf/all/forwarding", wanted: Wanted::AtLeast(1) },
];
