//! What people see: tables and JSON of what is in the maps, printed by the CLI and by failing tests alike.

pub(crate) mod counters;
mod flows;
mod services;
mod status;

pub use flows::{FlowRow, flows, print_flows_into};
pub use services::{Endpoint, Frontend, ServiceRow, print_services_into, services, services_of_world};
pub use status::{NodeStatus, Status, print_status_into};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns
    Table,
    /// Aligned columns, more of them
    Wide,
    /// JSON, for programs
    Json,
}
