//! Start, restart, upgrade, end, and what goes wrong meanwhile.

mod cleanup;
mod faults;
mod full;
mod hooks;
mod kills;
mod layouts;
mod migrate;
mod restart;
mod scene;
mod signals;
