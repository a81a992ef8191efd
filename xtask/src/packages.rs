//! The Debian packages that steps need: found by what they bring, installed only when that is missing.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{find_program, note, step};
use crate::workspace;

/// Compiling and linking anything at all.
pub(crate) const COMPILER: &[Need] =
    &[Need::program("cc", "gcc"), Need::file("/usr/include/stdlib.h", "libc6-dev")];

/// A Rust compiler with the sources of `core`, where rustup has none.
pub(crate) const RUST_WITH_SOURCES: &[Need] = &[
    Need::file("/usr/bin/rustc", "rustc-web"),
    Need::file("/usr/bin/cargo", "cargo-web"),
    Need::file("/usr/lib/rustlib/src/rust/library/Cargo.lock", "rust-web-src"),
];

/// Clippy of that compiler.
pub(crate) const CLIPPY: &[Need] = &[Need::file("/usr/bin/clippy-driver", "rust-web-clippy")];

/// What tests call, and people who look at what the tests and the demo made.
pub(crate) const TOOLS: &[Need] = &[
    Need::program("curl", "curl"),
    Need::program("dig", "dnsutils"),
    Need::program("ethtool", "ethtool"),
    Need::program("ip", "iproute2"),
    Need::program("ipset", "ipset"),
    Need::program("iptables-nft", "iptables"),
    Need::program("iperf3", "iperf3"),
    Need::program("nc", "netcat-openbsd"),
    Need::program("nft", "nftables"),
    Need::program("ping", "iputils-ping"),
    Need::program("tcpdump", "tcpdump"),
];

/// Making an image.
pub(crate) const IMAGE: &[Need] = &[Need::program("buildah", "buildah")];

/// One Debian package, and the program or file by which it is known to be there. Another
/// distribution may bring the same under another name; then the package isn't missed.
pub(crate) struct Need {
    found_by: FoundBy,
    package: &'static str,
}

enum FoundBy {
    Program(&'static str),
    File(&'static str),
}

impl Need {
    const fn program(name: &'static str, package: &'static str) -> Self {
        Self { found_by: FoundBy::Program(name), package }
    }

    const fn file(path: &'static str, package: &'static str) -> Self {
        Self { found_by: FoundBy::File(path), package }
    }

    fn is_there(&self) -> bool {
        match self.found_by {
            FoundBy::Program(name) => find_program(name).is_some(),
            FoundBy::File(path) => Path::new(path).exists(),
        }
    }
}

/// Installs the packages whose programs or files are missing, all of them at once. `remedy` is for when
/// that fails; which packages are missing, and how to install them by hand, is said by the script.
pub(crate) fn install(needs: &[&[Need]], remedy: &str) -> Result<()> {
    let missing: Vec<_> =
        needs.iter().copied().flatten().filter(|need| !need.is_there()).map(|need| need.package).collect();
    if missing.is_empty() {
        note("packages", "there");
        return Ok(());
    }
    step("installing Debian packages", script().args(&missing), remedy)
}

/// Brings packages to their newest version: package lists may be from before it.
pub(crate) fn upgrade(needs: &[&[Need]], remedy: &str) -> Result<()> {
    let packages = needs.iter().copied().flatten().map(|need| need.package);
    step("bringing Debian packages up to date", script().arg("--newest").args(packages), remedy)
}

fn script() -> Command {
    Command::new(workspace::root().join("xtask/debian-install"))
}
