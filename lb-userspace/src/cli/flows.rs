//! `shunt flows`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::ExitCode;

use lb_common::ServiceId;

use super::PinDir;
use crate::datapath::{self, FlowTables, Pins};
use crate::show::{self, Format};

/// Show the flows of the packet path: which client reaches which endpoint through which address.
///
/// A flow is `new` until both sides have been heard of, `established` then, `half-closed` when one side has
/// closed, `closed` when both have, `reset` after an RST. It is forgotten when it has been idle for 24 hours, an
/// hour half-closed, 30 seconds closed, 10 seconds reset; datagrams after 30 seconds, or 120 seconds once
/// answered.
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
    let tables = FlowTables::open(&pins)?;
    let flows = datapath::flow_pairs(&tables)?;
    let services: BTreeSet<u32> = flows.iter().map(|flow| flow.service).collect();
    let services: BTreeMap<u32, String> = services
        .into_iter()
        .filter_map(|id| Some((id, tables.service_name(ServiceId::from_number(id))?)))
        .collect();
    show::print_flows_into(out, &show::flows(flows, &services), args.output)?;
    Ok(ExitCode::SUCCESS)
}
