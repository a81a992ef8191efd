//! What is in the kernel: where the programs are, what they were told, how full the maps are, what happened.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use lb_common::{Addr, Counter, NodeConfig, NodeFlags};
use serde::{Serialize, Serializer};

use super::{Format, counters};
use crate::datapath::{DeviceStatus, Exhausted, Fill};
use crate::node::ports::remark;
use crate::node::sysctls::{Outcome, State};
use crate::text;

/// A datapath as it is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The pins of this layout version.
    pub pins: PathBuf,
    /// Whether a controller holds them.
    #[serde(rename = "controlled")]
    pub is_controlled: bool,
    /// What the packet path was told of the node; none before it was told anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeStatus>,
    /// Every device of the node.
    pub devices: Vec<DeviceStatus>,
    /// How full the maps are.
    pub maps: Vec<Fill>,
    /// How often each thing counted has happened since the maps were made.
    #[serde(serialize_with = "by_name")]
    pub counters: Vec<(Counter, u64)>,
    /// Backends toward which no masquerade port was free.
    pub exhausted: Vec<Exhausted>,
    /// Settings of the kernel, as the instance that came last made them.
    pub settings: Vec<Outcome>,
}

/// What the packet path was told of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// In place of clients, where the route to the backend has no address of its own.
    pub masquerade: Vec<IpAddr>,
    /// Ranges of ports to masquerade with: `1024-29999`.
    pub ports: Vec<String>,
    /// How many ports these are: as many flows of one protocol can be masqueraded toward one backend.
    #[serde(rename = "portCount")]
    pub port_count: u32,
    /// What is to be known of them, where they are few.
    #[serde(rename = "portsRemark", skip_serializing_if = "Option::is_none")]
    pub ports_remark: Option<String>,
    /// Whether pings of Service addresses are answered.
    #[serde(rename = "pingAnswered")]
    pub is_ping_answered: bool,
}

impl From<NodeConfig> for NodeStatus {
    fn from(config: NodeConfig) -> Self {
        let like = [Addr::from(IpAddr::from([0; 4])), Addr::UNSPECIFIED];
        let masquerade = like.map(|like| config.masquerade(like));
        let ranges = config.ports().into_iter().filter(|range| !range.is_empty());
        Self {
            masquerade: masquerade
                .into_iter()
                .filter(|addr| *addr != Addr::UNSPECIFIED)
                .map(IpAddr::from)
                .collect(),
            ports: ranges.map(|range| format!("{}-{}", range.first(), range.last())).collect(),
            port_count: config.port_count(),
            ports_remark: remark(&config),
            is_ping_answered: config.flags().has(NodeFlags::VIP_PING),
        }
    }
}

fn by_name<S: Serializer>(counters: &[(Counter, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counters.iter().map(|(counter, times)| (counter.name(), times)))
}

/// Prints a status as tables or as JSON. In a table, devices that are left alone for one reason share a line,
/// for a node has one for each pod, and what is empty or never happened is left out; not in a wide one.
///
/// # Errors
///
/// Where `out` can't be written.
pub fn print_status_into(out: &mut impl Write, status: &Status, format: Format) -> io::Result<()> {
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, status)?;
        return writeln!(out);
    }
    let wide = format == Format::Wide;
    let controller =
        if status.is_controlled { "running" } else { "not running; what is there goes on being served" };
    writeln!(out, "pins        {}", text::name(status.pins.display()))?;
    writeln!(out, "controller  {controller}")?;
    if let Some(node) = &status.node {
        writeln!(out, "masquerade  {}", masquerade(node))?;
        if let Some(remark) = &node.ports_remark {
            writeln!(out, "ports       {remark}")?;
        }
        writeln!(out, "ping        {}", if node.is_ping_answered { "answered" } else { "not answered" })?;
    }
    let tables = [
        Some(devices(&status.devices, wide)),
        maps(&status.maps, wide),
        counters::table(&status.counters, wide),
        exhausted(&status.exhausted),
        settings(&status.settings, wide),
    ];
    for table in tables.into_iter().flatten() {
        writeln!(out)?;
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    Ok(())
}

