//! What becomes of a packet, and why.

use serde::Serialize;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It is sent to a backend.
    Dnat,
    /// It is refused: «connection refused», ICMP port unreachable.
    Reject,
    /// It vanishes; a socket on the node is told so at once (EHOSTUNREACH).
    Drop,
    /// It is not a Service's: never touched.
    Pass,
}

impl Verdict {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dnat => "DNAT",
            Self::Reject => "REJECT",
            Self::Drop => "DROP",
            Self::Pass => "PASS",
        }
    }
}

/// One thing that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The object, or the setting of Shunt.
    pub object: String,
    /// Its field; empty where the whole object is meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What it says, and what that means here.
    pub finding: String,
    /// The row of the specification.
    pub row: &'static str,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// Where it may be sent, as `ip:port`, sorted as text; one of them is.
    pub endpoints: Vec<String>,
    /// Those of them whose choice would give the packet an address of the node as source.
    pub masquerade: Vec<String>,
    /// `namespace/name:port` of the Service; empty where none decided.
    pub service: String,
    /// Why, in a sentence or two.
    pub reason: String,
    /// The row of the specification that the verdict is by.
    pub row: &'static str,
    /// All that decided, in order.
    pub steps: Vec<Step>,
    /// Where a dial of a socket on this node is answered more strictly than the packet asked about would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<String>,
}

impl Answer {
    /// A verdict without endpoints.
    pub(super) fn new(verdict: Verdict, row: &'static str, reason: String, steps: Vec<Step>) -> Self {
        Self {
            verdict,
            endpoints: vec![],
            masquerade: vec![],
            service: String::new(),
            reason,
            row,
            steps,
            caution: None,
        }
    }
}
