//! Where the programs are.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::Format;
use crate::datapath::DeviceStatus;

/// A datapath as it is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The pins of this layout version.
    pub pins: PathBuf,
    /// Whether a controller holds them.
    #[serde(rename = "controlled")]
    pub is_controlled: bool,
    /// Every device of the node.
    pub devices: Vec<DeviceStatus>,
}

/// Prints a status as a table or as JSON. In a table, devices that are left alone for one reason share a
/// line, for a node has one for each pod; not in a wide one.
///
/// # Errors
///
/// Where `out` can't be written.
pub fn print_status_into(out: &mut impl Write, status: &Status, format: Format) -> io::Result<()> {
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, status)?;
        return writeln!(out);
    }
    let controller =
        if status.is_controlled { "running" } else { "not running; what is there goes on being served" };
    writeln!(out, "pins        {}", status.pins.display())?;
    writeln!(out, "controller  {controller}")?;
    writeln!(out)?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["DEVICE", "ROLE", "INGRESS", "EGRESS", "WHY"]);
    let mut alone: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for device in &status.devices {
        let why = device.why.as_deref().unwrap_or("-");
        match &device.role {
            None if format != Format::Wide => alone.entry(why).or_default().push(&device.device),
            role => {
                let role = role.as_deref().unwrap_or("-");
                table.add_row([&device.device, role, device.ingress.name(), device.egress.name(), why]);
            }
        }
    }
    for (why, devices) in alone {
        table.add_row([&some_of(&devices), "-", "off", "off", why]);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A few names, and how many more there are.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(" ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::HookState;

    fn device(index: u32, name: &str, why: Option<&str>) -> DeviceStatus {
        let state = if why.is_none() { HookState::Tcx } else { HookState::Off };
        DeviceStatus {
            device: name.to_owned(),
            index,
            role: why.is_none().then(|| "external".to_owned()),
            ingress: state,
            egress: state,
            why: why.map(str::to_owned),
            made_qdisc: false,
        }
    }

    fn printed(format: Format) -> String {
        let pods = (3..8).map(|index| device(index, &format!("veth{index}"), Some("leads to a pod")));
        let devices = [device(1, "lo", Some("loopback")), device(2, "eth0", None)].into_iter().chain(pods);
        let status =
            Status { pins: "/sys/fs/bpf/shunt/v1".into(), is_controlled: true, devices: devices.collect() };
        let mut out = Vec::new();
        print_status_into(&mut out, &status, format).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_status_has_a_line_for_each_device_in_use_and_for_each_reason_why_not() {
        let expected = "\
pins        /sys/fs/bpf/shunt/v1
controller  running

 DEVICE                        ROLE      INGRESS  EGRESS  WHY
 eth0                          external  tcx      tcx     -
 veth3 veth4 veth5 and 2 more  -         off      off     leads to a pod
 lo                            -         off      off     loopback
";
        assert_eq!(printed(Format::Table), expected);
    }

    #[test]
    fn a_wide_status_has_a_line_for_each_device() {
        assert_eq!(printed(Format::Wide).lines().count(), 4 + 7);
    }
}
