//! The machine that this instance runs on: its name, its addresses and its devices.

pub mod addresses;
pub mod devices;
pub mod links;
pub mod path;
pub mod ports;
pub mod sysctls;

use rustix::system::uname;

/// The name of this machine as a Node is named: trimmed and in lower case (NOD-01).
pub fn host_name() -> String {
    uname().nodename().to_string_lossy().trim().to_lowercase()
}
