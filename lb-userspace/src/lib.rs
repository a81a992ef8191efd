//! Shunt's controller.
//!
//! Data goes one way, no step skipped, no step called back:
//!
//! ```text
//! source ─► model ─► compile ─► tables ─► reconcile ─► datapath
//! ```

pub mod model;
pub mod source;
pub mod tables;
