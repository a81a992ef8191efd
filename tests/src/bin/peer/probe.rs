//! Where dials are sent, without anybody there to answer them.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, bail};
use lb_tests::wire::{Probe, Probed, Transport};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::fstat;
use socket2::{Domain, Protocol, Socket, Type};

/// Sockets that are open at once: reading the kernel's tables takes as long for one as for many.
const AT_ONCE: usize = 4_000;

/// Reads dials from standard input, one JSON value a line; for each, says where the kernel sends it
#[derive(clap::Args)]
pub(crate) struct Prober {}

/// A dial that was made.
enum Dialled {
    Refused(String),
    Begun(Socket),
}

impl Prober {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut dialled = Vec::new();
        for line in io::stdin().lock().lines() {
            let probe: Probe = serde_json::from_str(&line?)?;
            for _ in 0..probe.count {
                dialled.push(dial(&probe)?);
                if dialled.len() == AT_ONCE {
                    tell(&mut dialled, &mut out)?;
                }
            }
        }
        tell(&mut dialled, &mut out)?;
        Ok(out.flush()?)
    }
}

fn dial(probe: &Probe) -> anyhow::Result<Dialled> {
    let (kind, protocol) = match probe.transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::UdpUnconnected => bail!("an unconnected socket is sent nowhere"),
    };
    let socket = Socket::new(Domain::for_address(probe.target), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    let error = match socket.connect(&probe.target.into()) {
        Ok(()) => None,
        Err(error) => error.raw_os_error().map(Errno::from_raw),
    };
    Ok(match error {
        None | Some(Errno::EINPROGRESS) => Dialled::Begun(socket),
        Some(errno) => Dialled::Refused(format!("{errno:?}")),
    })
}

/// Says what became of dials, and closes their sockets.
fn tell(dialled: &mut Vec<Dialled>, out: &mut impl Write) -> anyhow::Result<()> {
    let remotes = remotes()?;
    for dialled in dialled.drain(..) {
        let probed = match dialled {
            Dialled::Refused(errno) => Probed::Refused(errno),
            Dialled::Begun(socket) => {
                remotes.get(&fstat(&socket)?.st_ino).map_or(Probed::Closed, |remote| Probed::SentTo(*remote))
            }
        };
        serde_json::to_writer(&mut *out, &probed)?;
        writeln!(out)?;
    }
    Ok(())
}

/// What the kernel has as the other end of each socket, by inode: getpeername(2) says what was dialled.
fn remotes() -> anyhow::Result<HashMap<u64, SocketAddr>> {
    let mut remotes = HashMap::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text =
            fs::read_to_string(format!("/proc/self/net/{table}")).with_context(|| format!("read {table}"))?;
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, _, remote, _, _, _, _, _, _, inode, ..] = fields[..] else { bail!("in {table}: {line}") };
            remotes.insert(inode.parse()?, parse(remote)?);
        }
    }
    Ok(remotes)
}

/// `0100007F:0050`: words as they stand in memory, the port as a number.
fn parse(text: &str) -> anyhow::Result<SocketAddr> {
    let (addr, port) = text.split_once(':').context("no port")?;
    let words = addr.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word)?, 16)?;
        Ok(word.to_ne_bytes())
    });
    let bytes: Vec<u8> = words.collect::<anyhow::Result<Vec<_>>>()?.concat();
    let ip: IpAddr = match bytes.as_slice() {
        [a, b, c, d] => Ipv4Addr::new(*a, *b, *c, *d).into(),
        bytes => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).context("not an address")?).into(),
    };
    Ok(SocketAddr::new(ip, u16::from_str_radix(port, 16)?))
}
