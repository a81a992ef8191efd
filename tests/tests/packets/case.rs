//! What most tests are about, whatever the family and the protocol.

use std::net::{IpAddr, SocketAddr};

use lb_common::{FlowKey, FrontendFlags, Port, Proto};
use lb_tests::packet::{ACK, FIN, Packet, SYN, sctp, tcp, udp};
use lb_tests::programs::{Frontend, Lab, NODE_V4, NODE_V6, Service, Verdict, frontend, service};

/// A family and a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) v4: bool,
    pub(crate) proto: Proto,
}

pub(crate) const PROTOS: [Proto; 3] = [Proto::TCP, Proto::UDP, Proto::SCTP];

/// All of them, one after the other on a node that has nothing to serve yet.
pub(crate) fn each(test: impl Fn(Case, &mut Lab)) {
    each_of(&PROTOS, test);
}

/// Both families of some protocols, likewise.
pub(crate) fn each_of(protos: &[Proto], test: impl Fn(Case, &mut Lab)) {
    let mut lab = Lab::new();
    for v4 in [true, false] {
        for &proto in protos {
            let case = Case { v4, proto };
            println!("{case:?}");
            test(case, &mut lab);
            lab.forget();
        }
    }
}

/// An address and port in words.
#[track_caller]
pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// An address in words.
#[track_caller]
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Case {
    fn one_of(self, v4: &str, v6: &str) -> SocketAddr {
        at(if self.v4 { v4 } else { v6 })
    }

    /// A client outside, behind a router.
    pub(crate) fn client(self) -> SocketAddr {
        self.one_of("192.0.2.9:40000", "[2001:db8::9]:40000")
    }

    /// What it dials.
    pub(crate) fn frontend(self) -> SocketAddr {
        self.one_of("10.96.0.1:80", "[fd00:10:96::1]:80")
    }

    /// What else it may dial.
    pub(crate) fn other_frontend(self) -> SocketAddr {
        self.one_of("203.0.113.1:80", "[fd00:203:113::1]:80")
    }

    /// A pod of this node.
    pub(crate) fn here(self) -> SocketAddr {
        self.one_of("10.244.1.5:8080", "[fd00:10:244:1::5]:8080")
    }

    /// A pod of another node.
    pub(crate) fn there(self) -> SocketAddr {
        self.one_of("10.244.2.5:8080", "[fd00:10:244:2::5]:8080")
    }

    /// A pod of another node, on a way that takes smaller packets only.
    pub(crate) fn narrow(self) -> SocketAddr {
        let [v4, v6] = lb_tests::programs::NARROW;
        self.one_of(v4, v6)
    }

    /// A pod that no route leads to.
    pub(crate) fn nowhere(self) -> SocketAddr {
        self.one_of("172.31.0.5:8080", "[fd99::5]:8080")
    }

    /// This node's own address.
    pub(crate) fn node(self) -> IpAddr {
        if self.v4 { NODE_V4.into() } else { NODE_V6.into() }
    }

    /// The frontend, as what is served.
    pub(crate) fn served(self) -> Frontend {
        frontend(self.frontend(), self.proto)
    }

    /// The frontend, in front of one backend.
    pub(crate) fn service(self, backend: SocketAddr) -> Service {
        service(self.served()).to(backend)
    }

    /// The frontend, in front of one backend, for which clients are masqueraded or not.
    pub(crate) fn service_with(self, flags: FrontendFlags, backend: SocketAddr) -> Service {
        service(self.served().with(flags)).to(backend)
    }

    /// What opens a conversation: SYN, a datagram, INIT.
    pub(crate) fn open(self, src: SocketAddr, dst: SocketAddr) -> Packet {
        match self.proto {
            Proto::TCP => tcp(src, dst, SYN),
            Proto::UDP => udp(src, dst, b"a query"),
            _ => sctp(src, dst, 1),
        }
    }

    /// What a client says after the answer to what opened: ACK and data, a datagram, COOKIE ECHO.
    pub(crate) fn go_on(self, src: SocketAddr, dst: SocketAddr) -> Packet {
        match self.proto {
            Proto::TCP => tcp(src, dst, ACK).data(b"GET / HTTP/1.1"),
            Proto::UDP => udp(src, dst, b"another query"),
            _ => sctp(src, dst, 10),
        }
    }

    /// What says that there is no more to say.
    pub(crate) fn close(self, src: SocketAddr, dst: SocketAddr) -> Packet {
        match self.proto {
            Proto::TCP => tcp(src, dst, FIN | ACK),
            Proto::UDP => udp(src, dst, b"bye"),
            _ => sctp(src, dst, 7),
        }
    }

    /// What the client opens with to the frontend.
    pub(crate) fn dial(self) -> Packet {
        self.open(self.client(), self.frontend())
    }
}

/// The key of a packet's flow.
#[track_caller]
pub(crate) fn key(packet: &Packet, proto: Proto) -> FlowKey {
    FlowKey::new(
        packet.src.ip().into(),
        Port::new(packet.src.port()),
        packet.dst.ip().into(),
        Port::new(packet.dst.port()),
        proto,
    )
}

/// A flow that is assured: opened, answered and gone on with by a client outside. Gives what the backend was
/// sent last.
#[track_caller]
pub(crate) fn converse(lab: &mut Lab, case: Case, client: SocketAddr, frontend: SocketAddr) -> Packet {
    let first = lab.from_outside(&case.open(client, frontend));
    let (opened, local) = match first.verdict() {
        Verdict::Pass => (first.passed(), true),
        _ => (first.redirected(), false),
    };
    let answer = opened.answer();
    let answered =
        if local { lab.to_outside(&answer).passed() } else { lab.from_outside(&answer).redirected() };
    assert_eq!((answered.src, answered.dst), (frontend, client), "{case:?}");
    let went_on = lab.from_outside(&case.go_on(client, frontend));
    let went_on = if local { went_on.passed() } else { went_on.redirected() };
    assert_eq!((went_on.src, went_on.dst), (opened.src, opened.dst), "{case:?}");
    went_on
}
