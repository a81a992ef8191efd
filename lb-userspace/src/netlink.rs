//! Netlink by hand (linux/netlink.h): requests of a few bytes, and answers of which a few fields count.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// `NLMSG_ERROR`, `NLMSG_DONE`; `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP`
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
/// `struct nlmsghdr`
const HEADER: usize = 16;
/// `struct nlattr`, and the two flags above its type.
const ATTRIBUTE: usize = 4;
const TYPE: u16 = 0x3fff;
/// The kernel answers at once; this is for the case that it doesn't.
const PATIENCE: Duration = Duration::from_secs(2);
/// Larger than any one answer: the kernel sends 32 KiB of a list at most.
const BUFFER: usize = 1 << 16;

/// A socket of the network namespace that it was opened in.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Netlink {
    /// For the network namespace that the calling thread is in now.
    ///
    /// # Errors
    ///
    /// `EPROTONOSUPPORT` where the kernel has no such protocol.
    pub(crate) fn open(protocol: Protocol) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(protocol))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// Asks for a list: `take` is given the body of each answer of type `answer`.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(crate) fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        answer: u16,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.send(kind, REQUEST | DUMP, body)?;
        loop {
            let received = recv(&self.socket, &mut self.buffer, RecvFlags::empty())?.0;
            let mut rest = &self.buffer[..received];
            while let Some((kind, body, after)) = split(rest) {
                match kind {
                    DONE => return Ok(()),
                    ERROR => return errno(body),
                    _ if kind == answer => take(body),
                    _ => {}
                }
                rest = after;
            }
        }
    }

    /// Has something done.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(crate) fn order(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        self.send(kind, REQUEST | ACK, body)?;
        let received = recv(&self.socket, &mut self.buffer, RecvFlags::empty())?.0;
        match split(&self.buffer[..received]) {
            Some((ERROR, body, _)) => errno(body),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let mut message = Vec::with_capacity(HEADER + body.len());
        let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }
}

/// The first message of some: its type, its body, and what follows it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(array(bytes, 4)?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// `struct nlmsgerr`: an errno below zero, or 0 for an acknowledgement.
fn errno(body: &[u8]) -> io::Result<()> {
    match array(body, 0).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(negative) => Err(io::Error::from_raw_os_error(negative.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The attribute of a type, among those that `bytes` has.
pub(crate) fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(array(bytes, 0)?));
        let kind = u16::from_ne_bytes(array(bytes, 2)?) & TYPE;
        let value = bytes.get(ATTRIBUTE..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

/// The bytes at a place, where there are as many.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_cut_short_ends_where_it_is_cut() {
        assert_eq!(split(&[0; 3]), None);
        assert_eq!(split(&[200, 0, 0, 0, 20, 0, 0, 0]), None);
    }

    #[test]
    fn an_attribute_is_found_behind_others_and_not_where_the_bytes_end() {
        let bytes = [5_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat();
        let bytes =
            [bytes, vec![7, 0, 0, 0], [6_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat(), vec![8, 9]];
        let bytes = bytes.concat();
        assert_eq!(attribute(&bytes, 1), Some(&[7][..]));
        assert_eq!(attribute(&bytes, 2), Some(&[8, 9][..]));
        assert_eq!(attribute(&bytes, 3), None);
        assert_eq!(attribute(&bytes[..13], 2), None);
        assert_eq!(attribute(&[0, 0, 1, 0], 1), None);
    }
}
