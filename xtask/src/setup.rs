//! Everything that building and testing need, installed.

use std::path::PathBuf;

use anyhow::Result;

use crate::linker;
use crate::packages;
use crate::toolchain::{self, Toolchain};

/// The two tools that make the eBPF object.
pub(crate) struct EbpfTools {
    /// The compiler.
    pub(crate) toolchain: Toolchain,
    /// bpf-linker.
    pub(crate) linker: PathBuf,
}

/// Installs whatever is missing, for every command.
pub(crate) fn run() -> Result<()> {
    let tools = ebpf_tools()?;
    clippy(&tools.toolchain)?;
    test_tools()
}

/// What `build` needs.
pub(crate) fn ebpf_tools() -> Result<EbpfTools> {
    packages::install("C compiler", packages::COMPILER)?;
    let toolchain = toolchain::find()?;
    let linker = linker::find(&toolchain)?;
    Ok(EbpfTools { toolchain, linker })
}

/// What `check` needs besides: the clippy of the very compiler that has the sources of `core`. Debian's
/// is a package; rustup's a component, which only its owner adds.
pub(crate) fn clippy(toolchain: &Toolchain) -> Result<()> {
    if toolchain.is_debian() {
        packages::install("clippy for the eBPF target", packages::CLIPPY)?;
    }
    Ok(())
}

/// What the tests with real sockets need besides.
pub(crate) fn test_tools() -> Result<()> {
    packages::install("network tools", packages::TOOLS)
}
