//! A cluster followed: what is heard of it whatever its API server does, and what a node serves meanwhile.
//!
//! The first modules need no root: they drive the source alone, through [`followed::Followed`].

#![expect(clippy::unwrap_used, reason = "all of it is tests: what fails is told with its line")]

mod access;
mod changes;
mod doubts;
mod events;
mod failures;
mod followed;
mod lists;
mod memory;
mod pace;
mod restart;
mod rights;
mod scale;
mod served;
mod servers;
