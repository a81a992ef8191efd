//! Shunt's controller.
//!
//! Data goes one way, no step skipped, no step called back:
//!
//! ```text
//! source ─► model ─► compile ─► tables ─► reconcile ─► datapath
//! ```

pub mod cli;
pub mod compile;
pub mod config;
pub mod control;
pub mod datapath;
pub mod engine;
pub mod explain;
pub mod model;
mod netlink;
pub mod node;
pub mod notice;
mod private;
pub mod reconcile;
pub mod serve;
pub mod show;
pub mod source;
pub mod tables;
pub mod takeover;
pub mod terminate;
mod text;
