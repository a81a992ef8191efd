//! The image: nothing but the static binary, built by buildah without a daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::command::{answer, note, step};
use crate::packages;
use crate::setup::Purpose;
use crate::workspace;

/// What the binary may have: the promise of the README.
const LIMIT: u64 = 20_000_000;
const NAME: &str = "localhost/shunt";

/// Builds the binary and, of it, an OCI archive; runs what is in it.
pub(crate) fn run() -> Result<()> {
    packages::install(&[packages::IMAGE], "as said above")?;
    let built = build::run(Purpose::Build)?;
    let size = fs::metadata(&built.shunt)?.len();
    if size >= LIMIT {
        bail!("{}: {size} bytes, and {LIMIT} is the limit", built.shunt.display());
    }
    let folder = workspace::target().join("image");
    fs::create_dir_all(&folder).with_context(|| format!("{}: can't be made", folder.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{NAME}:{version}");
    let archive = folder.join("shunt.oci.tar");
    build_image(&folder, &built.shunt, &name, version)?;
    try_image(&folder, &name)?;
    // buildah adds to an archive that is there.
    if archive.exists() {
        fs::remove_file(&archive).with_context(|| format!("{}: can't be replaced", archive.display()))?;
    }
    let target = format!("oci-archive:{}:shunt:{version}", archive.display());
    step("archive", buildah(&folder, "push").args(["--quiet", &name, &target]), "see its words above")?;
    note("image", &format!("{} ({} bytes)", archive.display(), fs::metadata(&archive)?.len()));
    Ok(())
}

fn build_image(folder: &Path, binary: &Path, name: &str, version: &str) -> Result<()> {
    let working = answer(buildah(folder, "from").arg("scratch"))?;
    let working = working.trim();
    let remedy = "see its words above; `buildah` needs root";
    let mut copy = buildah(folder, "copy");
    step("binary", copy.args(["--quiet", "--chmod", "0755", working]).arg(binary).arg("/shunt"), remedy)?;
    let mut config = buildah(folder, "config");
    config.args(["--entrypoint", "[\"/shunt\"]", "--cmd", "run"]);
    config.args(["--label", "org.opencontainers.image.title=shunt"]);
    config.args(["--label", &format!("org.opencontainers.image.version={version}")]);
    config.args(["--label", "org.opencontainers.image.licenses=Apache-2.0"]);
    step("settings", config.arg(working), remedy)?;
    step("image", buildah(folder, "commit").args(["--quiet", "--rm", working, name]), remedy)
}

/// Runs the binary where there is nothing else: with the image's files for its root.
fn try_image(folder: &Path, name: &str) -> Result<()> {
    let working = answer(buildah(folder, "from").args(["--pull-never", name]))?;
    let working = working.trim();
    let root = PathBuf::from(answer(buildah(folder, "mount").arg(working))?.trim());
    let mut chroot = Command::new("chroot");
    let tried = step("trial", chroot.arg(&root).args(["/shunt", "--version"]), "it doesn't run by itself");
    answer(buildah(folder, "rm").arg(working))?;
    tried
}

/// Its storage is a folder of the build's, which `cargo clean` takes away, and needs no overlay.
fn buildah(folder: &Path, subcommand: &str) -> Command {
    let mut command = Command::new("buildah");
    command.arg("--root").arg(folder.join("storage")).arg("--runroot").arg(folder.join("run"));
    command.args(["--storage-driver", "vfs", subcommand]);
    command
}
