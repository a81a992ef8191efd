//! What a command needs of the machine, found or installed before it starts.
//!
//! All missing packages are installed, or named, at once: nobody should learn of them one by one.

use std::path::PathBuf;

use anyhow::Result;

use crate::linker;
use crate::packages::{self, Need};
use crate::toolchain::{self, Toolchain};

/// What is about to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building the object and the binaries.
    Build,
    /// The checks, which need clippy for both targets.
    Check,
    /// Running what was built: the tests of the kernel's side, the demo.
    Run,
    /// Any of these.
    All,
}

/// The two tools that make the eBPF object.
pub(crate) struct EbpfTools {
    /// The compiler.
    pub(crate) toolchain: Toolchain,
    /// bpf-linker.
    pub(crate) linker: PathBuf,
}

/// Installs whatever any command needs.
pub(crate) fn run() -> Result<()> {
    ebpf_tools(Purpose::All).map(drop)
}

/// Both tools, and the packages for a purpose.
pub(crate) fn ebpf_tools(purpose: Purpose) -> Result<EbpfTools> {
    let toolchain = compiler(purpose)?;
    let linker = linker::find(&toolchain)?;
    Ok(EbpfTools { toolchain, linker })
}

/// The compiler, and the packages for a purpose.
pub(crate) fn compiler(purpose: Purpose) -> Result<Toolchain> {
    let found = toolchain::find()?;
    let mut rust = Vec::new();
    if found.is_none() {
        rust.push(packages::RUST_WITH_SOURCES);
    }
    // Debian's clippy is a package; rustup's is a component, which belongs to the toolchain's owner.
    if found.is_none() && matches!(purpose, Purpose::Check | Purpose::All) {
        rust.push(packages::CLIPPY);
    }
    let mut needs = rust.clone();
    needs.push(packages::COMPILER);
    if matches!(purpose, Purpose::Run | Purpose::All) {
        needs.push(packages::TOOLS);
    }
    let by_rustup =
        format!("as said above; instead of the three Rust packages also: {}", toolchain::BY_RUSTUP);
    let remedy = if found.is_none() { &by_rustup } else { "as said above" };
    packages::install(&needs, remedy)?;
    let toolchain = match found {
        Some(toolchain) => toolchain,
        None => debian(&rust, remedy)?,
    };
    toolchain.announce();
    Ok(toolchain)
}

/// Debian's compiler. What is there may be from before the version that is needed, and so may be the package lists.
fn debian(rust: &[&[Need]], remedy: &str) -> Result<Toolchain> {
    let toolchain = toolchain::debian()?;
    if !toolchain.is_too_old() {
        return Ok(toolchain);
    }
    packages::upgrade(rust, remedy)?;
    toolchain::debian()?.if_new_enough()
}
