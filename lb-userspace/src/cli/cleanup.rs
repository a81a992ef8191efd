//! `shunt cleanup`

use std::process::ExitCode;

use super::PinDir;
use crate::datapath::Pins;

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
