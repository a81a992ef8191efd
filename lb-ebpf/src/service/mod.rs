//! From an address to a backend: the same for every hook that a new flow can come in by.

pub mod affinity;
pub mod choose;
pub mod lookup;
