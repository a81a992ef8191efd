//! The Rust toolchain that builds the eBPF object: one with the sources of `core`, for no toolchain ships
//! `core` compiled for the kernel.
//!
//! In this order: `$SHUNT_EBPF_TOOLCHAIN`; a nightly of rustup's with rust-src; a stable one of rustup's
//! with rust-src; Debian's packages, which `setup` installs where that is possible. Nothing is downloaded from anywhere
//! but the package registries. A compiler that isn't a nightly is told with `RUSTC_BOOTSTRAP=1` to build
//! `core`, as `-Zbuild-std` needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{answer, find_program, note};
use crate::linker;
use crate::workspace;

/// Names a toolchain outright: a folder with `bin/rustc` and `bin/cargo`.
const OVERRIDE: &str = "SHUNT_EBPF_TOOLCHAIN";

/// Where a toolchain keeps the sources of `core`, below its root.
const SOURCES: &str = "lib/rustlib/src/rust/library/Cargo.lock";

/// The other way to a compiler with the sources of `core`, where Debian's packages can't be had.
pub(crate) const BY_RUSTUP: &str = "rustup toolchain install nightly --component rust-src,clippy";

/// The oldest compiler that builds the workspace.
const MINIMUM: &str = env!("CARGO_PKG_RUST_VERSION");

/// A compiler and its cargo, called by their paths: rustup's proxies stay out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    root: PathBuf,
    /// The compiler's version, such as `1.96.0` or `1.98.0-nightly`.
    pub(crate) release: String,
    /// What tells two builds of one version apart.
    pub(crate) commit: String,
    /// Major and minor version of its LLVM.
    pub(crate) llvm: (u32, u32),
}

impl Toolchain {
    /// The toolchain whose `bin` folder is below `root`.
    fn at(root: &Path) -> Result<Self> {
        let version = answer(Command::new(root.join("bin/rustc")).arg("-vV").env_remove("LD_LIBRARY_PATH"))?;
        Self::from_version(root, &version).with_context(|| {
            format!("{}: `rustc -vV` lacks a field: {version}", root.join("bin/rustc").display())
        })
    }

    /// From what `rustc -vV` says of itself.
    fn from_version(root: &Path, version: &str) -> Option<Self> {
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let mut llvm = field("LLVM version")?.split('.').map(str::parse);
        Some(Self {
            root: root.to_path_buf(),
            release: field("release")?.to_owned(),
            commit: field("commit-hash")?.to_owned(),
            llvm: (llvm.next()?.ok()?, llvm.next()?.ok()?),
        })
    }

    pub(crate) fn rustc(&self) -> PathBuf {
        self.root.join("bin/rustc")
    }

    /// Says which one it is.
    pub(crate) fn announce(&self) {
        let what = format!("{} ({}, with the sources of core)", self.rustc().display(), self.release);
        note("compiler of the eBPF object", &what);
    }

    fn is_nightly(&self) -> bool {
        self.release.ends_with("-nightly") || self.release.ends_with("-dev")
    }

    /// Whether it can't build the workspace.
    pub(crate) fn is_too_old(&self) -> bool {
        let numbers = |version: &str| {
            let plain = version.split('-').next().unwrap_or(version);
            plain.split('.').map(|number| number.parse().unwrap_or(0)).collect::<Vec<u32>>()
        };
        numbers(&self.release) < numbers(MINIMUM)
    }

    pub(crate) fn if_new_enough(self) -> Result<Self> {
        if self.is_too_old() {
            let (rustc, release) = (self.rustc(), &self.release);
            bail!(
                "{}: {release} is older than {MINIMUM}, which the workspace needs\n  remedy: on Debian, keep \
                 its security and updates archives among the sources of apt; anywhere: {BY_RUSTUP}",
                rustc.display()
            );
        }
        Ok(self)
    }

