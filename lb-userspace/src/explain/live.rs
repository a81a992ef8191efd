//! What the maps of the kernel say to a question, read as the programs read them, and where that is not what
//! the model says.

use std::collections::BTreeSet;

use lb_common::{Addr, FrontendFlags, FrontendKey, List, Port, RangeKey, RangeSet};
use serde::Serialize;

use super::answer::{Answer, Verdict};
use super::question::{Question, Source};
use crate::model::NodeFacts;
use crate::reconcile::{Observed, Range};
use crate::tables::BackendKey;

/// What the maps say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Live {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// Where it may be sent, as `ip:port`, sorted as text.
    pub endpoints: Vec<String>,
    /// `namespace/name:port` of the Service; empty where none decided.
    pub service: String,
    /// Where the model says otherwise; empty where it says the same.
    pub disagreements: Vec<String>,
}

impl Live {
    fn new(verdict: Verdict) -> Self {
        Self { verdict, endpoints: vec![], service: String::new(), disagreements: vec![] }
    }

    /// What `maps` say to `question` on `node`.
    pub fn read(maps: &Observed, node: &NodeFacts, question: &Question) -> Self {
        let source = Source::of(question.src, node);
        let mut dst = Addr::from(question.dst);
        if dst.is_own_host() {
            if source != Source::Node {
                return Self::new(Verdict::Pass);
            }
            dst = dst.loopback();
        }
        let key = FrontendKey::new(dst, Port::new(question.dport), question.proto);
        let Some(frontend) = maps.frontends.get(&key) else {
            return Self::new(unknown(maps, dst));
        };
        let (id, flags) = (frontend.service(), frontend.flags());
        let mut live = Self::new(Verdict::Drop);
        if let Some(label) = maps.labels.get(&id) {
            live.service = format!("{}/{}:{}", label.namespace(), label.name(), label.port());
        }
        if flags.has(FrontendFlags::SOURCE_RANGES)
            && !is_in(maps, RangeSet::sources(id), source_of(node, question))
        {
            return live;
        }
        let inside = source != Source::Outside;
        let local =
            flags.has(if inside { FrontendFlags::INSIDE_LOCAL } else { FrontendFlags::OUTSIDE_LOCAL });
        let service = maps.services.get(&id).copied().unwrap_or_default();
        let chosen = if local { service.local() } else { service.cluster() };
        live.endpoints = endpoints(maps, chosen);
        live.verdict = if !live.endpoints.is_empty() {
            Verdict::Dnat
        } else if local && !service.cluster().is_empty() {
            Verdict::Drop
        } else {
            Verdict::Reject
        };
        live
    }

    /// Adds where `model` says otherwise.
    #[must_use]
    pub fn compared_with(mut self, model: &Answer) -> Self {
        if self.verdict != model.verdict {
            let (maps, model) = (self.verdict.name(), model.verdict.name());
            self.disagreements.push(format!("the maps say {maps}, the objects {model}"));
            return self;
        }
        if self.verdict == Verdict::Dnat && self.service != model.service {
            let said = format!("the maps lead to Service {}, the objects to {}", self.service, model.service);
            self.disagreements.push(said);
        }
        let (maps, objects): (BTreeSet<_>, BTreeSet<_>) =
            (self.endpoints.iter().collect(), model.endpoints.iter().collect());
        let only = |of: &BTreeSet<&String>, than: &BTreeSet<&String>| -> Vec<String> {
            of.difference(than).map(|endpoint| (*endpoint).clone()).collect()
        };
        let (more, less) = (only(&maps, &objects), only(&objects, &maps));
        if !more.is_empty() {
            self.disagreements.push(format!("only the maps have {}", more.join(", ")));
        }
        if !less.is_empty() {
            self.disagreements.push(format!("the maps don't have {}", less.join(", ")));
        }
        self
    }

    /// An answer by the maps alone.
    pub fn into_answer(self) -> Answer {
        let reason = match self.verdict {
            Verdict::Dnat => {
                "the address and port are a frontend in the maps, and its list has these endpoints"
            }
            Verdict::Reject => "in the maps the address is a Service's, and nobody serves this port of it",
            Verdict::Drop => {
                "by the maps this source may not dial it, or no endpoint that it may reach is here"
            }
            Verdict::Pass => "the maps have no such frontend",
        };
        let reason = format!("No instance is running, so why is not known: {reason}.");
        let mut answer = Answer::new(self.verdict, "", reason, vec![]);
        answer.endpoints = self.endpoints;
        answer.service = self.service;
        answer
    }
}

/// A packet from loopback leaves by the node's first address.
fn source_of(node: &NodeFacts, question: &Question) -> Addr {
    let src = Addr::from(question.src);
    match node.primary(question.family()) {
        Some(primary) if src.is_own_host() => primary.into(),
        _ => src,
    }
}

/// No frontend: refused where the address is a Service's alone (CIP-03), dropped where it is from the network of
/// ClusterIPs (CIP-04).
fn unknown(maps: &Observed, dst: Addr) -> Verdict {
    match maps.frontends.get(&FrontendKey::address_guard(dst)) {
        Some(guard) if !guard.flags().has(FrontendFlags::PING_ONLY) => Verdict::Reject,
        Some(_) => Verdict::Pass,
        None if is_in(maps, RangeSet::CLUSTER_IPS, dst) => Verdict::Drop,
        None => Verdict::Pass,
    }
}

/// As the trie finds it: whether a network of the set holds the address.
fn is_in(maps: &Observed, set: RangeSet, addr: Addr) -> bool {
    maps.ranges.iter().any(|Range { key, prefix_len }| {
        let bits = prefix_len.saturating_sub(RangeKey::FULL - 128);
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        key.set() == set && (number(key.addr()) ^ number(addr)) & mask == 0
    })
}

/// The address's bits, the first of them highest.
fn number(addr: Addr) -> u128 {
    addr.words().into_iter().fold(0, |number, word| number << 32 | u128::from(u32::from_be(word)))
}

fn endpoints(maps: &Observed, list: List) -> Vec<String> {
    let slots = maps.slots.range(list.first()..list.first().saturating_add(list.len()));
    let backends = slots.filter_map(|(_, id)| maps.backends.get(id)).filter(|backend| !backend.is_free());
    let texts: BTreeSet<String> = backends
        .map(|backend| BackendKey { addr: backend.addr(), port: backend.port() }.to_string())
        .collect();
    texts.into_iter().collect()
}
