//! Where things are, who is there, and cargo as every step calls it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts what it builds from the workspace.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |target| root().join(target))
}

/// The eBPF object, alone in its folder: `lb-userspace/build.rs` watches that.
pub(crate) fn object() -> PathBuf {
    root().join("target/bpf/lb-ebpf.o")
}

/// The crate of the programs in the kernel, a workspace of its own.
pub(crate) fn ebpf_crate() -> PathBuf {
    root().join("lb-ebpf")
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Cargo of the toolchain that runs xtask, at the root of the workspace.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(subcommand).current_dir(root());
    // Set by `cargo run` for xtask itself, and no business of what xtask starts.
    cargo.env_remove("LD_LIBRARY_PATH");
    cargo
}
