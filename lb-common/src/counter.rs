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
    /// A packet from a client rewritten toward its backend.
    TcForward = 11,
    /// A packet from a backend rewritten toward its client.
    TcReply = 12,
    /// A flow begun on the packet path.
    NewFlow = 13,
    /// A flow that both sides have been heard of, moved to `FLOWS`.
    AssuredFlow = 14,
    /// A flow that `FLOWS` had no room for: it lives on in `NEW_FLOWS`, where a flood may push it out.
    FlowTableFull = 15,
    /// A packet dropped because no masquerade port was free toward its backend.
    MasqueradeExhausted = 16,
    /// A TCP segment answered with RST (NOE-01, CIP-03, or of no known flow).
    RefusedRst = 17,
    /// A packet answered with ICMP port unreachable (NOE-01, CIP-03).
    RefusedIcmp = 18,
    /// An ICMP echo request to a Service address answered.
    EchoAnswered = 19,
    /// A later fragment for a Service address dropped because the first was not seen.
    FragmentUnknown = 20,
    /// A packet whose TTL or hop limit ended here, answered with ICMP time exceeded.
    TtlExpired = 21,
    /// A packet too big for the way to its backend or client, answered with ICMP fragmentation needed or
    /// packet too big.
    TooBig = 22,
    /// A packet for a Service or of a flow dropped because it contradicts itself.
    Malformed = 23,
    /// A rewritten packet dropped because the node has no route to its new destination.
    NoRoute = 24,
    /// A TCP segment or SCTP packet to a frontend that neither begins a flow nor is of one.
    NoFlow = 25,
    /// An ICMP error rewritten, with the packet in it.
    IcmpError = 26,
    /// A datagram of a flow whose backend is gone, sent to another (CT-01).
    StaleFlow = 27,
    /// A packet dropped, or a dial failed (EHOSTUNREACH), because it is for an address of Services that no
    /// Service has (CIP-04).
    UnallocatedAddress = 28,
    /// A packet to be refused that could not be answered: dropped.
    Unanswered = 29,
    /// A packet that would begin a flow dropped because no client can have its source: the node's own address, a
    /// ClusterIP, an IPv6 address of the link alone.
    ForgedSource = 30,
    /// A packet that an ICMP error would have answered dropped because many were just sent.
    AnswerLimited = 31,
}

impl Counter {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 32] = [
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
        Self::TcForward,
        Self::TcReply,
        Self::NewFlow,
        Self::AssuredFlow,
        Self::FlowTableFull,
        Self::MasqueradeExhausted,
        Self::RefusedRst,
        Self::RefusedIcmp,
        Self::EchoAnswered,
        Self::FragmentUnknown,
        Self::TtlExpired,
        Self::TooBig,
        Self::Malformed,
        Self::NoRoute,
        Self::NoFlow,
        Self::IcmpError,
        Self::StaleFlow,
        Self::UnallocatedAddress,
        Self::Unanswered,
        Self::ForgedSource,
        Self::AnswerLimited,
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
            Self::TcForward => "tc-forward",
            Self::TcReply => "tc-reply",
            Self::NewFlow => "new-flow",
            Self::AssuredFlow => "assured-flow",
            Self::FlowTableFull => "flow-table-full",
            Self::MasqueradeExhausted => "masquerade-exhausted",
            Self::RefusedRst => "refused-rst",
            Self::RefusedIcmp => "refused-icmp",
            Self::EchoAnswered => "echo-answered",
            Self::FragmentUnknown => "fragment-unknown",
            Self::TtlExpired => "ttl-expired",
            Self::TooBig => "too-big",
            Self::Malformed => "malformed",
            Self::NoRoute => "no-route",
            Self::NoFlow => "no-flow",
            Self::IcmpError => "icmp-error",
            Self::StaleFlow => "stale-flow",
            Self::UnallocatedAddress => "unallocated-address",
            Self::Unanswered => "unanswered",
            Self::ForgedSource => "forged-source",
            Self::AnswerLimited => "answer-limited",
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
