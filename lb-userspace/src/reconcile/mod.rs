//! What should be in the kernel against what is there: the smallest change, in an order of which every
//! prefix is valid.
//!
//! - [`ids`]: which numbers are free, which rest, which are taken.
//! - [`plan`]: one change of the tables → operations, and the bookkeeping of what they leave; [`phases`]: their order.
//! - [`filter`], [`ranges`], [`packets`]: what only the packet path needs.
//! - [`stalled`]: carries plans out, and what becomes of a write that fails.
//! - [`Reconciler`]: plans, applies, remembers what failed.
//!
//! Invariants, after any prefix of any plan: a frontend leads to a service id that has a label; every word
//! of a service is a run of slots whose backends are written; a number is not given to another while a
//! program may still read it as its old owner's.

mod adopt;
mod build;
mod claims;
mod contest;
mod filter;
mod ids;
#[cfg(test)]
pub(crate) mod memory;
mod op;
mod packets;
mod phases;
mod plan;
mod ranges;
mod stalled;
mod state;
#[cfg(test)]
pub(crate) mod tests;

pub use contest::Contest;
pub use op::{Barrier, Capacity, GoneBackend, Observed, Op, Range, Store, StoreError};
pub use packets::NodePath;
pub(crate) use state::chain;
pub use state::{Outcome, Reconciler, Refusal};
