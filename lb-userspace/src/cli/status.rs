//! `shunt status`

use std::io::Write;
use std::process::ExitCode;

use super::PinDir;
use crate::datapath::{self, DatapathError, Pins};
use crate::show::{self, Format};

/// Show where the programs are attached, and why they are not where they are not.
///
/// Reads the pins: it needs root and a datapath, but no running `shunt run`. The exit status is 1 where a
/// device that packets of clients arrive by is not attached to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: `wide` has a line for each device that is left alone, `json` is for programs.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,

    #[command(flatten)]
    pins: PinDir,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let pins = Pins::in_directory(&args.pins.pin_dir);
    let status = show::Status {
        pins: pins.version_directory(),
        is_controlled: matches!(pins.lock_existing(), Err(DatapathError::Locked { .. })),
        devices: datapath::device_statuses(&pins)?,
    };
    show::print_status_into(out, &status, args.output)?;
    let complete = status.devices.iter().all(datapath::DeviceStatus::is_complete);
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
