//! Clients: what they dial, how, and what they tell.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::place::{Inside, output_of};
use crate::process::Process;
use crate::wire::{Attempt, BindReport, Blow, End, HammerReport, Held, Transport};

/// How long a client that is told to end may take; each of its calls has a time-out of its own.
const PATIENCE: Duration = Duration::from_secs(90);

/// A dial to be made.
#[derive(Debug, Clone)]
pub struct Dial {
    transport: Transport,
    targets: Vec<String>,
    options: Vec<String>,
}

/// A TCP connection to an address and port, with an HTTP request.
pub fn tcp(target: impl ToString) -> Dial {
    Dial::new(Transport::Tcp, target)
}

/// A datagram on a connected socket.
pub fn udp(target: impl ToString) -> Dial {
    Dial::new(Transport::Udp, target)
}

/// A datagram on an unconnected socket.
pub fn udp_unconnected(target: impl ToString) -> Dial {
    Dial::new(Transport::UdpUnconnected, target)
}

impl Dial {
    fn new(transport: Transport, target: impl ToString) -> Self {
        Self { transport, targets: vec![target.to_string()], options: Vec::new() }
    }

    /// And then to this one.
    #[must_use]
    pub fn then(mut self, target: impl ToString) -> Self {
        self.targets.push(target.to_string());
        self
    }

    /// IPv4 by an IPv6 socket.
    #[must_use]
    pub fn mapped(self) -> Self {
        self.with("--mapped")
    }

    /// TCP: without connect(2), by the first data (MSG_FASTOPEN).
    #[must_use]
    pub fn fast_open(self) -> Self {
        self.with("--fast-open")
    }

    /// All UDP dials by one socket; a connected one is connected anew for each.
    #[must_use]
    pub fn on_one_socket(self) -> Self {
        self.with("--one-socket")
    }

    /// From this port.
    #[must_use]
    pub fn from_port(self, port: u16) -> Self {
        self.with(&format!("--source-port={port}"))
    }

    /// UDP: with a question of so many bytes, and an answer as long.
    #[must_use]
    pub fn size(self, bytes: u32) -> Self {
        self.with(&format!("--size={bytes}"))
    }

    /// So many times.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        self.with(&format!("--count={count}"))
    }

    /// With this much time for each system call instead of five seconds.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        self.with(&format!("--timeout-ms={}", timeout.as_millis()))
    }

    /// Each of the clients that dial without end waits so long after a dial.
    #[must_use]
    pub fn pausing(self, pause: Duration) -> Self {
        self.with(&format!("--pause-ms={}", pause.as_millis()))
    }

    /// Dials from there, and gives what became of each dial.
    pub fn from(&self, place: &impl Inside) -> Result<Vec<Attempt>> {
        output_of(&mut self.command(place, "dial")?)?.lines().map(parse).collect()
    }

    /// Starts clients that dial without pause until they are stopped, and waits for the first answer.
    pub fn hammer(&self, place: &impl Inside, clients: usize, log: PathBuf) -> Result<Hammer> {
        let mut command = self.command(place, "hammer")?;
        command.arg(format!("--clients={clients}")).arg("--log").arg(&log);
        let name = format!("the clients in {}", place.place().name());
        let process = Process::start(name, &mut command)?;
        process.wait_for_line(0, PATIENCE, |line| line == "ready")?;
        Ok(Hammer { process, log })
    }

    /// Connects one socket, which is kept, and waits for a first answer.
    pub fn hold(&self, place: &impl Inside) -> Result<HeldSocket> {
        let process = Process::start(
            format!("the client in {}", place.place().name()),
            &mut self.command(place, "hold")?,
        )?;
        let (seen, line) = process.wait_for_line(0, PATIENCE, |_| true)?;
        let held: Held = parse(&line)?;
        let pod = held.pod.with_context(|| format!("no answer: {:?}", held.failure))?;
        Ok(HeldSocket { process, seen, pod })
    }

    fn command(&self, place: &impl Inside, what: &str) -> Result<Command> {
        let mut command = place.place().peer()?;
        command.args([what, self.transport.name()]).args(&self.targets).args(&self.options);
        Ok(command)
    }

    fn with(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }
}

/// A client that is told what to dial while it runs, and dials by one socket.
#[derive(Debug)]
pub struct Conversation {
    process: Process,
    seen: usize,
}

impl Conversation {
    /// Starts one; `transport` is one of UDP's.
    pub fn start(place: &impl Inside, transport: Transport) -> Result<Self> {
        let mut command = place.place().peer()?;
        command.args(["dial", transport.name(), "--stdin", "--one-socket"]);
        let name = format!("the client in {}", place.place().name());
        Ok(Self { process: Process::start(name, &mut command)?, seen: 0 })
    }

    /// Dials, and gives what became of it.
    pub fn dial(&mut self, target: impl ToString) -> Result<Attempt> {
        self.process.write_line(&target.to_string())?;
        let (seen, line) = self.process.wait_for_line(self.seen, PATIENCE, |_| true)?;
        self.seen = seen;
        parse(&line)
    }
}

/// Clients that dial without pause; they end when it is dropped.
#[derive(Debug)]
pub struct Hammer {
    process: Process,
    log: PathBuf,
}

impl Hammer {
    /// Stops them, and gives what they did: the sums, and each dial.
    pub fn stop(self) -> Result<(HammerReport, Vec<Blow>)> {
        let said = self.process.finish(PATIENCE)?;
        let report = parse(said.lines().last().unwrap_or_default())?;
        let log = fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())?;
        Ok((report, log.lines().map(parse).collect::<Result<_>>()?))
    }
}

/// A connected socket that waits in a process of its own.
#[derive(Debug)]
pub struct HeldSocket {
    process: Process,
    seen: usize,
    pod: String,
}

impl HeldSocket {
    /// Who answered by it; empty for TCP.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// Waits until something becomes of it.
    pub fn end(&self) -> Result<End> {
        parse(&self.process.wait_for_line(self.seen, PATIENCE, |_| true)?.1)
    }

    /// Asks once more by it, and gives what becomes of that.
    pub fn ask(self) -> Result<End> {
        let said = self.process.finish(PATIENCE)?;
        parse(said.lines().last().unwrap_or_default())
    }
}

/// Starts to send as many packets as fast as can be, each from another source from `first_source` on: `syn` or
/// `udp`. It ends by itself.
pub fn flood(
    place: &impl Inside,
    kind: &str,
    targets: &[String],
    count: u32,
    first_source: &str,
) -> Result<Process> {
    let mut command = place.place().peer()?;
    command.args(["flood", kind]).args(targets).arg(format!("--count={count}"));
    command.arg(format!("--first-source={first_source}"));
    Process::start(format!("the flood from {}", place.place().name()), &mut command)
}

/// Tries to take an address and port (with listen for TCP), and lets it go again.
pub fn bind(place: &impl Inside, transport: Transport, address: &str) -> Result<BindReport> {
    let mut command = place.place().peer()?;
    parse(output_of(command.args(["bind", transport.name(), address]))?.trim())
}

fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("`peer` said {line:?}"))
}
