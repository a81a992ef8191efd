//! A connected socket that is kept, and what becomes of it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use lb_tests::wire::{End, Failure, Held, Step, Transport, monotonic};
use socket2::Socket;

use crate::socket::{self, At, mapped};

#[derive(clap::Args)]
pub(crate) struct Hold {
    /// How
    transport: Transport,
    /// What
    target: SocketAddr,
    /// IPv4 by an IPv6 socket
    #[arg(long)]
    mapped: bool,
}

/// How long a socket is kept, and each call may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Hold {
    /// Connects, asks, prints who answered; then waits for something to happen, or for its standard input
    /// to end and then for what was sent to be answered, and prints that.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let target = if self.mapped { mapped(self.target) } else { self.target };
        let held = self.begin(target);
        let (socket, held) = match held {
            Ok((socket, pod)) => (Some(socket), Ok(pod)),
            Err(failure) => (None, Err(failure)),
        };
        print(&Held { pod: held.as_ref().ok().cloned(), failure: held.err() })?;
        let Some(mut socket) = socket else { return Ok(()) };
        let mut other = socket.try_clone()?;
        // The answer to what is asked at the end of input comes by the same read.
        std::thread::spawn(move || {
            let _end = io::stdin().read_to_end(&mut Vec::new());
            let _sent = other.write_all(b"are you still there?\r\n\r\n");
        });
        let mut answer = [0; 1024];
        let failure = match socket.read(&mut answer) {
            Ok(_) => None,
            Err(error) => Some(Failure::new(Step::Receive, &error)),
        };
        print(&End { at_ns: monotonic(), failure })
    }

    fn begin(&self, target: SocketAddr) -> Result<(Socket, String), Failure> {
        let mut socket = socket::open(self.transport, target, PATIENCE).at(Step::Socket)?;
        socket.connect(&target.into()).at(Step::Connect)?;
        if self.transport == Transport::Tcp {
            // The server waits for the rest of the request.
            socket.write_all(b"GET / HTTP/1.0\r\n").at(Step::Send)?;
            return Ok((socket, String::new()));
        }
        socket.write_all(b"who are you?").at(Step::Send)?;
        let mut answer = vec![0; 1 << 16];
        let length = socket.read(&mut answer).at(Step::Receive)?;
        let greeting: lb_tests::wire::Greeting = serde_json::from_slice(&answer[..length])
            .map_err(|error| Failure::new(Step::Receive, &io::Error::other(error)))?;
        Ok((socket, greeting.pod))
    }
}

fn print(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
