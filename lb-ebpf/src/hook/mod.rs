//! One module for each kind of hook: decode, decide, verdict.

pub mod bind;
mod sock_addr;
pub mod socket;
pub mod tc;
