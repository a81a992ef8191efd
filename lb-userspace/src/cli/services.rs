//! `shunt services`

use std::io::Write;
use std::process::ExitCode;

use super::PinDir;
use crate::datapath::{KernelStore, Pins};
use crate::reconcile::Store;
use crate::show::{self, Format};

/// Show the Services that are served, as the kernel has them.
///
/// Reads the pinned maps: it needs root and a datapath, but no running `shunt run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: `wide` adds every way in and the state of each endpoint, `json` is for programs.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,

    #[command(flatten)]
    pins: PinDir,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let store = KernelStore::open(&Pins::in_directory(&args.pins.pin_dir))?;
    show::print_services_into(out, &show::services(&store.observe()?), args.output)?;
    Ok(ExitCode::SUCCESS)
}
