//! Debian packages that are unpacked into a folder, and not installed: nothing of this machine changes, and no package
//! of it stands in their way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{answer, note, step};

/// The emulator, the kernel (one with all that a virtual machine needs, and few drivers), and what the tests call in
/// the machine; with them comes whatever they need.
const PACKAGES: [&str; 12] = [
    "qemu-system-x86",
    "linux-image-cloud-amd64",
    "bash",
    "bind9-dnsutils",
    "busybox-static",
    "cpio",
    "curl",
    "ethtool",
    "iproute2",
    "ipvsadm",
    "kmod",
    "nftables",
];
const LIBRARIES: [&str; 3] =
    ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"];
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

/// The folder with all of it.
pub(super) struct Debian {
    root: PathBuf,
}

impl Debian {
    /// What is there already, or is fetched now.
    pub(super) fn get(folder: &Path) -> Result<Self> {
        let root = folder.join("debian");
        if root.exists() {
            note("packages of the emulated machine", "there");
            return Ok(Self { root });
        }
        let download = folder.join("download");
        fs::create_dir_all(download.join("partial"))
            .with_context(|| format!("{}: can't be made", download.display()))?;
        // Lists may be older than what the archive still has. A foreign source that is out of reach makes the update
        // fail, and need not matter.
        if step("package lists", Command::new("apt-get").args(["--quiet", "update"]), "").is_err() {
            note("package lists", "as they are");
        }
        step("fetching the packages of the emulated machine", &mut fetch(&download)?, "see its words above")?;
        // Whole or not at all.
        let half = folder.join("debian.half");
        fs::create_dir_all(&half)?;
        for entry in fs::read_dir(&download)? {
            let archive = entry?.path();
            if archive.extension().is_some_and(|extension| extension == "deb") {
                answer(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&half))?;
            }
        }
        fs::rename(&half, &root).with_context(|| format!("{}: can't be renamed", half.display()))?;
        fs::remove_dir_all(&download).with_context(|| format!("{}: can't be removed", download.display()))?;
        Ok(Self { root })
    }

    /// A file of it.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// A program of it, by its name.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        let folders = ["usr/bin", "usr/sbin", "bin", "sbin"].iter();
        let mut programs = folders.map(|folder| self.root.join(folder).join(name));
        programs
            .find(|program| program.is_file())
            .with_context(|| format!("no package has the program {name}"))
    }

    /// A command that runs a program of it with its own libraries.
    pub(super) fn command(&self, name: &str) -> Result<Command> {
        let mut command = self.loader();
        command.arg(self.program(name)?);
        Ok(command)
    }

    /// The libraries that a program of it names, by their places in the folder.
    pub(super) fn libraries(&self, program: &Path) -> Result<Vec<PathBuf>> {
        // One that is static has none, and the loader says so by failing.
        let said = answer(self.loader().arg("--list").arg(program)).unwrap_or_default();
        let mut libraries = vec![PathBuf::from(LOADER)];
        for path in named(&said) {
            let below = Path::new(path).strip_prefix(&self.root);
            libraries
                .push(below.with_context(|| format!("{path} is no library of the packages"))?.to_path_buf());
        }
        Ok(libraries)
    }

    /// The version of its kernel, as `uname -r` says it.
    pub(super) fn release(&self) -> Result<String> {
        let mut releases = fs::read_dir(self.root.join("lib/modules"))?.filter_map(Result::ok);
        let release = releases.next().context("no kernel among the packages")?;
        Ok(release.file_name().to_string_lossy().into_owned())
    }

    fn loader(&self) -> Command {
        let mut command = Command::new(self.root.join(LOADER));
        let paths: Vec<_> = LIBRARIES.iter().map(|path| self.root.join(path).display().to_string()).collect();
        command.arg("--library-path").arg(paths.join(":"));
        command
    }
}

/// apt, told that no package is there, so that it fetches all that are needed.
fn fetch(download: &Path) -> Result<Command> {
    let nothing = download.join("nothing");
    fs::write(&nothing, "")?;
    let mut command = Command::new("apt-get");
    command.args(["install", "--quiet", "--yes", "--no-install-recommends", "--download-only"]);
    for option in [
        format!("Dir::State::status={}", nothing.display()),
        format!("Dir::Cache::archives={}", download.display()),
        // As root, apt fetches as another user, who may not write there.
        "APT::Sandbox::User=root".to_owned(),
        "APT::Keep-Downloaded-Packages=true".to_owned(),
        "Debug::NoLocking=true".to_owned(),
    ] {
        command.args(["--option", &option]);
    }
    command.args(PACKAGES);
    Ok(command)
}

/// The files that the loader names.
fn named(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.split("=> ").nth(1)?.split(" (").next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_the_files_that_the_loader_names() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibbpf.so.1 => /a b/lib/libbpf.so.1 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(named(said), ["/a b/lib/libbpf.so.1"]);
    }
}
