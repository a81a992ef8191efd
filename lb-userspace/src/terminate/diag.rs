//! The kernel's list of sockets (`sock_diag(7)`, linux/inet_diag.h), of the calling thread's network
//! namespace: what is connected where, and the end of one.
//!
//! Raw messages: two requests of fixed size and one answer of which four fields count.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use lb_common::{Addr, Port, Proto};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use crate::model::Family;

/// `SOCK_DIAG_BY_FAMILY`, `SOCK_DESTROY` (linux/sock_diag.h)
const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
/// `NLMSG_ERROR`, `NLMSG_DONE`; `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP` (linux/netlink.h)
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
/// `struct nlmsghdr`
const HEADER: usize = 16;
/// `struct inet_diag_sockid`: ports, addresses, interface and cookie of a socket.
const SOCKET_ID: usize = 48;
/// `TCP_ESTABLISHED`, which connected UDP sockets are said to be too, `TCP_SYN_SENT` and `TCP_CLOSE_WAIT`
/// (net/tcp_states.h): the states in which a socket has a peer and an owner who waits for it.
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 8;
/// The kernel answers at once; this is for the case that it doesn't.
const PATIENCE: Duration = Duration::from_secs(2);
/// Larger than any one answer: the kernel sends 32 KiB of a list at most.
const BUFFER: usize = 1 << 16;

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
pub(super) struct Diag {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Diag {
    /// For the network namespace that the calling thread is in now.
    ///
    /// # Errors
    ///
    /// Where the kernel has no `NETLINK_SOCK_DIAG`.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// The sockets of a protocol and a family that have a peer. One that comes or goes meanwhile may be missed.
    ///
    /// # Errors
    ///
    /// `ENOENT` where the kernel has no list of this protocol (module `udp_diag`, `tcp_diag`).
    pub(super) fn connected(&mut self, proto: Proto, family: Family) -> io::Result<Vec<Found>> {
        self.send(BY_FAMILY, REQUEST | DUMP, af(family), proto, [0; SOCKET_ID])?;
        let mut found = Vec::new();
        loop {
            let received = recv(&self.socket, &mut self.buffer, RecvFlags::empty())?.0;
            let mut rest = &self.buffer[..received];
            while let Some((kind, body, after)) = split(rest) {
                match kind {
                    BY_FAMILY => found.extend(parse(body, proto)),
                    DONE => return Ok(found),
                    ERROR => return errno(body).map(|()| found),
                    _ => {}
                }
                rest = after;
            }
        }
    }

    /// Ends a socket: its owner's calls fail with `ECONNABORTED`, and its peer of TCP gets a reset.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it is no longer there, or connected to something else; `EOPNOTSUPP` where the kernel was
    /// built without `CONFIG_INET_DIAG_DESTROY`.
    pub(super) fn destroy(&mut self, socket: &Found) -> io::Result<()> {
        self.send(DESTROY, REQUEST | ACK, socket.family, socket.proto, socket.id)?;
        let received = recv(&self.socket, &mut self.buffer, RecvFlags::empty())?.0;
        match split(&self.buffer[..received]) {
            Some((ERROR, body, _)) => errno(body),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// `struct inet_diag_req_v2` behind its header.
    fn send(&self, kind: u16, flags: u16, family: u8, proto: Proto, id: [u8; SOCKET_ID]) -> io::Result<()> {
        let mut message = Vec::with_capacity(HEADER + 8 + SOCKET_ID);
        let length = u32::try_from(HEADER + 8 + SOCKET_ID).unwrap_or_default();
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend([family, proto.number(), 0, 0]);
        message.extend(STATES.to_ne_bytes());
        message.extend(id);
        sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }
}

/// `AF_INET` or `AF_INET6`; sockets of the latter may be connected to mapped addresses.
fn af(family: Family) -> u8 {
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    u8::try_from(family.as_raw()).unwrap_or_default()
}

/// The first message of some: its type, its body, and what follows it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(array(bytes, 4)?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
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

/// `struct nlmsgerr`: an errno below zero, or 0 for an acknowledgement.
fn errno(body: &[u8]) -> io::Result<()> {
    match array(body, 0).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(negative) => Err(io::Error::from_raw_os_error(negative.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
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
    fn a_list_that_is_cut_short_ends_where_it_is_cut() {
        assert_eq!(split(&[0; 3]), None);
        assert_eq!(split(&[200, 0, 0, 0, 20, 0, 0, 0]), None);
        assert_eq!(parse(&[2, 1, 0, 0, 1, 2], Proto::UDP), None);
    }
}
