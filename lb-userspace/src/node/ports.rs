//! Ports to masquerade with: none that the kernel gives to sockets by itself, as long as it leaves any; none of a
//! NodePort.

use lb_common::{NodeConfig, NodeFlags, PortRange};

/// Fewer than this, and a backend with many clients may run out of them.
pub const ENOUGH: u32 = 30_000;

/// With fewer than this nothing can be served: ports are shared with sockets then.
const TOO_FEW: u32 = 256;

/// What the kernel gives to sockets that ask for no port, where it does not tell (its own default).
const LOCAL_PORTS: PortRange = PortRange::new(32_768, 60_999);

/// `net.ipv4.ip_local_port_range` of this network namespace; it is of IPv6 too.
pub fn local_ports() -> PortRange {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse(&text).unwrap_or(LOCAL_PORTS)
}

fn parse(text: &str) -> Option<PortRange> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(PortRange::new(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The ports to masquerade with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasqueradePorts {
    /// At most two ranges of them.
    pub ranges: [PortRange; 2],
    /// Whether the kernel gives them to sockets too. One that a socket has when a flow begins is left alone; a
    /// socket that gets it later, toward the same backend, would lose its answers to the flow.
    pub are_shared: bool,
}

impl MasqueradePorts {
    /// Where the kernel gives `local` to sockets, and Kubernetes `node_ports` to Services.
    pub fn new(local: PortRange, node_ports: PortRange) -> Self {
        let ranges = left(local, node_ports);
        if count(&ranges) >= TOO_FEW {
            return Self { ranges, are_shared: false };
        }
        Self { ranges: left(PortRange::EMPTY, node_ports), are_shared: true }
    }
}

/// What whoever runs the node should know of its ports to masquerade with.
pub fn remark(config: &NodeConfig) -> Option<String> {
    const REMEDY: &str = "narrow net.ipv4.ip_local_port_range";
    let count = config.port_count();
    if config.flags().has(NodeFlags::SHARED_PORTS) {
        return Some(format!(
            "shared with sockets of the node, to which the kernel gives nearly all: {REMEDY}"
        ));
    }
    let few = format!("{count} are few: no more flows to one backend of another node at a time; {REMEDY}");
    (count < ENOUGH).then_some(few)
}

fn count(ranges: &[PortRange]) -> u32 {
    ranges.iter().map(PortRange::len).sum()
}

/// The two largest ranges that are left from port 1024 on.
fn left(local: PortRange, node_ports: PortRange) -> [PortRange; 2] {
    let mut taken = [local, node_ports];
    taken.sort_by_key(PortRange::first);
    let mut free = Vec::new();
    let mut from = 1024_u32;
    for range in taken {
        if range.is_empty() {
            continue;
        }
        free.push(between(from, u32::from(range.first())));
        from = from.max(u32::from(range.last()) + 1);
    }
    free.push(between(from, u32::from(u16::MAX) + 1));
    free.sort_by_key(|range| std::cmp::Reverse(range.len()));
    free.truncate(2);
    free.resize(2, PortRange::EMPTY);
    free.sort_by_key(PortRange::first);
    [free[0], free[1]]
}

/// From `first` to the port before `end`.
fn between(first: u32, end: u32) -> PortRange {
    let ends = (u16::try_from(first), u16::try_from(end.saturating_sub(1)));
    match ends {
        (Ok(first), Ok(last)) if first <= last => PortRange::new(first, last),
        _ => PortRange::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use lb_common::Addr;

    use super::*;

    #[track_caller]
    fn check(local: (u16, u16), node_ports: (u16, u16), expected: [(u16, u16); 2]) {
        let range = |(first, last)| PortRange::new(first, last);
        assert_eq!(left(range(local), range(node_ports)), expected.map(range));
    }

    #[test]
    fn by_default_there_are_more_than_thirty_thousand() {
        check((32_768, 60_999), (30_000, 32_767), [(1024, 29_999), (61_000, 65_535)]);
        let ports = MasqueradePorts::new(LOCAL_PORTS, PortRange::new(30_000, 32_767));
        assert!(count(&ports.ranges) >= ENOUGH && !ports.are_shared);
        assert_eq!(remark(&config(ports)), None);
    }

    fn config(ports: MasqueradePorts) -> NodeConfig {
        let flags = NodeFlags::empty().with_if(ports.are_shared, NodeFlags::SHARED_PORTS);
        NodeConfig::new(Addr::UNSPECIFIED, Addr::UNSPECIFIED, ports.ranges, flags)
    }

    #[test]
    fn where_few_are_left_it_is_said() {
        let ports = MasqueradePorts::new(PortRange::new(1024, 65_000), PortRange::new(30_000, 32_767));
        assert_eq!((count(&ports.ranges), ports.are_shared), (535, false));
        assert!(remark(&config(ports)).is_some_and(|remark| remark.starts_with("535 are few")));
    }

    #[test]
    fn where_hardly_any_is_left_they_are_shared_with_sockets_but_never_with_node_ports() {
        for last in [65_400, 65_535] {
            let ports = MasqueradePorts::new(PortRange::new(1024, last), PortRange::new(30_000, 32_767));
            assert!(ports.are_shared);
            assert_eq!(ports.ranges, [PortRange::new(1024, 29_999), PortRange::new(32_768, 65_535)]);
            assert!(remark(&config(ports)).is_some_and(|remark| remark.starts_with("shared with sockets")));
        }
    }

    #[test]
    fn of_three_ranges_the_largest_two_are_taken() {
        check((10_000, 19_999), (30_000, 32_767), [(20_000, 29_999), (32_768, 65_535)]);
    }

    #[test]
    fn ranges_that_overlap_or_take_all_leave_what_is_left() {
        check((30_000, 61_000), (30_000, 32_767), [(1024, 29_999), (61_001, 65_535)]);
        check((1024, 65_535), (30_000, 32_767), [(1, 0), (1, 0)]);
        check((1, 0), (1, 0), [(1, 0), (1024, 65_535)]);
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(parse("32768\t60999\n"), Some(PortRange::new(32_768, 60_999)));
        assert_eq!(parse("32768"), None);
        assert_eq!(parse(""), None);
    }
}
