//! Which ready endpoints are near enough (TOPO-01 to TOPO-05).
//!
//! Only the hints of the slices, the node's name and its zone are read: annotations and
//! `spec.trafficDistribution` have become hints before they get here (TOPO-07).

use crate::model::{Endpoint, NodeFacts};

/// How far traffic of one Service port may go from this node. Applies to the cluster list only (TOPO-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach<'a> {
    /// To endpoints hinted for this node (TOPO-02).
    Node(&'a str),
    /// To endpoints hinted for this zone (TOPO-03).
    Zone(&'a str),
    /// To any (TOPO-04).
    Anywhere,
}

impl<'a> Reach<'a> {
    /// From the hints of all `ready` endpoints of a Service port. A single one without hints opens it to all
    /// (TOPO-04), and a nearer reach is never one that leaves no endpoint.
    pub(super) fn of<'e>(ready: impl Iterator<Item = &'e Endpoint> + Clone, node: &'a NodeFacts) -> Self {
        let hinted = |hints: fn(&Endpoint) -> &[String], here: &str| {
            ready.clone().all(|endpoint| !hints(endpoint).is_empty())
                && ready.clone().any(|endpoint| names(hints(endpoint), here))
        };
        if hinted(Endpoint::node_hints, &node.name) {
            return Self::Node(&node.name);
        }
        match node.zone.as_deref() {
            Some(zone) if !zone.is_empty() && hinted(Endpoint::zone_hints, zone) => Self::Zone(zone),
            _ => Self::Anywhere,
        }
    }

    /// Whether a ready endpoint is within it.
    pub(super) fn includes(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Node(node) => names(endpoint.node_hints(), node),
            Self::Zone(zone) => names(endpoint.zone_hints(), zone),
            Self::Anywhere => true,
        }
    }
}

fn names(hints: &[String], here: &str) -> bool {
    hints.iter().any(|hint| hint == here)
}
