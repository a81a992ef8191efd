//! The eBPF object, and around it everything that runs as a static executable: `shunt`, and the helpers
//! of the tests and the demo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{answer, step};
use crate::elf;
use crate::setup::{self, EbpfTools, Purpose};
use crate::workspace;

/// What the build made.
pub(crate) struct Built {
    /// The binary `shunt`, static, with the object in it.
    pub(crate) shunt: PathBuf,
}

impl Built {
    /// The folder of the helpers, beside `shunt`.
    pub(crate) fn folder(&self) -> &Path {
        self.shunt.parent().unwrap_or(&self.shunt)
    }
}

/// Builds all of it, after installing what that and its purpose need.
pub(crate) fn run(purpose: Purpose) -> Result<Built> {
    object(&setup::ebpf_tools(purpose)?)?;
    binaries()
}

/// Cargo for everything static: the binary, the helpers, and the tests that use them, in one profile.
///
/// All of them share every dependency as long as `lb-tests` is among the packages, and `lb-userspace` is
/// not where tests are built: its development dependencies would change the features of others.
///
/// The target is named although it is the machine's own: only then do the flags keep away from build
/// scripts and procedural macros, which can't be static.
pub(crate) fn static_cargo(subcommand: &str) -> Result<Command> {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut cargo = workspace::cargo(subcommand);
    cargo
        .args(["--locked", "--release", "--package", "lb-tests", "--target", &host()?])
        .env("RUSTFLAGS", format!("{flags} -Ctarget-feature=+crt-static").trim_start());
    Ok(cargo)
}

fn object(tools: &EbpfTools) -> Result<()> {
    let target = workspace::root().join("target/ebpf");
    let mut cargo = tools.toolchain.cargo("build");
    cargo
        .args(["--locked", "--release", "--target-dir"])
        .arg(&target)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.linker);
    step("eBPF object", &mut cargo, "read the compiler's or the linker's words above")?;
    let built = target.join("bpfel-unknown-none/release/lb-ebpf");
    copy_if_changed(&built, &workspace::object())
}

/// Copies an object without its debug information, four fifths of it. Leaves the copy alone when it is the same: a new
/// time stamp would compile `lb-userspace` anew.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let object = fs::read(from).with_context(|| format!("{}: can't be read", from.display()))?;
    let object = elf::without_debug_information(&object)
        .with_context(|| format!("{}: not an object", from.display()))?;
    if fs::read(to).is_ok_and(|copy| copy == object) {
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).with_context(|| format!("{}: can't be made", folder.display()))?;
    fs::write(to, object).with_context(|| format!("{}: can't be written", to.display()))
}

fn binaries() -> Result<Built> {
    let mut cargo = static_cargo("build")?;
    cargo.args(["--package", "lb-userspace", "--bins"]);
    step("static binaries", &mut cargo, "read the compiler's words above")?;
    let shunt = workspace::target().join(host()?).join("release/shunt");
    require_static(&shunt)?;
    let size = fs::metadata(&shunt).with_context(|| format!("{}: can't be read", shunt.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a size in MB for a person to read")]
    let megabytes = size as f64 / 1e6;
    eprintln!("    {} ({megabytes:.1} MB, static)", shunt.display());
    Ok(Built { shunt })
}

/// Refuses a binary that wouldn't run in an empty image.
fn require_static(binary: &Path) -> Result<()> {
    let needs = elf::needs(binary)?;
    if needs != elf::Needs::default() {
        bail!("{}: not static: {needs:?}", binary.display());
    }
    Ok(())
}

/// The target triple of this machine.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = answer(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}
