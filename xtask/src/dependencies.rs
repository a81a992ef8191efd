//! What the crates of others may be: their licences, where they come from, and that few of them are there twice.
//!
//! From `cargo metadata`, without a network. `cargo deny` would say the same and more, but building it costs a cold
//! machine as much as a sixth of all its time. Of known vulnerabilities it is asked where it is there with its
//! database, which no package registry has.

mod licence;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{answer, find_program, note, step};
use crate::workspace;

/// The one registry.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Never among our dependencies, and why.
const BANNED: [(&str, &str); 4] = [
    ("openssl-sys", "a C library: the binary is static, and has a TLS of its own"),
    ("native-tls", "the system's TLS: the binary is static, and has one of its own"),
    ("libbpf-sys", "a C library: aya does what it does"),
    ("axum-server", "our listeners have limits of their own"),
];

/// Crates that may be there in several versions: two dependencies of ours want different ones. Each costs time and
/// room, so that another is a decision.
const TWICE: [&str; 5] = ["base64", "bit-vec", "getrandom", "hashbrown", "syn"];

/// A crate that is somebody else's or ours.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// None where it is a folder of ours.
    source: Option<String>,
}

/// Checks the dependencies of both workspaces.
pub(crate) fn check() -> Result<()> {
    let mut wrong = Vec::new();
    for folder in folders() {
        let packages = packages(&folder)?;
        note("dependencies", &format!("{} in {}", packages.len(), folder.join("Cargo.lock").display()));
        wrong.extend(faults(&packages));
    }
    if !wrong.is_empty() {
        bail!(
            "dependencies:\n  {}\n  remedy: do without, or decide and say so in xtask/src/dependencies.rs",
            wrong.join("\n  ")
        );
    }
    advisories()
}

/// Those of the two workspaces.
fn folders() -> [PathBuf; 2] {
    [workspace::root().to_owned(), workspace::ebpf_crate()]
}

/// The crates that are built on Linux.
fn packages(folder: &Path) -> Result<Vec<Package>> {
    let mut cargo = workspace::cargo("metadata");
    cargo.args(["--locked", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"]);
    let metadata: Value =
        serde_json::from_str(&answer(cargo.current_dir(folder))?).context("cargo metadata")?;
    // All packages are listed, also those of other platforms; of what is resolved there is a node.
    let built: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let listed = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    listed
        .iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| built.contains(id)))
        .map(|package| {
            Some(Package {
                name: text(&package["name"])?,
                version: text(&package["version"])?,
                licence: text(&package["license"]),
                source: text(&package["source"]),
            })
        })
        .collect::<Option<_>>()
        .context("cargo metadata has a package without a name")
}

fn faults(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Package { name, version, licence, source } in packages {
        versions.entry(name).or_default().insert(version);
        match licence {
            Some(expression) if licence::is_allowed(expression) => {}
            Some(expression) => faults.push(format!("{name} {version}: its licence is {expression}")),
            None => faults.push(format!("{name} {version}: it names no licence")),
        }
        if let Some(source) = source.as_deref().filter(|source| *source != CRATES_IO) {
            faults.push(format!("{name} {version}: it comes from {source}, not from crates.io"));
        }
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| banned == name) {
            faults.push(format!("{name} {version}: {why}"));
        }
    }
    for (name, versions) in versions {
        if versions.len() > 1 && !TWICE.contains(&name) {
            let versions: Vec<_> = versions.into_iter().collect();
            faults.push(format!("{name}: it is there in versions {}", versions.join(" and ")));
        }
    }
    faults
}

/// Asks for known vulnerabilities where that takes no network.
fn advisories() -> Result<()> {
    let database = cargo_home().map(|home| home.join("advisory-dbs"));
    let entries = database.and_then(|database| fs::read_dir(database).ok()).into_iter().flatten().flatten();
    let is_there = entries.into_iter().any(|entry| entry.path().is_dir());
    let Some(deny) = find_program("cargo-deny").filter(|_| is_there) else {
        note("advisories", "skipped: no cargo-deny with a database of its own here (cargo deny fetch db)");
        return Ok(());
    };
    for folder in folders() {
        let mut command = Command::new(&deny);
        command.args(["--offline", "--locked", "check", "advisories"]).current_dir(folder);
        step("advisories", &mut command, "update the crate that is named above")?;
    }
    Ok(())
}

fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Package {
        let [licence, source] = ["MIT", CRATES_IO].map(|text| Some(text.to_owned()));
        Package { name: name.to_owned(), version: version.to_owned(), licence, source }
    }

    #[test]
    fn what_is_ours_and_what_may_be_there_twice_is_right() {
        let own = Package { source: None, ..package("lb-common", "0.1.0") };
        assert_eq!(faults(&[own, package("syn", "1.0.0"), package("syn", "2.0.0")]), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_told_with_its_crate() {
        let copyleft = Package { licence: Some("GPL-3.0-only".to_owned()), ..package("a", "1.0.0") };
        let nameless = Package { licence: None, ..package("b", "1.0.0") };
        let fork = Package { source: Some("git+https://example.org/c".to_owned()), ..package("c", "1.0.0") };
        let twice = [package("d", "1.0.0"), package("d", "2.0.0")];
        let banned = package("openssl-sys", "0.9.0");
        let told = faults(&[copyleft, nameless, fork, banned].into_iter().chain(twice).collect::<Vec<_>>());
        let expected = [
            "a 1.0.0: its licence is GPL-3.0-only",
            "b 1.0.0: it names no licence",
            "c 1.0.0: it comes from git+https://example.org/c, not from crates.io",
            "openssl-sys 0.9.0: a C library: the binary is static, and has a TLS of its own",
            "d: it is there in versions 1.0.0 and 2.0.0",
        ];
        assert_eq!(told, expected);
    }
}
