//! The machine that this instance runs on: its name and its addresses.

pub mod addresses;

use rustix::system::uname;

/// The name of this machine as a Node is named: trimmed and in lower case (NOD-01).
pub fn host_name() -> String {
    uname().nodename().to_string_lossy().trim().to_lowercase()
}
