//! Shunt's controller.
//!
//! Data goes one way, no step skipped, no step called back:
//!
//! ```text
//! source ─► model ─► compile ─► tables ─► reconcile ─► datapath
//! ```

pub mod compile;
pub mod explain;
pub mod model;
pub mod tables;
