//! Servers in pods.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use crate::place::Inside;
use crate::process::Process;

/// A server to be started.
#[derive(Debug, Clone, Default)]
pub struct Serve {
    arguments: Vec<String>,
}

/// A server that answers with the name of its place; say where it listens.
pub fn serve() -> Serve {
    Serve::default()
}

impl Serve {
    /// HTTP on this port.
    #[must_use]
    pub fn http(self, port: u16) -> Self {
        self.with("--http", &port.to_string())
    }

    /// Datagrams on this port.
    #[must_use]
    pub fn udp(self, port: u16) -> Self {
        self.with("--udp", &port.to_string())
    }

    /// DNS on this port, UDP and TCP: every name has this address.
    #[must_use]
    pub fn dns(self, port: u16, address: Ipv4Addr) -> Self {
        self.with("--dns", &port.to_string()).with("--dns-address", &address.to_string())
    }

    /// Starts it, and waits until it listens. It ends when the process is dropped.
    pub fn at(self, place: &impl Inside) -> Result<Process> {
        let place = place.place();
        let mut command = place.peer()?;
        command.args(["serve", "--name", place.name()]).args(self.arguments);
        let process = Process::start(format!("the server in {}", place.name()), &mut command)?;
        process.wait_for_line(0, Duration::from_secs(60), |line| line == "ready")?;
        Ok(process)
    }

    fn with(mut self, option: &str, value: &str) -> Self {
        self.arguments.extend([option.to_owned(), value.to_owned()]);
        self
    }
}
