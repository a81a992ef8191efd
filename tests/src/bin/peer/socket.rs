//! Sockets with the options that the tests ask for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lb_tests::wire::{Failure, Step, Transport};
use socket2::{Domain, Protocol, Socket, Type};

/// A socket of the family of `addr`, with time-outs on its calls.
pub(crate) fn open(transport: Transport, addr: SocketAddr, timeout: Duration) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp | Transport::UdpUnconnected => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))?;
    Ok(socket)
}

/// The same address for an IPv6 socket: IPv4 in mapped form.
pub(crate) fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// The wildcard address of the family of `addr`.
pub(crate) fn wildcard(addr: SocketAddr, port: u16) -> SocketAddr {
    let ip = match addr {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    };
    SocketAddr::new(ip, port)
}

/// Names the step that failed.
pub(crate) trait At<T> {
    /// `self`, with the step in its failure.
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, &error))
    }
}
