//! What a kube-proxy left on the node: found, and taken away, so that Shunt alone serves (RST-03).
//!
//! Three ways of working leave three kinds of things: the tables `kube-proxy` of nftables; chains `KUBE-*` in
//! the tables of iptables, by either of its two back ends, for both families; virtual servers of IPVS with the
//! device `kube-ipvs0`. They are looked at and removed by the tools that the node has for them ([`tools`]),
//! for the formats of the kernel's older interfaces are known to nobody else. Where a tool is missing the kernel
//! says whether it would have shown anything: «nothing is here» is never said for want of a tool.
//!
//! Invariants: only what kube-proxy alone makes is removed, by its names; the kubelet's chains
//! (`KUBE-FIREWALL`, `KUBE-KUBELET-CANARY`, `KUBE-IPTABLES-HINT`) are not its. A chain that somebody else's
//! rule leads to stays, whole, and is named. conntrack is left alone: connections that kube-proxy translated
//! go on by it. All of a table is changed at once, or nothing of it.

mod iptables;
mod ipvs;
mod nf_tables;
mod tools;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::Serialize;

pub use iptables::{Backend, Leftovers};
pub use tools::{ToolError, enter_host};

/// Where something of kube-proxy's was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// A table `kube-proxy` of nftables, of this family.
    Nftables {
        /// `ip` or `ip6`
        family: String,
    },
    /// Chains of iptables.
    Iptables {
        /// The program that shows them.
        by: String,
        /// How many chains.
        chains: usize,
        /// Chains that stay, for others' rules lead to them.
        kept: Vec<String>,
    },
    /// The device that has the addresses of Services in IPVS mode.
    IpvsDevice,
    /// A process that would make all of it anew.
    Process {
        /// Its id.
        pid: u32,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nftables { family } => write!(f, "nftables table {family} kube-proxy"),
            Self::Iptables { by, chains, kept } if kept.is_empty() => write!(f, "{chains} chains of {by}"),
            Self::Iptables { by, chains, kept } => {
                write!(f, "{chains} chains of {by}; {} stay, for others' rules lead there", kept.join(", "))
            }
            Self::IpvsDevice => write!(f, "IPVS with the device {}", ipvs::DEVICE),
            Self::Process { pid } => write!(f, "process {pid}: a kube-proxy that runs"),
        }
    }
}

/// What a node has of kube-proxy's, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Findings {
    /// In the order in which it is removed.
    pub found: Vec<Found>,
    /// Where looking failed.
    pub failures: Vec<ToolError>,
    chains: Vec<Leftovers>,
}

impl Findings {
    /// Whether a kube-proxy runs that would make its rules anew.
    pub fn is_running(&self) -> bool {
        self.found.iter().any(|found| matches!(found, Found::Process { .. }))
    }

    fn take<T>(&mut self, looked: Result<T, ToolError>) -> Option<T> {
        looked.map_err(|error| self.failures.push(error)).ok()
    }
}

/// Looks at this network namespace.
pub fn find() -> Findings {
    let mut findings = Findings::default();
    let processes = kube_proxies();
    findings.found.extend(processes.into_iter().map(|pid| Found::Process { pid }));
    for family in findings.take(nftables()).unwrap_or_default() {
        findings.found.push(Found::Nftables { family });
    }
    let chains =
        nf_tables::chains().map_err(|source| ToolError::Kernel { what: "nf_tables' chains", source });
    let chains = findings.take(chains).unwrap_or_default();
    for backend in Backend::all() {
        let Some(leftovers) = findings.take(iptables::find(backend, &chains)).flatten() else { continue };
        if !leftovers.is_empty() {
            let (by, chains) = (backend.save().to_owned(), leftovers.chains());
            findings.found.push(Found::Iptables { by, chains, kept: leftovers.kept() });
        }
        findings.chains.push(leftovers);
    }
    if ipvs::is_there() {
        findings.found.push(Found::IpvsDevice);
    }
    findings
}

/// Removes what was found, but for processes. Goes on where something fails. Chains go before the sets of IPVS, which
/// their rules refer to.
///
/// # Errors
///
/// What could not be removed, with what the tool said.
pub fn remove(findings: &Findings) -> Vec<ToolError> {
    let chains = findings.chains.iter();
    let mut failures: Vec<_> = chains.filter_map(|leftovers| iptables::remove(leftovers).err()).collect();
    for found in &findings.found {
        let removed = match found {
            Found::Nftables { family } => remove_table(family),
            Found::IpvsDevice => ipvs::remove(),
            Found::Iptables { .. } | Found::Process { .. } => Ok(()),
        };
        failures.extend(removed.err());
    }
    failures
}

const NFT: &str = "nft";
const TABLE: &str = "kube-proxy";

/// Families that have a table of kube-proxy's.
fn nftables() -> Result<Vec<String>, ToolError> {
    let tables =
        nf_tables::tables().map_err(|source| ToolError::Kernel { what: "nf_tables' tables", source })?;
    Ok(tables.into_iter().filter(|table| table.name == TABLE).map(|table| table.family.to_owned()).collect())
}

fn remove_table(family: &str) -> Result<(), ToolError> {
    let why = format!("the nftables table {family} {TABLE} stays");
    tools::need(NFT, &["delete", "table", family, TABLE], &why).map(drop)
}

/// Processes of that name in this network namespace.
fn kube_proxies() -> Vec<u32> {
    let namespace = |of: &str| fs::metadata(format!("/proc/{of}/ns/net")).map(|found| found.ino());
    let Ok(own) = namespace("self") else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| -> io::Result<bool> {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"))?;
        Ok(name.trim() == TABLE && namespace(&pid.to_string())? == own)
    };
    pids.filter(|pid| is_one(pid).unwrap_or(false)).collect()
}
