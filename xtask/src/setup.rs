//! Everything that building and testing need, installed.

use anyhow::Result;

use crate::linker;
use crate::packages;
use crate::toolchain::{self, Toolchain};

/// The two tools that make the eBPF object.
pub(crate) struct EbpfTools {
    /// The compiler.
    pub(crate) toolchain: Toolchain,
    /// bpf-linker.
    pub(crate) linker: std::path::PathBuf,
}

/// Installs whatever is missing, for every command.
pub(crate) fn run() -> Result<()> {
    ebpf_tools()?;
    test_tools()
}

/// What `build` needs.
pub(crate) fn ebpf_tools() -> Result<EbpfTools> {
    packages::install("C compiler", packages::COMPILER)?;
    let toolchain = toolchain::find()?;
    let linker = linker::find(&toolchain)?;
    Ok(EbpfTools { toolchain, linker })
}

/// What the tests with real sockets need besides.
pub(crate) fn test_tools() -> Result<()> {
    packages::install("network tools", packages::TOOLS)
}
