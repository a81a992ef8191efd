//! Flows for people: both directions as one, with the names of what they belong to.

use std::io;
use std::net::SocketAddr;

use lb_common::{Addr, Flow, FlowKey, FlowState, Moment, Port, Seen};
use serde::{Serialize, Serializer};

use super::{FlowTables, Flows, Table};

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowPair {
    /// TCP, UDP or SCTP
    pub protocol: String,
    /// Who dials.
    pub client: SocketAddr,
    /// What is dialled.
    pub frontend: SocketAddr,
    /// What the backend sees in place of the client, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masquerade: Option<SocketAddr>,
    /// Who answers.
    pub backend: SocketAddr,
    /// What both directions together say.
    #[serde(serialize_with = "name")]
    pub state: FlowState,
    /// Whether it is in the table that no flood touches.
    pub assured: bool,
    /// Seconds since the last packet of either direction.
    pub idle: u32,
    /// Seconds since it began.
    pub age: u32,
    /// The number of its Service port in `LABELS`.
    #[serde(skip)]
    pub service: u32,
}

fn name<S: Serializer>(state: &FlowState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}

/// Every flow, in order of clients.
///
/// # Errors
///
/// Where a table can't be read.
pub fn flow_pairs(tables: &FlowTables) -> io::Result<Vec<FlowPair>> {
    pairs_at(tables, super::now())
}

fn pairs_at(flows: &impl Flows, now: Moment) -> io::Result<Vec<FlowPair>> {
    let mut pairs = Vec::new();
    for table in [Table::Assured, Table::New] {
        let mut found = Vec::new();
        flows.walk(table, &mut |key, flow| {
            if !flow.is_reverse() {
                found.push((*key, *flow));
            }
        })?;
        pairs.extend(found.iter().map(|(key, flow)| {
            let counterpart = key.counterpart(flow);
            let other = flows.get(table, &counterpart);
            pair(key, flow, other.as_ref(), table, now)
        }));
    }
    pairs.sort_by(|a, b| (&a.protocol, a.client, a.frontend).cmp(&(&b.protocol, b.client, b.frontend)));
    Ok(pairs)
}

fn pair(key: &FlowKey, flow: &Flow, other: Option<&Flow>, table: Table, now: Moment) -> FlowPair {
    let sent = flow.rewritten(key.proto());
    let reverse = other.map_or(Seen::NOTHING, Flow::seen);
    let last = other.map_or(flow.last(), |other| flow.last().max(other.last()));
    FlowPair {
        protocol: key.proto().to_string(),
        client: socket(key.src(), key.sport()),
        frontend: socket(key.dst(), key.dport()),
        masquerade: flow.is_masqueraded().then(|| socket(sent.src(), sent.sport())),
        backend: socket(sent.dst(), sent.dport()),
        state: FlowState::of(key.proto(), flow.seen(), reverse),
        assured: table == Table::Assured,
        idle: now.seconds_since(last),
        age: now.seconds_since(flow.created()),
        service: flow.service().number(),
    }
}

fn socket(addr: Addr, port: Port) -> SocketAddr {
    SocketAddr::new(addr.into(), port.number())
}
