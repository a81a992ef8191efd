//! `shunt status`

use std::io::Write;
use std::process::ExitCode;

use super::PinDir;
use crate::datapath::{self, FlowTables, KernelStore, Pins};
use crate::node::sysctls;
use crate::show::{self, Format};

/// Show where the programs are, how full the maps are, and what has happened.
///
/// For each device of the node: what is attached to its way in and out (`tcx`, `clsact` or `off`), and why
/// something is not. Then what clients are masqueraded with; the maps that hold something; what was counted,
/// drops with their reasons; endpoints toward which no port was free to masquerade with; and settings of the
/// kernel that are not as they should be, or not there yet.
///
/// Reads the pins: it needs root and a datapath, but no running `shunt run`. The exit status is 1 where a
/// device that packets of clients arrive by is not attached to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: `wide` has a line for each device that is left alone, each map and each counter, `json` is
    /// for programs.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,

    #[command(flatten)]
    pins: PinDir,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let pins = Pins::in_directory(&args.pins.pin_dir);
    let store = KernelStore::open(&pins)?;
    let status = show::Status {
        pins: pins.version_directory(),
        is_controlled: pins.are_held(),
        node: store.node().map(Into::into),
        devices: datapath::device_statuses(&pins)?,
        maps: datapath::fills(&pins, &store)?,
        counters: store.counters()?,
        exhausted: FlowTables::open(&pins)?.exhausted()?,
        settings: sysctls::report(&sysctls::report_path(pins.directory()))?,
    };
    show::print_status_into(out, &status, args.output)?;
    let complete = status.devices.iter().all(datapath::DeviceStatus::is_complete);
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
