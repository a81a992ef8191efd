//! What `peer` prints and the harness reads: one JSON value a line.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// How a client dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A TCP connection, and an HTTP request on it
    Tcp,
    /// A connected UDP socket
    Udp,
    /// An unconnected UDP socket: sendto(2) and recvfrom(2)
    UdpUnconnected,
}

impl Transport {
    /// As `peer` is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpUnconnected => "udp-unconnected",
        }
    }
}

/// A dial of which only the way is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// How; not unconnected.
    pub transport: Transport,
    /// What is dialled.
    pub target: SocketAddr,
    /// How often.
    pub count: u32,
}

/// Where a dial was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probed {
    /// connect(2) failed at once: the errno's name.
    Refused(String),
    /// The kernel has this as the other end.
    SentTo(SocketAddr),
    /// It was over before one could look.
    Closed,
}

/// What a server answers: who it is, and what it sees of the dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The pod that answered.
    pub pod: String,
    /// The client's address as the pod sees it.
    pub peer: SocketAddr,
    /// The address that the pod was reached at; the wildcard address where that can't be told (UDP).
    pub local: SocketAddr,
}

/// What `/bytes/N` is made of, without end: blocks that all differ, so that one that is lost, doubled or out of place
/// is seen.
pub fn blocks() -> impl Iterator<Item = Vec<u8>> {
    const BLOCK: usize = 1 << 16;
    (0_u64..).map(|number| (number..).step_by(7).flat_map(u64::to_le_bytes).take(BLOCK).collect())
}

/// One dial that was answered, and what the client sees of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the pod said.
    pub greeting: Greeting,
    /// getpeername(2); `None` on an unconnected socket.
    pub peer_name: Option<SocketAddr>,
    /// The source of the answer by recvfrom(2); `None` for TCP.
    pub source: Option<SocketAddr>,
    /// getsockname(2)
    pub own: SocketAddr,
}

/// The system call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// socket(2) and its options, getsockname(2), getpeername(2).
    Socket,
    /// bind(2), listen(2)
    Bind,
    /// connect(2)
    Connect,
    /// send(2), sendto(2)
    Send,
    /// recv(2), recvfrom(2), and making sense of what came.
    Receive,
}

/// A dial or a bind that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where.
    pub step: Step,
    /// The name of the errno, such as `ECONNREFUSED`; `EPROTO` where an answer made no sense.
    pub errno: String,
    /// The same in words.
    pub message: String,
}

impl Failure {
    /// What became of a system call.
    pub fn new(step: Step, error: &io::Error) -> Self {
        let errno = error.raw_os_error().map_or_else(|| errno_of_kind(error.kind()), Errno::from_raw);
        Self { step, errno: format!("{errno:?}"), message: error.to_string() }
    }
}

/// For the errors that the standard library makes itself: a time-out of its own, an answer cut short.
fn errno_of_kind(kind: io::ErrorKind) -> Errno {
    match kind {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Errno::ETIMEDOUT,
        _ => Errno::EPROTO,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} ({})", self.step, self.errno, self.message)
    }
}

/// What became of a dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A pod answered.
    Answered(Answer),
    /// None did.
    Failed(Failure),
}

/// One dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What was dialled, as it was given to the kernel (IPv4 in mapped form on an IPv6 socket).
    pub target: SocketAddr,
    /// [`monotonic`] before the dial.
    pub started_ns: u64,
    /// From the dial to the answer or the failure, microseconds.
    pub elapsed_us: u64,
    /// What became of it.
    pub outcome: Outcome,
}

impl Attempt {
    /// From the dial to the answer or the failure.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_us)
    }
}

/// One bind(2), with listen(2) for TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindReport {
    /// What was asked for.
    pub address: SocketAddr,
    /// `None` where it succeeded.
    pub failure: Option<Failure>,
}

/// One dial of `peer hammer`, in its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blow {
    /// What was dialled.
    pub target: SocketAddr,
    /// [`monotonic`] before the dial.
    pub started_ns: u64,
    /// [`monotonic`] after the answer or the failure, to the microsecond.
    pub ended_ns: u64,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Why nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What `peer hammer` did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HammerReport {
    /// How many dials.
    pub dials: u64,
    /// How many of them each pod answered.
    pub by_pod: BTreeMap<String, u64>,
    /// How many failed, by the words of [`Failure`].
    pub by_failure: BTreeMap<String, u64>,
}

/// The beginning of a socket that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Who answered; empty for TCP, where the question is kept unfinished.
    pub pod: Option<String>,
    /// Why nobody did.
    pub failure: Option<Failure>,
}

/// What became of a socket that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// [`monotonic`] when it did.
    pub at_ns: u64,
    /// `None` where something was received.
    pub failure: Option<Failure>,
}

/// `CLOCK_MONOTONIC`, nanoseconds: one clock for every process and namespace of the machine.
pub fn monotonic() -> u64 {
    // The clock exists on every Linux: the call has no way to fail.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(|now| u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX))
        .unwrap_or_default()
}

/// An IPv4 address in place of its mapped form.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
