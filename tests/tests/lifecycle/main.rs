//! Restart, upgrade, faults.

mod kills;
