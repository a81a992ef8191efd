//! What kube-proxy's IPVS mode leaves besides chains: the device with the addresses of Services, the virtual
//! servers, and the sets of addresses that its chains match. The virtual servers go as a whole, as
//! `kube-proxy --cleanup` does it, and only where the device is there: a connection through one of them ends,
//! for IPVS forwards by no table but its own.

use std::fs;
use std::path::Path;

use super::tools::{self, ToolError};

/// The device that only kube-proxy makes.
pub(super) const DEVICE: &str = "kube-ipvs0";
/// What its sets are called.
const SETS: &str = "KUBE-";

pub(super) fn is_there() -> bool {
    // Of the network namespace of the thread that asks; /sys may be another's.
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    devices
        .lines()
        .any(|line| line.trim_start().strip_prefix(DEVICE).is_some_and(|rest| rest.starts_with(':')))
}

pub(super) fn remove() -> Result<(), ToolError> {
    // Without the module there is no such file, and the tool would fail. Where they stay, so does the device by
    // which they are found.
    if has_servers(&fs::read_to_string("/proc/net/ip_vs").unwrap_or_default()) {
        tools::need("ipvsadm", &["--clear"], "IPVS has virtual servers, which stay with kube-ipvs0")?;
    }
    tools::need("ip", &["link", "delete", DEVICE], "the device kube-ipvs0 stays")?;
    // Sets are a module's as well.
    if !Path::new("/sys/module/ip_set").exists() {
        return Ok(());
    }
    let sets = tools::need("ipset", &["list", "-name"], "sets of addresses KUBE-* may be there, and stay")?;
    for set in sets.lines().filter(|set| set.starts_with(SETS)) {
        // One that a chain which stays still matches can't be destroyed, and stays as well.
        let _stays = tools::output("ipset", &["destroy", set]);
    }
    Ok(())
}

/// Whether there are virtual servers, as `/proc/net/ip_vs` lists them: a line for each, below three of headings.
fn has_servers(file: &str) -> bool {
    let words = file.lines().filter_map(|line| line.split_whitespace().next());
    words.into_iter().any(|word| ["TCP", "UDP", "SCTP", "FWM"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_servers_are_told_from_the_headings_of_the_kernels_list() {
        let headings = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
                        -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";
        assert!(!has_servers(""));
        assert!(!has_servers(headings));
        let server = "TCP  0A60000A:0050 rr \n  -> 0AF4010B:0050      Masq    1      0          0         \n";
        assert!(has_servers(&format!("{headings}{server}")));
    }
}
