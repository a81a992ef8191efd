//! A node under load whose endpoints change all the while, whose instance is killed and whose surroundings
//! fail; and the judgement of every dial. One code for the tier `lifecycle` and for `cargo xtask soak`.
//!
//! - [`Stage`]: the nodes, pods and clients, and the paths that are dialled.
//! - [`Source`]: a directory of manifests, or a cluster.
//! - [`Churn`]: which pods are endpoints when; a thread of its own rewrites manifests, or slices.
//! - [`Load`]: clients that dial without end, and downloads that last.
//! - [`Keeper`]: the instance: started, killed, looked at.
//! - [`Fault`]: what else goes wrong.
//! - [`Tally`]: what was tried and what was lost.
//!
//! Invariant of the judgement: a dial is wrong only where the pod that answered was certainly no endpoint from
//! before the dial began until after it ended; whether a change is in force is read from the kernel's maps and not
//! from what the instance says.

mod churn;
mod fault;
mod keeper;
mod load;
mod stage;
mod tally;
mod world;

pub use churn::Churn;
pub use fault::{Disk, Fault};
pub use keeper::{Figures, Keeper};
pub use load::Load;
pub use stage::{PATHS, Path, Stage, TRANSFERS};
pub use tally::{Dials, Tally};
pub use world::Source;
