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

mod conntrack;
pub mod record;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use conntrack::{Conntrack, cpus};

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

/// Looks at a setting below `root`, and writes it where that is asked for and it is different.
pub fn settle(root: &Path, setting: Setting, write: bool) -> Outcome {
    let path = root.join(setting.file);
    let state = match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => State::Missing,
        Err(error) => State::Failed { why: error.to_string() },
        Ok(now) if setting.wanted.is_met_by(now) => State::Right,
        Ok(now) if !write => State::Different { now },
        Ok(before) => match fs::write(&path, setting.wanted.value().to_string()) {
            Ok(()) => State::Set { before },
            Err(error) => State::Failed { why: format!("{error}; it is {before}") },
        },
    };
    Outcome { file: setting.file.to_owned(), wanted: setting.wanted.value(), state }
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

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARD: Setting = FORWARDING[0];

    fn root(value: Option<&str>) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join(FORWARD.file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        if let Some(value) = value {
            fs::write(path, value).expect("a setting");
        }
        root
    }

    #[test]
    fn a_setting_is_written_only_where_it_differs() {
        let root = root(Some("0\n"));
        let path = root.path().join(FORWARD.file);
        assert_eq!(settle(root.path(), FORWARD, false).state, State::Different { now: 0 });
        assert_eq!(fs::read_to_string(&path).expect("it"), "0\n");
        assert_eq!(settle(root.path(), FORWARD, true).state, State::Set { before: 0 });
        // A directory can't be written, and needn't be: /proc may be read-only.
        assert_eq!(settle(root.path(), FORWARD, true).state, State::Right);
        assert_eq!(fs::read_to_string(&path).expect("it"), "1");
    }

    #[test]
    fn a_larger_value_satisfies_a_least_one_but_no_exact_one() {
        let root = root(Some("3"));
        assert_eq!(settle(root.path(), FORWARD, true).state, State::Right);
        let exact = Setting { wanted: Wanted::Exactly(1), ..FORWARD };
        assert_eq!(settle(root.path(), exact, true).state, State::Set { before: 3 });
    }

    #[test]
    fn a_setting_that_is_not_there_is_no_failure() {
        assert_eq!(settle(root(None).path(), FORWARD, true).state, State::Missing);
        let outcome = settle(root(Some("much")).path(), FORWARD, true);
        assert!(outcome.to_string().ends_with("\"much\" is no number"), "{outcome}");
    }
}
