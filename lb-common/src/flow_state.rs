//! What a flow's packets say about its life: when it is assured, when it is closing, how long it may be idle.
//!
//! There is no state to store but which kinds of packets each direction has had; everything else follows from
//! the two directions together. Windows are not followed: a packet is translated by its tuple alone, so that
//! one out of window never reaches a client untranslated (NAT-07, KRN-10).

use core::fmt;

use crate::Proto;

/// Which kinds of packets one direction has had.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seen(u8);

set_of_flags!(Seen);

impl Seen {
    /// None yet.
    pub const NOTHING: Self = Self(0);
    /// Any packet at all.
    pub const PACKET: Self = Self(1 << 0);
    /// TCP SYN without ACK, SCTP INIT: the client opens.
    pub const OPEN: Self = Self(1 << 1);
    /// TCP SYN with ACK, SCTP INIT ACK: the backend accepts.
    pub const ACCEPT: Self = Self(1 << 2);
    /// TCP FIN, SCTP SHUTDOWN (and its ACK): this side has no more to say.
    pub const CLOSE: Self = Self(1 << 3);
    /// TCP RST, SCTP ABORT or SHUTDOWN COMPLETE: the flow is over, unless more is said all the same.
    pub const RESET: Self = Self(1 << 4);
    /// `FLOWS` had no room when the flow was to go there.
    pub const NO_ROOM: Self = Self(1 << 5);
    /// Of the client's direction: the backend has answered, so that there is something to be assured of.
    pub const ANSWERED: Self = Self(1 << 6);

    /// After another packet. A RST counts for as long as nothing follows it: one that the peer did not take
    /// (out of its window, RFC 5961 §3) must not end a flow that goes on.
    #[must_use]
    #[inline(always)]
    pub const fn then(self, packet: Self) -> Self {
        let kept = if packet.has(Self::RESET) { self.0 } else { self.0 & !Self::RESET.0 };
        Self(kept | packet.0)
    }

    /// What a TCP segment with these flags says (the low byte: CWR ECE URG ACK PSH RST SYN FIN, RFC 9293 §3.1). One
    /// that opens and ends at once is no honest stack's, which would not take it either: it says nothing.
    #[inline(always)]
    pub const fn of_tcp(flags: u8) -> Self {
        const FIN: u8 = 0x01;
        const SYN: u8 = 0x02;
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        let seen = if flags & SYN != 0 && flags & (FIN | RST) != 0 {
            Self::NOTHING
        } else if flags & RST != 0 {
            Self::RESET
        } else if flags & SYN != 0 {
            if flags & ACK == 0 { Self::OPEN } else { Self::ACCEPT }
        } else if flags & FIN != 0 {
            Self::CLOSE
        } else {
            Self::NOTHING
        };
        seen.with(Self::PACKET)
    }

