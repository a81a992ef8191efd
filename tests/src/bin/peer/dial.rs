//! One dial, and what the client sees of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::bail;
use lb_tests::wire::{Answer, Attempt, Failure, Greeting, Outcome, Step, Transport, monotonic};
use socket2::Socket;

use crate::socket::{self, At, mapped, wildcard};

/// linux/socket.h
const MSG_FASTOPEN: i32 = 0x2000_0000;

#[derive(clap::Args)]
pub(crate) struct Dial {
    /// How
    transport: Transport,
    /// What: addresses and ports, dialled one after another
    targets: Vec<SocketAddr>,
    /// Reads further targets from standard input, one a line
    #[arg(long)]
    stdin: bool,
    /// Dials all of them so many times
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// UDP: one socket for all dials; a connected one is connected anew for each
    #[arg(long)]
    one_socket: bool,
    #[command(flatten)]
    style: Style,
}

/// How each dial is made.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Style {
    /// IPv4 by an IPv6 socket
    #[arg(long)]
    mapped: bool,
    /// Binds this port first
    #[arg(long, default_value_t = 0)]
    source_port: u16,
    /// UDP: pads the question to so many bytes; the answer is as long
    #[arg(long, default_value_t = 0)]
    size: usize,
    /// TCP: the first data with what opens (sendto(2) with MSG_FASTOPEN, RFC 7413), without connect(2)
    #[arg(long)]
    fast_open: bool,
    /// Milliseconds that each call may take
    #[arg(long, default_value_t = 5000)]
    timeout_ms: u64,
}

impl Dial {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.one_socket && self.transport == Transport::Tcp {
            bail!("a TCP socket dials once: --one-socket is for UDP");
        }
        let mut shared = None;
        for _ in 0..self.count {
            for target in &self.targets {
                self.dial(*target, &mut shared)?;
            }
        }
        if self.stdin {
            for line in io::stdin().lines() {
                self.dial(line?.trim().parse()?, &mut shared)?;
            }
        }
        Ok(())
    }

    fn dial(&self, target: SocketAddr, shared: &mut Option<UdpSocket>) -> anyhow::Result<()> {
        let attempt = attempt(self.transport, target, self.style, shared);
        if !self.one_socket {
            *shared = None;
        }
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &attempt)?;
        writeln!(out)?;
        out.flush()?;
        Ok(())
    }
}

/// Dials with the UDP socket `shared` or a new one, and leaves it there.
pub(crate) fn attempt(
    transport: Transport,
    target: SocketAddr,
    style: Style,
    shared: &mut Option<UdpSocket>,
) -> Attempt {
    let target = if style.mapped { mapped(target) } else { target };
    let started_ns = monotonic();
    let outcome = match transport {
        Transport::Tcp => dial_tcp(target, style),
        Transport::Udp | Transport::UdpUnconnected => dial_udp(transport, target, style, shared),
    };
    let elapsed_us = (monotonic() - started_ns) / 1000;
    Attempt {
        target,
        started_ns,
        elapsed_us,
        outcome: outcome.map_or_else(Outcome::Failed, Outcome::Answered),
    }
}

fn dial_tcp(target: SocketAddr, style: Style) -> Result<Answer, Failure> {
    let socket = open(Transport::Tcp, target, style)?;
    let request = format!("GET / HTTP/1.0\r\nHost: {target}\r\n\r\n");
    if style.fast_open {
        socket.send_to_with_flags(request.as_bytes(), &target.into(), MSG_FASTOPEN).at(Step::Send)?;
    } else {
        socket.connect(&target.into()).at(Step::Connect)?;
    }
    let mut stream = TcpStream::from(socket);
    let own = stream.local_addr().at(Step::Socket)?;
    let peer = stream.peer_addr().at(Step::Socket)?;
    if !style.fast_open {
        stream.write_all(request.as_bytes()).at(Step::Send)?;
    }
    let mut response = String::new();
    // The server closes first, so that it is the server's end which waits in TIME_WAIT and the client's
    // ports do not run out.
    stream.read_to_string(&mut response).at(Step::Receive)?;
    let (_, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    Ok(Answer { greeting: parse(body.as_bytes())?, peer_name: Some(peer), source: None, own })
}

fn dial_udp(
    transport: Transport,
    target: SocketAddr,
    style: Style,
    shared: &mut Option<UdpSocket>,
) -> Result<Answer, Failure> {
    let socket = match shared {
        Some(socket) => socket,
        None => shared.insert(open(transport, target, style)?.into()),
    };
    let mut question = b"who are you?".to_vec();
    question.resize(question.len().max(style.size), b' ');
    let peer_name = if transport == Transport::Udp {
        socket.connect(target).at(Step::Connect)?;
        let peer = socket.peer_addr().at(Step::Socket)?;
        socket.send(&question).at(Step::Send)?;
        Some(peer)
    } else {
        socket.send_to(&question, target).at(Step::Send)?;
        None
    };
    let own = socket.local_addr().at(Step::Socket)?;
    let mut body = vec![0; 1 << 16];
    let (length, source) = socket.recv_from(&mut body).at(Step::Receive)?;
    if length < style.size {
        return Err(Failure::new(Step::Receive, &io::Error::other(format!("{length} bytes came"))));
    }
    Ok(Answer { greeting: parse(&body[..length])?, peer_name, source: Some(source), own })
}

fn open(transport: Transport, target: SocketAddr, style: Style) -> Result<Socket, Failure> {
    let socket = socket::open(transport, target, Duration::from_millis(style.timeout_ms)).at(Step::Socket)?;
    if style.source_port != 0 {
        socket.set_reuse_address(true).at(Step::Socket)?;
        socket.bind(&wildcard(target, style.source_port).into()).at(Step::Bind)?;
    }
    Ok(socket)
}

fn parse(body: &[u8]) -> Result<Greeting, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::new(Step::Receive, &io::Error::other(error)))
}
