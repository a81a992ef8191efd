//! The kernel's side of things: the only room that knows aya.
//!
//! [`load()`] brings programs and maps in, or takes over those that are pinned; [`KernelStore`] is what
//! [`crate::reconcile`] writes through and what `shunt services` reads.
//!
//! Pins, under one directory of a bpffs: `v<LAYOUT_VERSION>/maps/<MAP>` `v<LAYOUT_VERSION>/links/<HOOK>`
//! for the hooks of the cgroup, and `v<LAYOUT_VERSION>/links/tc-<DEVICE NUMBER>-<HOOK>` for those of devices.
//! Those of another layout are taken over by [`migrate`].

mod array;
mod attach;
mod batch;
mod devices;
mod dialled;
mod error;
mod fill;
mod flows;
mod holder;
mod keeper;
mod layout;
mod load;
mod migrate;
mod place;
mod remove;
mod sizes;
mod store;
mod sys;
mod verify;

pub use attach::{HOOKS, load as load_program};
pub use devices::{
    DeviceHooks, DeviceStatus, HookState, device_statuses, has_fib_source, recorded_devices, remove_filters,
};
pub use dialled::DialledSockets;
pub use error::DatapathError;
pub use fill::{Fill, fills};
pub use flows::{Alarm, Collected, Collector, Exhausted, FlowPair, FlowTables, flow_pairs};
pub use holder::Holder;
pub use keeper::{Found, Keeper};
pub use layout::{Layout, Role, Shape, Wanted, layout, state_file};
pub use load::{Datapath, OBJECT, Options, Pending, load, program_names};
pub use place::{Pins, cgroup2_root};
pub use sizes::MapSize;
pub use store::KernelStore;
pub use sys::release_memory;
pub use verify::{Verified, verify};
