//! What the kernel at hand may not have: `cargo xtask test vm` runs these in an emulated machine with the kernel of
//! Debian, whose modules they load as a node would. That kernel is an older one too: programs on devices are filters
//! there, not links.

mod devices;
mod filters;
mod ipvs;
mod scene;
mod sctp;
mod weather;
