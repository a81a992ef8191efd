//! Nodes, pods and clients on one machine, for tests that need root and for the demo.
//!
//! A [`Node`] is a network namespace *and* a cgroup v2 directory of its own, a [`Pod`] a network namespace
//! joined to its node, whose processes live in a cgroup below the node's; what is dialled and served there
//! is done by child processes (the binary `peer`), for a cgroup holds whole processes. A [`Network`] joins
//! nodes to each other and to clients outside. [`Shunt`] runs the binary under test on a node.
//!
//! Invariants: nothing here attaches to the machine's own cgroup or devices; every name is unique to the
//! process that made it; what was made is gone when the last handle is dropped, also after a panic, and
//! what a killed process left is swept up by the next one.

pub mod apiserver;
mod attached;
mod cgroup;
pub mod check;
mod dial;
mod kernel;
pub mod manifest;
mod name;
mod netns;
mod network;
mod node;
mod others;
pub mod packet;
mod place;
mod process;
pub mod programs;
mod serve;
mod shunt;
mod slice;
pub mod soak;
mod sweep;
pub mod wire;

pub use attached::Watch;
pub use dial::{Conversation, Dial, Hammer, HeldSocket, bind, flood, tcp, udp, udp_unconnected};
pub use kernel::freeze;
pub use network::{Network, Outside};
pub use node::{Node, Pod};
pub use others::Others;
pub use place::{Inside, Place, probe, programs_dir};
pub use process::Process;
pub use serve::{Serve, serve};
pub use shunt::{Options, Shunt, ask_shunt, shunt_program};
pub use slice::{EndpointSlice, slice};