fn masquerade(node: &NodeStatus) -> String {
    let addresses: Vec<String> = node.masquerade.iter().map(ToString::to_string).collect();
    if addresses.is_empty() {
        return "impossible: the node has no address that leads outside".to_owned();
    }
    format!("{}, ports {} ({} of them)", addresses.join(" and "), node.ports.join(" and "), node.port_count)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

fn devices(devices: &[DeviceStatus], wide: bool) -> Table {
    let mut table = table(&["DEVICE", "ROLE", "INGRESS", "EGRESS", "WHY"]);
    let mut alone: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for device in devices {
        // The kernel takes any byte in the name of a device but a blank and a slash.
        let name = text::name(&device.device).to_string();
        let why = text::name(device.why.as_deref().unwrap_or("-")).to_string();
        match &device.role {
            None if !wide => alone.entry(why).or_default().push(name),
            role => {
                let role = role.as_deref().unwrap_or("-");
                table.add_row([&name, role, device.ingress.name(), device.egress.name(), &why]);
            }
        }
    }
    for (why, devices) in alone {
        table.add_row([&some_of(&devices), "-", "off", "off", &why]);
    }
    table
}

fn maps(maps: &[Fill], all: bool) -> Option<Table> {
    let mut table = table(&["MAP", "ENTRIES", "OF", "FULL"]);
    for fill in maps.iter().filter(|fill| all || fill.entries > 0) {
        let full = format!("{} %", fill.entries * 100 / fill.capacity.max(1));
        table.add_row([fill.map, &fill.entries.to_string(), &fill.capacity.to_string(), &full]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    (!table.is_empty()).then_some(table)
}

fn exhausted(exhausted: &[Exhausted]) -> Option<Table> {
    let mut table = table(&["OUT OF PORTS TOWARD", "SERVICE", "PACKETS DROPPED"]);
    for Exhausted { backend, service, packets, .. } in exhausted {
        let service = text::name(service.as_deref().unwrap_or("-")).to_string();
        table.add_row([backend.to_string(), service, packets.to_string()]);
    }
    (!table.is_empty()).then_some(table)
}

fn settings(settings: &[Outcome], all: bool) -> Option<Table> {
    let mut table = table(&["SETTING", "WANTED", "STATE"]);
    for Outcome { file, wanted, state } in settings {
        let state = match state {
            State::Right | State::Set { .. } if !all => continue,
            State::Right => "as wanted".to_owned(),
            State::Set { before } => format!("made so; it was {before}"),
            State::Different { now } => format!("left at {now}; see --set-forwarding"),
            State::Missing => "not there yet: made when it is".to_owned(),
            State::Failed { why } => format!("cannot be made so: {why}"),
        };
        table.add_row([format!("/{file}"), wanted.to_string(), state]);
    }
    (!table.is_empty()).then_some(table)
}

/// A few names, and how many more there are.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(" ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use lb_common::{BackendId, PortRange};

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

    fn setting(file: &str, wanted: u64, state: State) -> Outcome {
        Outcome { file: file.to_owned(), wanted, state }
    }

    fn status() -> Status {
        let pods = (3..8).map(|index| device(index, &format!("veth{index}"), Some("leads to a pod")));
        let devices = [device(1, "lo", Some("loopback")), device(2, "eth0", None)].into_iter().chain(pods);
        let ports = [PortRange::new(1024, 29_999), PortRange::new(61_000, 65_535)];
        let address = Addr::from(IpAddr::from([192, 168, 0, 2]));
        let node = NodeConfig::new(address, Addr::UNSPECIFIED, ports, NodeFlags::VIP_PING);
        Status {
            pins: "/sys/fs/bpf/shunt/v1".into(),
            is_controlled: true,
            node: Some(node.into()),
            devices: devices.collect(),
            maps: vec![
                Fill { map: "FLOWS", entries: 262_144, capacity: 524_288 },
                Fill { map: "NEW_FLOWS", entries: 0, capacity: 131_072 },
            ],
            counters: vec![(Counter::TcForward, 12), (Counter::TcReply, 0), (Counter::SourceRefused, 3)],
            exhausted: vec![Exhausted {
                id: BackendId::from_number(1),
                backend: "10.244.2.5:80".parse().expect("a socket's address"),
                service: Some("default/web".to_owned()),
                packets: 4,
            }],
            settings: vec![
                setting("proc/sys/net/ipv4/ip_forward", 1, State::Set { before: 0 }),
                setting("proc/sys/net/netfilter/nf_conntrack_max", 131_072, State::Missing),
            ],
        }
    }

    fn printed(format: Format) -> String {
        printed_of(&status(), format)
    }

    fn printed_of(status: &Status, format: Format) -> String {
        let mut out = Vec::new();
        print_status_into(&mut out, status, format).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn names_of_any_bytes_are_printed_as_text() {
        let mut status = status();
        let evil = "x\u{1b}[2J\u{202e}\nforged";
        status.pins = format!("/sys/{evil}").into();
        status.devices = vec![
            DeviceStatus { why: Some(evil.to_owned()), ..device(1, evil, None) },
            device(2, evil, Some(evil)),
        ];
        status.exhausted[0].service = Some(evil.to_owned());
        for format in [Format::Table, Format::Wide] {
            let said = printed_of(&status, format);
            assert_eq!(said.matches(r"x\u{1b}[2J\u{202e}\nforged").count(), 6, "{said}");
            assert!(!said.contains(['\u{1b}', '\u{202e}']) && !said.contains("\nforged"), "{said:?}");
        }
    }

    #[test]
    fn a_status_says_what_is_in_use_and_why_not_what_is_full_and_what_happened() {
        let expected = "\
pins        /sys/fs/bpf/shunt/v1
controller  running
masquerade  192.168.0.2, ports 1024-29999 and 61000-65535 (33512 of them)
ping        answered

 DEVICE                        ROLE      INGRESS  EGRESS  WHY
 eth0                          external  tcx      tcx     -
 veth3 veth4 veth5 and 2 more  -         off      off     leads to a pod
 lo                            -         off      off     loopback

 MAP    ENTRIES      OF  FULL
 FLOWS   262144  524288  50 %

 COUNTED         TIMES  BECAME   WHAT
 tc-forward      12     served   packet of a client, sent on to an endpoint
 source-refused  3      dropped  client outside the Service's source ranges

 OUT OF PORTS TOWARD  SERVICE      PACKETS DROPPED
 10.244.2.5:80        default/web  4

 SETTING                                   WANTED  STATE
 /proc/sys/net/netfilter/nf_conntrack_max  131072  not there yet: made when it is
";
        assert_eq!(printed(Format::Table), expected);
    }

    #[test]
    fn a_status_says_that_ports_to_masquerade_with_are_few() {
        let ports = [PortRange::new(65_001, 65_535), PortRange::EMPTY];
        let address = Addr::from(IpAddr::from([192, 168, 0, 2]));
        let node = NodeConfig::new(address, Addr::UNSPECIFIED, ports, NodeFlags::empty());
        let mut out = Vec::new();
        let status = Status { node: Some(node.into()), ..status() };
        print_status_into(&mut out, &status, Format::Table).expect("a vector takes all");
        let said = String::from_utf8(out).expect("text");
        assert!(said.contains("\nports       535 are few"), "{said}");
    }

    #[test]
    fn a_wide_status_leaves_nothing_out() {
        let wide = printed(Format::Wide);
        for text in ["veth3", "veth7", "NEW_FLOWS", "tc-reply", "made so; it was 0"] {
            assert!(wide.contains(text), "{text} in {wide}");
        }
    }

    #[test]
    fn programs_find_counters_by_name() {
        let said: serde_json::Value = serde_json::from_str(&printed(Format::Json)).expect("JSON");
        assert_eq!(said["counters"]["tc-forward"], 12);
        assert_eq!(said["maps"][0]["entries"], 262_144);
        assert_eq!(said["node"]["masquerade"][0], "192.168.0.2");
        assert_eq!(said["node"]["portCount"], 33_512);
        assert_eq!(said["exhausted"][0]["service"], "default/web");
        assert_eq!(said["devices"][1]["ingress"], "tcx");
        assert_eq!(said["settings"][1]["state"], "missing");
    }
}
