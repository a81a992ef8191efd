//! The one numbered list of what is counted. A number is never given another meaning; a retired one stays.

use core::fmt;

/// Index into `COUNTERS`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Counter {
    /// connect(2) rewritten to a backend.
    SocketConnect = 0,
    /// A datagram of an unconnected socket rewritten to a backend.
    SocketSend = 1,
    /// A datagram whose source was shown as the frontend's.
    SocketReceive = 2,
    /// getpeername(2) answered with the frontend.
    SocketPeerName = 3,
    /// A dial refused because its Service has no endpoint (NOE-01): ECONNREFUSED.
    NoEndpoint = 4,
    /// A dial refused because the address is a ClusterIP and the port is none of its ports (CIP-03):
    /// ECONNREFUSED.
    UnknownPort = 5,
    /// A dial dropped because policy is Local and no endpoint is on this node (NOE-02): EHOSTUNREACH.
    NoLocalEndpoint = 6,
    /// A dial dropped because its source is not in the Service's source ranges (LSR-01): EHOSTUNREACH.
    SourceRefused = 7,
    /// bind(2) refused because the port is a NodePort: EADDRINUSE.
    NodePortTaken = 8,
    /// A dial refused because a map did not hold what another said it would: ECONNREFUSED, and a defect.
    Inconsistent = 9,
    /// A dial rewritten although what was dialled could not be remembered (no memory for the socket's
    /// storage or the flow table): the application sees the backend's address.
    NotRemembered = 10,
}

impl Counter {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::SocketConnect,
        Self::SocketSend,
        Self::SocketReceive,
        Self::SocketPeerName,
        Self::NoEndpoint,
        Self::UnknownPort,
        Self::NoLocalEndpoint,
        Self::SourceRefused,
        Self::NodePortTaken,
        Self::Inconsistent,
        Self::NotRemembered,
    ];

    /// Its place in `COUNTERS`.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The word for it in tables, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SocketConnect => "socket-connect",
            Self::SocketSend => "socket-send",
            Self::SocketReceive => "socket-receive",
            Self::SocketPeerName => "socket-peer-name",
            Self::NoEndpoint => "no-endpoint",
            Self::UnknownPort => "unknown-port",
            Self::NoLocalEndpoint => "no-local-endpoint",
            Self::SourceRefused => "source-refused",
            Self::NodePortTaken => "node-port-taken",
            Self::Inconsistent => "inconsistent",
            Self::NotRemembered => "not-remembered",
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn every_counter_stands_at_its_own_number() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter.index() as usize, index, "{counter}");
        }
    }
}
