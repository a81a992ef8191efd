//! What the programs in the kernel and the controller in userspace must agree on.
//!
//! Two laws hold for every type here:
//!
//! 1. **Network byte order.** Addresses and ports are kept as they stand in a packet. Fields are private;
//!    constructors and getters convert, so no caller ever holds a number of unknown order.
//! 2. **No implicit padding.** Map keys and values hold only integers and arrays of integers, every byte
//!    belongs to a field, and [`layout`] asserts sizes and offsets at compile time. A map can hold any bit
//!    pattern, so nothing here is an `enum`, a `bool` or a `NonZero`.
//!
//! Beside the layouts live the pure algorithms that both sides run ([`select`]): no I/O, no clock.
#![cfg_attr(not(test), no_std)]

#[macro_use]
mod flags;

pub mod addr;
pub mod affinity;
pub mod backend;
pub mod counter;
pub mod filter;
pub mod flow;
pub mod flow_state;
pub mod frontend;
pub mod layout;
pub mod limit;
pub mod node;
pub mod packet;
#[cfg(feature = "user")]
mod pod;
pub mod range;
pub mod select;
pub mod service;
pub mod socket;

pub use addr::{Addr, Port, Proto};
pub use affinity::{Affinity, AffinityKey};
pub use backend::{Backend, BackendFlags, BackendId};
pub use counter::Counter;
pub use filter::{FILTER_BITS, FILTER_WORDS, FilterBit};
pub use flow::{Flow, FlowFlags, FlowKey, Fragment, FragmentKey, Moment, Owner};
pub use flow_state::{FlowState, Seen};
pub use frontend::{Frontend, FrontendFlags, FrontendKey, FrontendKind};
pub use layout::LAYOUT_VERSION;
pub use node::{NodeConfig, NodeFlags, PortRange};
pub use range::{RangeKey, RangeSet};
pub use service::{List, Service, ServiceId, ServiceLabel};
pub use socket::{Dialled, SocketDirection, SocketFlow, SocketFlowKey};
