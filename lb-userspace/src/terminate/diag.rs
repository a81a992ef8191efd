//! The kernel's list of sockets (`sock_diag(7)`, linux/inet_diag.h), of the calling thread's network
//! namespace: what is connected where, and the end of one.
//!
//! Raw messages: two requests of fixed size and one answer of which four fields count.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{Addr, Port, Proto};
use rustix::net::{AddressFamily, netlink};

use crate::model::Family;
use crate::netlink::{Netlink, array};

/// `SOCK_DIAG_BY_FAMILY`, `SOCK_DESTROY` (linux/sock_diag.h)
const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
/// `struct inet_diag_sockid`: ports, addresses, interface and cookie of a socket.
const SOCKET_ID: usize = 48;
/// `TCP_ESTABLISHED`, which connected UDP sockets are said to be too, `TCP_SYN_SENT` and `TCP_CLOSE_WAIT`
/// (net/tcp_states.h): the states in which a socket has a peer and an owner who waits for it.
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 8;
/// A socket that has a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The peer's address.
    pub(super) addr: Addr,
    /// The peer's port.
    pub(super) port: Port,
    /// What /proc/PID/fd calls it.
    pub(super) inode: u32,
    /// What the kernel has it destroyed by; with the cookie in it, no other is meant.
    id: [u8; SOCKET_ID],
    family: u8,
    proto: Proto,
}

/// A question to the network namespace it was opened in.
#[derive(Debug)]
pub(super) struct Diag(Netlink);

impl Diag {
    /// For the network namespace that the calling thread is in now.
    ///
    /// # Errors
    ///
    /// Where the kernel has no `NETLINK_SOCK_DIAG`.
    pub(super) fn open() -> io::Result<Self> {
        Netlink::open(netlink::SOCK_DIAG).map(Self)
    }

    /// The sockets of a protocol and a family that have a peer. One that comes or goes meanwhile may be missed.
    ///
    /// # Errors
    ///
    /// `ENOENT` where the kernel has no list of this protocol (module `udp_diag`, `tcp_diag`).
    pub(super) fn connected(&mut self, proto: Proto, family: Family) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let request = request(af(family), proto, [0; SOCKET_ID]);
        self.0.dump(BY_FAMILY, &request, BY_FAMILY, |body| found.extend(parse(body, proto)))?;
        Ok(found)
    }

    /// Ends a socket: its owner's calls fail with `ECONNABORTED`, and its peer of TCP gets a reset.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it is no longer there, or connected to something else; `EOPNOTSUPP` where the kernel was
    /// built without `CONFIG_INET_DIAG_DESTROY`.
    pub(super) fn destroy(&mut self, socket: &Found) -> io::Result<()> {
        self.0.order(DESTROY, &request(socket.family, socket.proto, socket.id))
    }
}

/// `struct inet_diag_req_v2`
fn request(family: u8, proto: Proto, id: [u8; SOCKET_ID]) -> Vec<u8> {
    let mut body = Vec::with_capacity(8 + SOCKET_ID);
    body.extend([family, proto.number(), 0, 0]);
    body.extend(STATES.to_ne_bytes());
    body.extend(id);
    body
}

/// `AF_INET` or `AF_INET6`; sockets of the latter may be connected to mapped addresses.
fn af(family: Family) -> u8 {
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    u8::try_from(family.as_raw()).unwrap_or_default()
}

/// `struct inet_diag_msg`
fn parse(body: &[u8], proto: Proto) -> Option<Found> {
    let [family, ..] = *body else { return None };
    let id: [u8; SOCKET_ID] = array(body, 4)?;
    let ip = if family == af(Family::V4) {
        IpAddr::from(Ipv4Addr::from(array::<4>(&id, 20)?))
    } else {
        IpAddr::from(Ipv6Addr::from(array::<16>(&id, 20)?))
    };
    let port = Port::new(u16::from_be_bytes(array(&id, 2)?));
    let inode = u32::from_ne_bytes(array(body, 68)?);
    Some(Found { addr: Addr::from(ip), port, inode, id, family, proto })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn connected() -> (UdpSocket, UdpSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
        client.connect(server.local_addr().expect("its address")).expect("a connected client");
        (server, client)
    }

    fn find(client: &UdpSocket) -> Option<Found> {
        let peer = client.peer_addr().expect("its peer");
        let found = Diag::open().expect("a socket").connected(Proto::UDP, Family::V4).expect("a list");
        let mut of_client = found
            .into_iter()
            .filter(|found| found.addr == Addr::from(peer.ip()) && found.port == Port::new(peer.port()));
        let one = of_client.next();
        assert_eq!(of_client.next(), None);
        one
    }

    #[test]
    fn a_connected_socket_is_found_by_its_peer_with_its_inode() {
        let (server, client) = connected();
        let inode = rustix::fs::fstat(client.as_fd()).expect("its inode").st_ino;
        assert_eq!(find(&client).map(|found| u64::from(found.inode)), Some(inode));
        let server = server.local_addr().expect("its address").port();
        assert_eq!(find(&client).map(|found| found.port), Some(Port::new(server)));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        assert_eq!(parse(&[2, 1, 0, 0, 1, 2], Proto::UDP), None);
    }
}
