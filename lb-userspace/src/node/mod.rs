//! The machine that this instance runs on: its name, its addresses and its devices.

pub mod addresses;
pub mod devices;
pub mod links;
pub mod path;
pub mod ports;
pub mod sysctls;

use rustix::system::uname;

/// The name of this machine's Node: the one that was given, or the host's; trimmed and in lower case, as every
/// Node is named (NOD-01).
pub fn name(given: Option<&str>) -> String {
    let host = uname();
    let name = given.map_or_else(|| host.nodename().to_string_lossy(), Into::into);
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_nodes_are_named_nod_01() {
        assert_eq!(name(Some(" Worker-1.Example ")), "worker-1.example");
        let host = name(None);
        assert!(!host.is_empty() && host == host.trim().to_lowercase(), "{host:?}");
    }
}
