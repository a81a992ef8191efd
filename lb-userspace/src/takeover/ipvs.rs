//! What kube-proxy's IPVS mode leaves besides chains: the device with the addresses of Services, the virtual
//! servers, and the sets of addresses that its chains match. The virtual servers go as a whole, as
//! `kube-proxy --cleanup` does it, and only where the device is there: a connection through one of them ends,
//! for IPVS forwards by no table but its own.

use std::path::Path;

use super::tools::{self, ToolError};

/// The device that only kube-proxy makes.
pub(super) const DEVICE: &str = "kube-ipvs0";
/// What its sets are called.
const SETS: &str = "KUBE-";

pub(super) fn is_there() -> bool {
    // Of the network namespace of the thread that asks; /sys may be another's.
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    devices
        .lines()
        .any(|line| line.trim_start().strip_prefix(DEVICE).is_some_and(|rest| rest.starts_with(':')))
}

pub(super) fn remove() -> Result<(), ToolError> {
    // Without the module there are no virtual servers, and the tool would fail.
    if Path::new("/proc/net/ip_vs").exists() {
        tools::output("ipvsadm", &["--clear"])?;
    }
    tools::output("ip", &["link", "delete", DEVICE])?;
    let sets = tools::output("ipset", &["list", "-name"])?.unwrap_or_default();
    for set in sets.lines().filter(|set| set.starts_with(SETS)) {
        // One that a chain which stays still matches can't be destroyed, and stays as well.
        let _stays = tools::output("ipset", &["destroy", set]);
    }
    Ok(())
}
