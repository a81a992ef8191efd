//! `shunt cleanup`

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
    pins.remove(|pin| {
        println!("removed {}", pin.display());
        removed += 1;
    })?;
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