    /// What an SCTP packet says whose first chunk is of this type (RFC 9260 §3.2).
    #[inline(always)]
    pub const fn of_sctp(chunk: u8) -> Self {
        let seen = match chunk {
            1 => Self::OPEN,
            2 => Self::ACCEPT,
            7 | 8 => Self::CLOSE,
            6 | 14 => Self::RESET,
            _ => Self::NOTHING,
        };
        seen.with(Self::PACKET)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, name) in [
            (Self::PACKET, "packet"),
            (Self::OPEN, "open"),
            (Self::ACCEPT, "accept"),
            (Self::CLOSE, "close"),
            (Self::RESET, "reset"),
            (Self::NO_ROOM, "no-room"),
            (Self::ANSWERED, "answered"),
        ] {
            if self.has(kind) {
                write!(f, "{separator}{name}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

/// What both directions together say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum FlowState {
    /// The backend has not answered, or the client not gone on: no flood can make more of it.
    New,
    /// Both have been heard of.
    Established,
    /// One of them has no more to say: may stay so for long (KRN-11).
    HalfClosed,
    /// Neither has more to say: kept so that what comes late is translated still (KRN-10).
    Closed,
    /// Ended by one of them.
    Reset,
}

impl FlowState {
    /// The state of a flow. `forward` and `reverse` are what its two directions have had; where an entry has
    /// lost its other half, [`Seen::NOTHING`].
    #[inline(always)]
    pub const fn of(proto: Proto, forward: Seen, reverse: Seen) -> Self {
        if !is_assured(proto, forward, reverse) {
            return Self::New;
        }
        if forward.has(Seen::RESET) || reverse.has(Seen::RESET) {
            return Self::Reset;
        }
        match (forward.has(Seen::CLOSE), reverse.has(Seen::CLOSE)) {
            (true, true) => Self::Closed,
            (false, false) => Self::Established,
            _ => Self::HalfClosed,
        }
    }

    /// Whether the same client may open another flow by the same tuple.
    #[inline(always)]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Reset)
    }

    /// Seconds after the last packet of either direction after which the flow is forgotten: those of the
    /// kernel's conntrack as kube-proxy sets them (established 24 h, half-closed 1 h), time-wait 30 s.
    pub const fn idle_seconds(self, proto: Proto) -> u32 {
        let datagrams = proto.number() == Proto::UDP.number();
        match self {
            Self::New if datagrams => 30,
            Self::New => 60,
            Self::Established if datagrams => 120,
            Self::Established => 24 * 3600,
            Self::HalfClosed => 3600,
            Self::Closed => 30,
            Self::Reset => 10,
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::HalfClosed => "half-closed",
            Self::Closed => "closed",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for FlowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether both sides have been heard of, so that no packet of a spoofed source can have made the flow.
///
/// The datapath moves a flow to `FLOWS` when the client sends on after an answer, so that a server that
/// answers whoever asks (DNS, a SYN flood's target) does not help to fill it.
#[inline(always)]
pub const fn is_assured(proto: Proto, forward: Seen, reverse: Seen) -> bool {
    if !forward.has(Seen::PACKET) || !reverse.has(Seen::PACKET) {
        return false;
    }
    proto.number() == Proto::UDP.number() || reverse.has(Seen::ACCEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: u8 = 0x02;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;
    const FIN_ACK: u8 = 0x11;
    const RST: u8 = 0x04;

    fn tcp(flags: &[u8]) -> Seen {
        flags.iter().fold(Seen::NOTHING, |seen, flags| seen.then(Seen::of_tcp(*flags)))
    }

    #[track_caller]
    fn check(forward: &[u8], reverse: &[u8], expected: FlowState, seconds: u32) {
        let state = FlowState::of(Proto::TCP, tcp(forward), tcp(reverse));
        assert_eq!((state, state.idle_seconds(Proto::TCP)), (expected, seconds));
    }

    #[test]
    fn a_tcp_flow_lives_as_long_as_conntrack_lets_it() {
        check(&[SYN], &[], FlowState::New, 60);
        check(&[SYN, ACK], &[SYN_ACK], FlowState::Established, 86_400);
        check(&[SYN, ACK, FIN_ACK], &[SYN_ACK, ACK], FlowState::HalfClosed, 3_600);
        check(&[SYN, ACK], &[SYN_ACK, FIN_ACK], FlowState::HalfClosed, 3_600);
        check(&[SYN, ACK, FIN_ACK, ACK], &[SYN_ACK, FIN_ACK], FlowState::Closed, 30);
        check(&[SYN, ACK, RST], &[SYN_ACK], FlowState::Reset, 10);
    }

    #[test]
    fn a_reset_that_is_not_taken_ends_nothing() {
        check(&[SYN, ACK, RST, ACK], &[SYN_ACK, ACK], FlowState::Established, 86_400);
    }

    #[test]
    fn a_reset_answer_to_a_syn_leaves_a_new_flow() {
        check(&[SYN], &[RST], FlowState::New, 60);
    }

    #[test]
    fn datagrams_are_assured_by_an_answer() {
        let state = |forward, reverse| FlowState::of(Proto::UDP, forward, reverse);
        assert_eq!(state(Seen::PACKET, Seen::NOTHING).idle_seconds(Proto::UDP), 30);
        assert_eq!(state(Seen::PACKET, Seen::PACKET).idle_seconds(Proto::UDP), 120);
    }

    #[test]
    fn sctp_goes_the_way_of_tcp() {
        let of =
            |chunks: &[u8]| chunks.iter().fold(Seen::NOTHING, |seen, chunk| seen.then(Seen::of_sctp(*chunk)));
        let state = |forward: &[u8], reverse: &[u8]| FlowState::of(Proto::SCTP, of(forward), of(reverse));
        assert_eq!(state(&[1], &[]), FlowState::New);
        assert_eq!(state(&[1, 10, 0], &[2, 11, 3]), FlowState::Established);
        assert_eq!(state(&[1, 10, 7], &[2, 11, 8]), FlowState::Closed);
        assert_eq!(state(&[1, 10, 7, 14], &[2, 11, 8]), FlowState::Reset);
    }
}
