//! Start, restart, upgrade, end, and what goes wrong meanwhile.

mod layouts;
mod migrate;
mod scene;
