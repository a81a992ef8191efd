//! A packet to a frontend that is of no flow yet.

use lb_common::{
    BackendFlags, Counter, Flow, FlowFlags, FlowKey, Frontend, FrontendFlags, NodeFlags, Owner, Proto, RangeSet,
    Seen, packet::Headers,
};

use super::reserve;
use crate::{
    maps::{self, flows},
    route,
    service::{
        affinity::Client,
        choose::{self, Choice},
    },
    skb::Skb,
};

/// A packet that came in, and what becomes of it.
pub struct Arrival {
    /// What it is.
    pub headers: Headers,
    /// What its packets become.
    pub to: FlowKey,
    /// Whose address it is for.
    pub frontend: Frontend,
    /// 1 where it comes from a pod of this node.
    pub pod_side: u32,
}

/// Begins a flow, and says what its packets become. Returns its flags, or the index of the counter that says
/// why there is none.
///
/// A function of its own, for what it needs of the stack must not add up with the rest.
#[inline(never)]
pub fn open(packet: &Skb, arrival: &mut Arrival) -> Result<u32, u32> {
    let Arrival { headers, to, frontend, pod_side } = arrival;
    let opened = check_opening(headers)
        .and_then(|()| choose_backend(headers, frontend, *pod_side != 0))
        .and_then(|(choice, masquerade)| begin(packet, headers, &choice, masquerade, to));
    match opened {
        Ok(flags) => Ok(u32::from(flags.bits())),
        Err(reason) => Err(reason.index()),
    }
}

/// Any datagram begins a flow; a TCP segment or an SCTP packet only where it says so.
#[inline(always)]
fn check_opening(headers: &Headers) -> Result<(), Counter> {
    if headers.tuple.proto() == Proto::UDP || headers.seen().has(Seen::OPEN) {
        return Ok(());
    }
    Err(Counter::NoFlow)
}

/// Which backend, and whether it is to see the node in place of the client (§0 of the reference algorithm).
#[inline(always)]
fn choose_backend(headers: &Headers, frontend: &Frontend, pod_side: bool) -> Result<(Choice, bool), Counter> {
    let (client, flags, service) = (headers.tuple.src(), frontend.flags(), frontend.service());
    if flags.has(FrontendFlags::SOURCE_RANGES) && !maps::is_in_range(RangeSet::sources(service), client) {
        return Err(Counter::SourceRefused);
    }
    let node = maps::node().ok_or(Counter::Inconsistent)?;
    let inside = pod_side
        || (node.flags().has(NodeFlags::POD_RANGES) && maps::is_in_range(RangeSet::PODS, client));
    let local = flags.has(if inside { FrontendFlags::INSIDE_LOCAL } else { FrontendFlags::OUTSIDE_LOCAL });
    let choice = choose::choose(service, local, &Client::Address(client))?;
    let always =
        flags.has(if inside { FrontendFlags::INSIDE_MASQUERADE } else { FrontendFlags::OUTSIDE_MASQUERADE });
    let masquerade = if choice.backend.flags().has(BackendFlags::ON_NODE) {
        // A pod's answer to the node's own address is only seen by a program on the pod's device.
        let hairpin = choice.backend.addr() == client;
        (always || hairpin) && node.flags().has(NodeFlags::POD_DEVICES)
    } else {
        // An answer to a pod of this node comes back here whoever sends it; one to a client outside would not.
        always || !pod_side
    };
    Ok((choice, masquerade))
}

/// Makes both entries of the flow; what its packets become.
#[inline(always)]
fn begin(
    packet: &Skb,
    headers: &Headers,
    choice: &Choice,
    masquerade: bool,
    to: &mut FlowKey,
) -> Result<FlowFlags, Counter> {
    let key = &headers.tuple;
    let backend = choice.backend;
    let owner = Owner { backend: choice.id, generation: backend.generation(), service: backend.service() };
    *to = FlowKey::new(key.src(), key.sport(), backend.addr(), backend.port(), key.proto());
    let masquerade = masquerade && route::set_source(packet, to)?;
    let flags = FlowFlags::empty().with_if(masquerade, FlowFlags::MASQUERADED);
    let now = flows::now();
    let reverse = Flow::new(&key.reversed(), flags.with(FlowFlags::REVERSE), owner, now);
    if !reserve::reserve(packet, key, to, &reverse) {
        flows::count_exhausted(choice.id);
        return Err(Counter::MasqueradeExhausted);
    }
    let forward = Flow::new(to, flags, owner, now).with_seen(headers.seen());
    if flows::insert_new(key, &forward) {
        flows::remove_assured(key);
        maps::count(Counter::NewFlow);
        return Ok(flags);
    }
    // The tuple has a flow already: a SYN sent again. It goes where the first went.
    let first = flows::lookup_new(key).ok_or(Counter::Inconsistent)?;
    let (first_to, first_flags) = (first.rewritten(key.proto()), first.flags());
    if first_to != *to {
        flows::remove_new(&to.reversed());
        *to = first_to;
    }
    Ok(first_flags)
}
