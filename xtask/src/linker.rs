//! bpf-linker: the one on the path when it can read what the compiler writes, else one of our own.
//!
//! LLVM reads the bitcode of older versions, not of newer ones: the linker's LLVM must not be older than
//! the compiler's. Ours is built around the very LLVM library that the compiler itself loads, so that it
//! fits by construction and no LLVM has to be installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{answer, find_program, note, step};
use crate::toolchain::Toolchain;
use crate::workspace;

/// Names a linker outright.
const OVERRIDE: &str = "SHUNT_BPF_LINKER";

const VERSION: &str = "0.13.0";

/// The newest LLVM that this version can be built around, as a major version.
pub(crate) const NEWEST_LLVM: u32 = 23;

const WHAT: &str = "bpf-linker";

/// Finds the linker for a compiler, and builds it where there is none.
pub(crate) fn find(toolchain: &Toolchain) -> Result<PathBuf> {
    if let Some(linker) = std::env::var_os(OVERRIDE) {
        note(WHAT, &format!("{} ({OVERRIDE})", linker.display()));
        return Ok(linker.into());
    }
    if let Some(linker) = find_program("bpf-linker") {
        let llvm = llvm_library(&linker).ok().flatten().and_then(|library| llvm_version(&library));
        if llvm.is_some_and(|llvm| llvm >= toolchain.llvm) {
            note(WHAT, &format!("{} (on the path)", linker.display()));
            return Ok(linker);
        }
        let (major, minor) = toolchain.llvm;
        note(WHAT, &format!("{} isn't known to have LLVM {major}.{minor}: not used", linker.display()));
    }
    own(toolchain)
}

/// Our own, below `target/tools`, one for each build of the compiler: it is tied to that one's LLVM.
fn own(toolchain: &Toolchain) -> Result<PathBuf> {
    let commit = toolchain.commit.get(..9).unwrap_or(&toolchain.commit);
    let root = workspace::root().join("target/tools").join(format!("bpf-linker-{VERSION}-rustc-{commit}"));
    let linker = root.join("bin/bpf-linker");
    if linker.exists() {
        note(WHAT, &format!("{} (built before)", linker.display()));
        return Ok(linker);
    }
    let library = llvm_library(&toolchain.rustc())?.with_context(|| {
        format!(
            "{} loads no LLVM library that bpf-linker could be built around\n  remedy: install bpf-linker, \
             then name it with {OVERRIDE}",
            toolchain.rustc().display()
        )
    })?;
    link_library(&root.join("lib"), &library)?;
    let major = toolchain.llvm.0;
    let mut install = workspace::cargo("install");
    install
        .args(["bpf-linker", "--version", &format!("={VERSION}"), "--locked", "--no-default-features"])
        .args(["--features", &format!("llvm-{major}"), "--root"])
        .arg(&root)
        .env("LLVM_PREFIX", &root)
        .env_remove("RUSTFLAGS");
    step(
        &format!("building bpf-linker {VERSION} around {}", library.display()),
        &mut install,
        &format!("install a bpf-linker with LLVM {major} or newer, then name it with {OVERRIDE}"),
    )?;
    Ok(linker)
}

/// Makes a folder in which both the build (by the name `libLLVM.so`) and the built linker (by the
/// library's own name) find the library.
fn link_library(folder: &Path, library: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}: can't be made", folder.display()))?;
    let Some(name) = library.file_name() else { bail!("{}: not a file", library.display()) };
    for link in [folder.join("libLLVM.so"), folder.join(name)] {
        if link.is_symlink() {
            fs::remove_file(&link).with_context(|| format!("{}: can't be replaced", link.display()))?;
        }
        symlink(library, &link).with_context(|| format!("{}: can't be made", link.display()))?;
    }
    Ok(())
}

/// The LLVM library that a program loads.
fn llvm_library(program: &Path) -> Result<Option<PathBuf>> {
    let libraries = answer(Command::new("ldd").arg(program).env_remove("LD_LIBRARY_PATH"))?;
    Ok(llvm_in(&libraries))
}

/// The LLVM library in what `ldd` prints: lines of `name => path (address)`.
fn llvm_in(libraries: &str) -> Option<PathBuf> {
    let line = libraries.lines().find(|line| line.trim_start().starts_with("libLLVM"))?;
    let path = line.split_once("=> ")?.1.split_once(" (")?.0;
    fs::canonicalize(path).ok().or_else(|| Some(PathBuf::from(path)))
}

/// Major and minor version in a library's name: `libLLVM.so.22.1`, `libLLVM-14.so.1`, and rustup's
/// `libLLVM.so.22.1-rust-1.95.0-stable`.
fn llvm_version(library: &Path) -> Option<(u32, u32)> {
    let name = library.file_name()?.to_str()?;
    let digits = |text: &str| {
        let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    if let Some(version) = name.strip_prefix("libLLVM.so.") {
        let (major, minor) = version.split_once('.')?;
        return Some((digits(major)?, digits(minor)?));
    }
    Some((digits(name.strip_prefix("libLLVM-")?)?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_llvm_is_read_from_every_form_of_the_librarys_name() {
        let version = |name: &str| llvm_version(Path::new(name));
        assert_eq!(version("/usr/lib/libLLVM.so.22.1"), Some((22, 1)));
        assert_eq!(version("/r/lib/libLLVM.so.22.1-rust-1.95.0-stable"), Some((22, 1)));
        assert_eq!(version("/usr/lib/libLLVM-14.so.1"), Some((14, 0)));
        assert_eq!(version("/usr/lib/libLTO.so.14"), None);
    }

    #[test]
    fn the_llvm_library_is_found_among_what_a_program_loads() {
        let libraries =
            "\tlibc.so.6 => /nowhere/libc.so.6 (0x1)\n\tlibLLVM.so.22.1 => /nowhere/libLLVM.so.22.1 (0x2)\n";
        assert_eq!(llvm_in(libraries), Some(PathBuf::from("/nowhere/libLLVM.so.22.1")));
        assert_eq!(llvm_in("\tstatically linked\n"), None);
    }
}
