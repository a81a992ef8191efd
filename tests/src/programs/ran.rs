//! What became of a packet.

use std::collections::BTreeMap;

use lb_common::Counter;

use crate::packet::Packet;

/// What a program returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The packet goes on (`TCX_NEXT`).
    Pass,
    /// It ends here (`TC_ACT_SHOT`).
    Drop,
    /// It leaves by a device that the program chose (`TC_ACT_REDIRECT`).
    Redirect,
    /// Anything else: no program of ours returns it.
    Other(i32),
}

impl Verdict {
    pub(super) const fn from_code(code: i32) -> Self {
        match code {
            -1 => Self::Pass,
            2 => Self::Drop,
            7 => Self::Redirect,
            other => Self::Other(other),
        }
    }
}

/// One packet, and what became of it.
#[derive(Debug, Clone)]
#[must_use = "what became of the packet is what the test is about"]
pub struct Ran {
    verdict: Verdict,
    sent: Vec<u8>,
    bytes: Vec<u8>,
    counted: Vec<Counter>,
}

impl Ran {
    pub(super) fn new(
        verdict: Verdict,
        sent: Vec<u8>,
        bytes: Vec<u8>,
        before: &BTreeMap<Counter, u64>,
        after: &BTreeMap<Counter, u64>,
    ) -> Self {
        let mut counted = Vec::new();
        for (counter, count) in after {
            let more = count - before.get(counter).unwrap_or(&0);
            counted.extend((0..more).map(|_| *counter));
        }
        Self { verdict, sent, bytes, counted }
    }

    /// What the program said.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The bytes afterwards.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was counted, each as often as it was, in the order of their numbers.
    pub fn counts(&self) -> &[Counter] {
        &self.counted
    }

    /// Exactly this was counted.
    #[track_caller]
    pub fn counting(self, counters: &[Counter]) -> Self {
        let mut expected = counters.to_vec();
        expected.sort_unstable();
        assert_eq!(self.counted, expected, "{:?} {:02x?}", self.verdict, self.bytes);
        self
    }

    /// The packet went on, changed or not: what it is now.
    #[track_caller]
    pub fn passed(&self) -> Packet {
        self.expect(Verdict::Pass)
    }

    /// The packet was sent out from here: what it is now.
    #[track_caller]
    pub fn redirected(&self) -> Packet {
        self.expect(Verdict::Redirect)
    }

    /// The packet ended here.
    #[track_caller]
    pub fn dropped(&self) {
        assert_eq!(self.verdict, Verdict::Drop, "counted {:?}", self.counted);
    }

    /// The packet went on as it came, and nothing was counted: it is not ours.
    #[track_caller]
    pub fn untouched(&self) {
        assert_eq!((self.verdict, &self.counted[..]), (Verdict::Pass, &[][..]));
        assert_eq!(self.bytes, self.sent);
    }

    #[track_caller]
    fn expect(&self, verdict: Verdict) -> Packet {
        assert_eq!(self.verdict, verdict, "counted {:?}", self.counted);
        match Packet::read(&self.bytes) {
            Ok(packet) => packet,
            Err(error) => panic!("{error}\nsent {:02x?}\ngot  {:02x?}", self.sent, self.bytes),
        }
    }
}
