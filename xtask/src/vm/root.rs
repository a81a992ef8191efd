//! The machine's files: an archive that the kernel unpacks into memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::debian::Debian;
use crate::command::{answer, step};
use crate::workspace;

/// What the tests call, and what the kernel calls to load a module.
const PROGRAMS: [&str; 10] =
    ["bash", "busybox", "curl", "dig", "ethtool", "ip", "ipvsadm", "kmod", "nft", "tc"];

/// Of the kernel's modules, those that a node may use.
const MODULES: [&str; 6] = ["arch", "crypto", "drivers/block", "drivers/net", "lib", "net"];

/// Makes the archive, with programs in `/programs` and the lines in `/tests`.
pub(super) fn archive(folder: &Path, debian: &Debian, programs: &[PathBuf], lines: &str) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("{}: can't be removed", root.display()))?;
    }
    put(&workspace::root().join("xtask/vm-init"), &root.join("init"))?;
    for name in PROGRAMS {
        let program = debian.program(name)?;
        put(&program, &root.join("bin").join(name))?;
        for library in debian.libraries(&program)? {
            put(&debian.path(&library.to_string_lossy()), &root.join(library))?;
        }
    }
    // A shell that calls what lies on the path, where busybox' own would call itself.
    symlink("bash", root.join("bin/sh"))?;
    fs::create_dir_all(root.join("sbin"))?;
    symlink("/bin/kmod", root.join("sbin/modprobe"))?;
    put_modules(&root, debian)?;
    for program in programs {
        put(program, &root.join("programs").join(program.file_name().context("a program's name")?))?;
    }
    fs::write(root.join("tests"), lines)?;
    let archive = folder.join("root.cpio");
    let names = folder.join("root.names");
    let found = answer(std::process::Command::new("find").args([".", "-mindepth", "1"]).current_dir(&root))?;
    fs::write(&names, found)?;
    let mut pack = debian.command("cpio")?;
    pack.args(["--quiet", "--create", "--format", "newc", "--owner", "0:0"]).current_dir(&root);
    pack.stdin(fs::File::open(&names)?).stdout(fs::File::create(&archive)?);
    step("archive of the machine's files", &mut pack, "see its words above")?;
    Ok(archive)
}

fn put_modules(root: &Path, debian: &Debian) -> Result<()> {
    let release = debian.release()?;
    let below = format!("lib/modules/{release}");
    let (from, to) = (debian.path(&below), root.join(&below));
    for part in MODULES {
        copy_all(&from.join("kernel").join(part), &to.join("kernel").join(part))?;
    }
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        put(&from.join(list), &to.join(list))?;
    }
    // kmod is what its name says.
    symlink("kmod", root.join("bin/depmod"))?;
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy_all(&entry.path(), &to)? } else { put(&entry.path(), &to)? }
    }
    Ok(())
}

fn put(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("the folder of a file")?;
    fs::create_dir_all(parent).with_context(|| format!("{}: can't be made", parent.display()))?;
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
