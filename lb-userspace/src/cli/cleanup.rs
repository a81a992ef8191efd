//! `shunt cleanup`

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::PinDir;
use crate::datapath::{self, Pins};

/// Take the datapath out of the kernel: detach the programs, remove the maps.
///
/// `shunt run` leaves both in place when it ends, so that Services go on being served while it restarts. The
/// state file with allocated addresses is left alone: remove it by hand. There is nothing wrong in running
/// this twice.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pins: PinDir,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pins = Pins::in_directory(&args.pins.pin_dir);
    let _lock = pins.lock_existing()?;
    remove_filters(&pins)?;
    let mut removed = 0;
    // Links first: from here on no program runs that would miss its maps.
    removed += remove_pins(&pins.version_directory().join("links"), |path| Ok(Pins::remove_link(path)?))?;
    removed += remove_pins(&pins.version_directory().join("maps"), |path| {
        fs::remove_file(path).with_context(|| format!("cannot remove pin {}", path.display()))
    })?;
    for directory in [pins.version_directory(), pins.directory().to_owned()] {
        remove_directory(&directory)?;
    }
    match removed {
        0 => println!("nothing to clean up in {}", pins.directory().display()),
        count => println!("removed {count} pins from {}", pins.directory().display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Filters of clsact qdiscs have no pins: what was recorded of the devices leads to them.
fn remove_filters(pins: &Pins) -> anyhow::Result<()> {
    let statuses = match datapath::device_statuses(pins) {
        Ok(statuses) => statuses,
        Err(datapath::DatapathError::NotRunning { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for device in datapath::remove_filters(&statuses).context("cannot take filters off devices")? {
        println!("removed the filters of {device}");
    }
    Ok(())
}

fn remove_pins(directory: &Path, remove: fn(&Path) -> anyhow::Result<()>) -> anyhow::Result<usize> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", directory.display())),
    };
    let mut removed = 0;
    for entry in entries {
        let path = entry?.path();
        remove(&path)?;
        println!("removed {}", path.display());
        removed += 1;
    }
    remove_directory(directory)?;
    Ok(removed)
}

/// Removes an empty directory; one that is a mount point, or holds what is not ours, stays.
fn remove_directory(directory: &Path) -> anyhow::Result<()> {
    match fs::remove_dir(directory) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::ResourceBusy
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", directory.display())),
    }
}
