//! `shunt flows`

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use super::PinDir;
use crate::datapath::{self, FlowTables, KernelStore, Pins};
use crate::reconcile::Store;
use crate::show::{self, Format};

/// Show the flows of the packet path: which client reaches which endpoint through which address.
///
/// Connections that begin on this node are not among them: their sockets were rewritten when they dialled, and
/// no packet of theirs is. Reads the pinned maps: it needs root and a datapath, but no running `shunt run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: `wide` adds what the endpoint sees, the age, and the Service, `json` is for programs.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,

    #[command(flatten)]
    pins: PinDir,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let pins = Pins::in_directory(&args.pins.pin_dir);
    let observed = KernelStore::open(&pins)?.observe()?;
    let services: BTreeMap<u32, String> = observed
        .labels
        .iter()
        .map(|(id, label)| (id.number(), format!("{}/{}", label.namespace(), label.name())))
        .collect();
    let flows = datapath::flow_pairs(&FlowTables::open(&pins)?)?;
    show::print_flows_into(out, &show::flows(flows, &services), args.output)?;
    Ok(ExitCode::SUCCESS)
}
