//! `shunt explain`: what becomes of a packet on this node, and which object and field decided it.
//!
//! A pure decision over what [`crate::compile`] makes of the objects; the reference algorithm of Service
//! semantics (§0) on top of the same tables that the kernel gets. An answer is about the first packet of a
//! flow; those that follow go where it went.
//!
//! Not here: reading files (`manifests` does), printing (`draw` and `batch` do).

mod answer;
mod batch;
pub mod cli;
mod decide;
mod draw;
mod hints;
mod index;
pub mod live;
mod manifests;
mod oracle;
mod question;
#[cfg(test)]
mod tests;
mod words;

pub use answer::{Answer, Step, Verdict};
pub use index::Index;
pub use live::Live;
pub use question::{MixedFamilies, Question, Source, UnknownProtocol};
