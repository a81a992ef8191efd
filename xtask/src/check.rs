//! Formatting, dependencies, clippy and the documentation, of both workspaces, with warnings denied.

use anyhow::Result;

use crate::command::step;
use crate::dependencies;
use crate::setup::{self, Purpose};
use crate::toolchain::Toolchain;
use crate::workspace;

/// Runs every check; the first that fails ends it.
pub(crate) fn run() -> Result<()> {
    formatting()?;
    dependencies::check()?;
    let toolchain = setup::compiler(Purpose::Check)?;
    host()?;
    ebpf(&toolchain)
}

fn formatting() -> Result<()> {
    let remedy =
        "cargo fmt --all && (cd lb-ebpf && cargo fmt); if cargo has no fmt: rustup component add rustfmt";
    step("formatting", workspace::cargo("fmt").args(["--all", "--check"]), remedy)?;
    let mut ebpf = workspace::cargo("fmt");
    step("formatting of lb-ebpf", ebpf.arg("--check").current_dir(workspace::ebpf_crate()), remedy)
}

fn host() -> Result<()> {
    step(
        "clippy",
        workspace::cargo("clippy").args(["--locked", "--workspace", "--all-targets", "--", "-Dwarnings"]),
        "mend what clippy says above; if cargo has no clippy: rustup component add clippy",
    )?;
    step(
        "documentation",
        workspace::cargo("doc")
            .args(["--locked", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
        "mend what rustdoc says above",
    )
}

fn ebpf(toolchain: &Toolchain) -> Result<()> {
    let target = workspace::root().join("target/ebpf");
    let mut clippy = toolchain.cargo("clippy");
    clippy.args(["--locked", "--release", "--target-dir"]).arg(&target).args(["--", "-Dwarnings"]);
    step(
        "clippy for the eBPF target",
        &mut clippy,
        "mend what clippy says above; if cargo has no clippy: rustup component add clippy --toolchain nightly",
    )?;
    let mut doc = toolchain.cargo("doc");
    doc.args(["--locked", "--release", "--no-deps", "--document-private-items", "--target-dir"])
        .arg(&target)
        .env("RUSTDOCFLAGS", "-Dwarnings");
    step("documentation of lb-ebpf", &mut doc, "mend what rustdoc says above")
}
