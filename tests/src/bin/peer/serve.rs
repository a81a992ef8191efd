//! The servers: HTTP, UDP and DNS, each on every address of its namespace, both families.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use lb_tests::wire::{Greeting, blocks, canonical};
use socket2::{Domain, Protocol, Socket, Type};

use crate::dns;

#[derive(clap::Args)]
pub(crate) struct Serve {
    /// The name to answer with
    #[arg(long)]
    name: String,
    /// Answers HTTP on this port
    #[arg(long)]
    http: Vec<u16>,
    /// Answers every datagram on this port
    #[arg(long)]
    udp: Vec<u16>,
    /// Answers DNS questions on this port, UDP and TCP
    #[arg(long)]
    dns: Vec<u16>,
    /// The address in answers to DNS questions
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    dns_address: Ipv4Addr,
}

/// How long a client may take to say what it wants: longer than any client is patient, so that it is never the server
/// who gives up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many clients of one HTTP port may be slow at once without another one waiting.
const ACCEPTORS: usize = 4;

impl Serve {
    /// Prints `ready` once every port is taken, then serves until it is ended.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut servers: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        for port in self.http {
            let listener = listen(port)?;
            for _ in 0..ACCEPTORS {
                let (listener, name) = (listener.try_clone()?, self.name.clone());
                servers.push(Box::new(move || accept(&listener, |stream| answer_http(&name, stream))));
            }
        }
        for port in self.udp {
            let (socket, name) = (datagrams(port)?, self.name.clone());
            servers.push(Box::new(move || {
                answer_datagrams(&socket, |question, peer| {
                    let mut answer = greet_datagram(&name, &socket, peer)?;
                    answer.resize(answer.len().max(question.len()), b' ');
                    Some(answer)
                })
            }));
        }
        for port in self.dns {
            let (listener, socket, address) = (listen(port)?, datagrams(port)?, self.dns_address);
            servers.push(Box::new(move || accept(&listener, |stream| dns::answer_stream(stream, address))));
            servers.push(Box::new(move || {
                answer_datagrams(&socket, |question, _| dns::answer(question, address))
            }));
        }
        println!("ready");
        thread::scope(|scope| {
            for server in servers {
                scope.spawn(server);
            }
        });
        Ok(())
    }
}

fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let socket = dual_stack(Type::STREAM, Protocol::TCP, port)?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn datagrams(port: u16) -> anyhow::Result<UdpSocket> {
    Ok(dual_stack(Type::DGRAM, Protocol::UDP, port)?.into())
}

fn dual_stack(kind: Type, protocol: Protocol, port: u16) -> anyhow::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, kind, Some(protocol))?;
    socket.set_only_v6(false)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    socket.bind(&address.into()).with_context(|| format!("bind {address}"))?;
    Ok(socket)
}

/// Gives each connection to `answer`, one after another.
fn accept(listener: &TcpListener, answer: impl Fn(TcpStream) -> io::Result<()>) {
    loop {
        // A client that went away before or during its answer is the client's affair: it will say so.
        if let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = answer(stream);
        }
    }
}

fn answer_http(name: &str, stream: TcpStream) -> io::Result<()> {
    let greeting = Greeting {
        pod: name.to_owned(),
        peer: canonical(stream.peer_addr()?),
        local: canonical(stream.local_addr()?),
    };
    let body = serde_json::to_string(&greeting)? + "\n";
    if let Some(length) = read_request(&stream)? {
        return send_bytes(&stream, length);
    }
    (&stream).write_all(
        format!(
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    )
}

/// Reads to the empty line: bytes left unread would turn the close into a reset. Returns how many bytes are
/// asked for, where it is for `/bytes/N`.
fn read_request(stream: &TcpStream) -> io::Result<Option<u64>> {
    let mut asked = None;
    for line in BufReader::new(stream.take(8192)).lines() {
        let line = line?;
        if line.is_empty() {
            return Ok(asked);
        }
        let path = line.strip_prefix("GET /bytes/").and_then(|rest| rest.split(' ').next());
        asked = asked.or(path.and_then(|number| number.parse().ok()));
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn send_bytes(mut stream: &TcpStream, length: u64) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
    let mut left = usize::try_from(length).unwrap_or(usize::MAX);
    for block in blocks() {
        let part = &block[..left.min(block.len())];
        stream.write_all(part)?;
        left -= part.len();
        if left == 0 {
            break;
        }
    }
    Ok(())
}

fn answer_datagrams(socket: &UdpSocket, answer: impl Fn(&[u8], SocketAddr) -> Option<Vec<u8>>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        // An error here is that of an earlier answer (ICMP), and not the next client's affair.
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = answer(&buffer[..length], peer) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn greet_datagram(name: &str, socket: &UdpSocket, peer: SocketAddr) -> Option<Vec<u8>> {
    let local = socket.local_addr().ok()?;
    let greeting = Greeting { pod: name.to_owned(), peer: canonical(peer), local };
    serde_json::to_vec(&greeting).ok()
}
