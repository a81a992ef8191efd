//! Packets of clients that don't exist.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use anyhow::Context;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

#[derive(clap::Args)]
pub(crate) struct Flood {
    /// Of what: the first segment of a connection, or a datagram
    #[arg(value_enum)]
    kind: Kind,
    /// Where to
    targets: Vec<SocketAddrV4>,
    /// How many
    #[arg(long)]
    count: u32,
    /// The first of as many source addresses
    #[arg(long)]
    first_source: Ipv4Addr,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Syn,
    Udp,
}

const IP_LEN: usize = 20;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// IPPROTO_RAW: the caller writes the IP header, the kernel completes its length and checksum (raw(7)).
const RAW: i32 = 255;

impl Flood {
    /// Sends all of them as fast as the machine can, each from another source, and prints how long it took.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let socket =
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW))).context("a raw socket")?;
        socket.set_send_buffer_size(1 << 22)?;
        println!("ready");
        let began = Instant::now();
        let first = u32::from(self.first_source);
        let mut sent = 0_u32;
        for (number, target) in (0..self.count).zip(self.targets.iter().cycle()) {
            // Ports differ too, and never in step with addresses.
            let port = 1024 + u16::try_from(number.wrapping_mul(2_654_435_761) % 60_000).unwrap_or(0);
            let source = SocketAddrV4::new(Ipv4Addr::from(first.wrapping_add(number)), port);
            let packet = packet(self.kind, source, *target);
            // What the queue has no room for is lost, as on any wire.
            sent += u32::from(socket.send_to(&packet, &SockAddr::from(*target)).is_ok());
        }
        println!("sent {sent} in {:?}", began.elapsed());
        Ok(())
    }
}

fn packet(kind: Kind, source: SocketAddrV4, target: SocketAddrV4) -> Vec<u8> {
    let proto = if kind == Kind::Syn { TCP } else { UDP };
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0];
    packet.extend(source.ip().octets());
    packet.extend(target.ip().octets());
    packet.extend(source.port().to_be_bytes());
    packet.extend(target.port().to_be_bytes());
    match kind {
        Kind::Syn => {
            // Sequence number, then 0 acknowledged, five words, SYN, a window, no checksum yet.
            packet.extend(u32::from(*source.ip()).to_be_bytes());
            packet.extend([0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
            let sum = checksum(&packet, TCP);
            packet[IP_LEN + 16..IP_LEN + 18].copy_from_slice(&sum.to_be_bytes());
        }
        // Length, no checksum, four bytes.
        Kind::Udp => packet.extend([0, 12, 0, 0, b'w', b'h', b'o', b'?']),
    }
    packet
}

/// RFC 9293 §3.1: over addresses, protocol, length, and everything behind the IP header.
fn checksum(packet: &[u8], proto: u8) -> u16 {
    let words = packet[12..]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let length = u32::try_from(packet.len() - IP_LEN).unwrap_or(0);
    let mut sum = words.sum::<u32>() + u32::from(proto) + length;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
