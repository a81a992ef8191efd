//! `shunt check`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Allocation;
use crate::show::{self, Format, ServiceRow};
use crate::source::Problem;
use crate::source::manifest;

/// Say what a directory of manifests means, and what is wrong in it, without serving anything.
///
/// Prints the Services as `shunt run --manifests DIR` would serve them, with the addresses and node ports that
/// they would be given, and every problem with its file, object and field. Needs no root. The exit status is 1
/// where there is a problem.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory of manifests.
    #[arg(value_name = "DIR")]
    manifests: PathBuf,

    /// State file of a running instance, for the numbers that it has given already.
    #[arg(long, env = "SHUNT_STATE_FILE", value_name = "FILE")]
    state_file: Option<PathBuf>,

    #[command(flatten)]
    allocation: Allocation,

    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Serialize)]
struct Checked {
    services: Vec<ServiceRow>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = args.allocation.config(None)?;
    let checked = manifest::check(&args.manifests, config, args.state_file.as_deref())?;
    let services = show::services_of_world(&checked.world);
    let code = if checked.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.output == Format::Json {
        let checked = Checked { services, problems: checked.problems, notes: checked.notes };
        serde_json::to_writer_pretty(&mut *out, &checked)?;
        writeln!(out)?;
        return Ok(code);
    }
    show::print_services_into(out, &services, args.output)?;
    for note in &checked.notes {
        writeln!(out, "note: {note}")?;
    }
    for problem in &checked.problems {
        writeln!(out, "problem: {problem}")?;
    }
    Ok(code)
}