    /// Its cargo, in the folder of the eBPF crate, free of everything that the outer cargo, rustup or a
    /// person's settings would make of the build.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        // Cargo would look for its subcommand clippy on the path, and find rustup's there.
        let program = if subcommand == "clippy" { "bin/cargo-clippy" } else { "bin/cargo" };
        let mut cargo = Command::new(self.root.join(program));
        cargo.arg(subcommand).current_dir(workspace::ebpf_crate());
        for name in
            ["CARGO_ENCODED_RUSTFLAGS", "LD_LIBRARY_PATH", "RUSTC_WRAPPER", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"]
        {
            cargo.env_remove(name);
        }
        let bin = |name: &str| self.root.join("bin").join(name);
        cargo.env("CARGO", bin("cargo")).env("RUSTC", bin("rustc")).env("RUSTDOC", bin("rustdoc"));
        if !self.is_nightly() {
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        cargo
    }
}

/// The toolchain that is named outright, or the best of rustup's that has the sources.
pub(crate) fn find() -> Result<Option<Toolchain>> {
    let Some(root) = std::env::var_os(OVERRIDE) else { return rustup() };
    let root = Path::new(&root);
    let toolchain = Toolchain::at(root).context(format!("{OVERRIDE} names no toolchain"))?;
    if !root.join(SOURCES).exists() {
        bail!(
            "{OVERRIDE} names a toolchain without the sources of core: no {}",
            root.join(SOURCES).display()
        );
    }
    toolchain.if_new_enough().map(Some)
}

/// Debian's, whose packages are there; of whatever age.
pub(crate) fn debian() -> Result<Toolchain> {
    Toolchain::at(Path::new("/usr"))
}

/// The best of rustup's toolchains that have the sources and whose LLVM there is a linker for: a nightly
/// first, then the newest.
fn rustup() -> Result<Option<Toolchain>> {
    if find_program("rustup").is_none() {
        return Ok(None);
    }
    let list = answer(Command::new("rustup").args(["toolchain", "list", "--verbose"]))?;
    let mut found = Vec::new();
    for root in with_sources(&list) {
        found.push(Toolchain::at(&root)?);
    }
    found.retain(|toolchain| !toolchain.is_too_old() && toolchain.llvm.0 <= linker::NEWEST_LLVM);
    Ok(found.into_iter().max_by_key(|toolchain| (toolchain.is_nightly(), toolchain.llvm)))
}

/// The roots of the toolchains that `rustup toolchain list --verbose` names and that have sources.
fn with_sources(list: &str) -> Vec<PathBuf> {
    let roots = list.lines().filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])));
    roots.filter(|root| root.join(SOURCES).exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
        binary: rustc\ncommit-hash: ac68faa20c58\ncommit-date: 2026-05-25\n\
        host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";

    fn toolchain(release: &str) -> Toolchain {
        let version = DEBIAN.replace("release: 1.96.0", &format!("release: {release}"));
        Toolchain::from_version(Path::new("/usr"), &version).unwrap()
    }

    #[test]
    fn a_compiler_is_known_by_what_it_says_of_itself() {
        let found = toolchain("1.96.0");
        assert_eq!(found.commit, "ac68faa20c58");
        assert_eq!(found.llvm, (22, 1));
        assert!(!found.is_nightly());
    }

    #[test]
    fn a_compiler_that_does_not_say_its_llvm_is_refused() {
        assert_eq!(Toolchain::from_version(Path::new("/usr"), "release: 1.96.0\ncommit-hash: a\n"), None);
    }

    #[test]
    fn a_compiler_older_than_the_workspace_allows_is_too_old() {
        assert!(toolchain("1.85.0").is_too_old());
        assert!(!toolchain(&format!("{MINIMUM}.0")).is_too_old());
        assert!(!toolchain("2.0.0-nightly").is_too_old());
    }

    #[test]
    fn only_a_compiler_that_is_no_nightly_is_told_to_build_core() {
        let bootstrap = |release: &str| {
            let cargo = toolchain(release).cargo("build");
            cargo.get_envs().any(|(name, value)| name == "RUSTC_BOOTSTRAP" && value.is_some())
        };
        assert!(bootstrap("1.96.0"));
        assert!(!bootstrap("1.98.0-nightly"));
    }

    #[test]
    fn toolchains_without_sources_are_passed_over() {
        assert_eq!(with_sources("stable-x86_64 (active, default) /nowhere/stable\n"), Vec::<PathBuf>::new());
    }
}
