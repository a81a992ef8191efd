//! The node's devices, routes and neighbours.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;

use crate::name;
use crate::netns::Netns;
use crate::sweep;

/// The node's IPv4 address on its external device.
pub const NODE_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 49, 11);
/// The node's IPv6 address on its external device.
pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x192, 0x168, 0x49, 0, 0, 0, 0x11);

/// Pods to which the way takes [`NARROW_MTU`] bytes at once and no more.
pub const NARROW: [&str; 2] = ["10.244.3.5:8080", "[fd00:10:244:3::5]:8080"];
/// Bytes of IP.
pub const NARROW_MTU: u16 = 1_400;

/// What `ip` is told. `out0` leads out of the node, `pod0` to its pods; both ends of each pair stay here, for
/// no packet ever travels.
const LINES: &[&str] = &[
    "link add out0 address 02:00:00:00:00:01 type veth peer name wire0",
    "link add pod0 address 02:00:00:00:00:01 type veth peer name wire1",
    "addr add 192.168.49.11/24 dev out0",
    "addr add fd00:192:168:49::11/64 dev out0 nodad",
    "link set out0 up",
    "link set wire0 up",
    "link set pod0 up",
    "link set wire1 up",
    // An MTU that is not locked is not one for what is forwarded (`ip_mtu_from_fib_result`).
    // To the router that clients outside are behind, to two other nodes, and to this node's pods.
    "route add 192.0.2.0/24 via 192.168.49.1",
    "route add 16.0.0.0/4 via 192.168.49.1",
    "route add 10.244.2.0/24 via 192.168.49.12",
    "route add 10.244.3.0/24 via 192.168.49.12 mtu lock 1400",
    "route add 10.244.1.0/24 dev pod0",
    "route add 2001:db8::/32 via fd00:192:168:49::1",
    "route add fd00:10:244:2::/64 via fd00:192:168:49::12",
    "route add fd00:10:244:3::/64 via fd00:192:168:49::12 mtu lock 1400",
    "route add fd00:10:244:1::/64 dev pod0",
    "neigh add 192.168.49.1 lladdr 02:00:00:00:00:02 dev out0 nud permanent",
    "neigh add 192.168.49.12 lladdr 02:00:00:00:00:12 dev out0 nud permanent",
    "neigh add 10.244.1.5 lladdr 02:00:00:00:00:02 dev pod0 nud permanent",
    "neigh add fd00:192:168:49::1 lladdr 02:00:00:00:00:02 dev out0 nud permanent",
    "neigh add fd00:192:168:49::12 lladdr 02:00:00:00:00:12 dev out0 nud permanent",
    "neigh add fd00:10:244:1::5 lladdr 02:00:00:00:00:02 dev pod0 nud permanent",
];

/// A node that forwards.
pub(super) fn create() -> Result<Netns> {
    sweep::sweep();
    let netns = Netns::create(format!("{}-lab", name::unique()))?;
    netns.set_sysctl("net/ipv4/ip_forward", "1")?;
    netns.set_sysctl("net/ipv6/conf/all/forwarding", "1")?;
    netns.ip(LINES)?;
    Ok(netns)
}

/// The numbers of the external and the pod-side device, in the network namespace of this thread.
pub(super) fn devices() -> Result<[u32; 2]> {
    let number = |name: &str| if_nametoindex(name).with_context(|| format!("no device {name}"));
    Ok([number("out0")?, number("pod0")?])
}

/// Whether an address is that of a pod of this node.
pub(super) fn is_on_node(addr: SocketAddr) -> bool {
    match addr {
        SocketAddr::V4(addr) => addr.ip().octets().starts_with(&[10, 244, 1]),
        SocketAddr::V6(addr) => addr.ip().segments().starts_with(&[0xfd00, 0x10, 0x244, 1]),
    }
}
