//! Where the world is learnt from: a directory of manifests, a cluster.
//!
//! A source translates what it sees into [`crate::model`] and sends what changed. It alone knows Kubernetes'
//! types. Whatever it can't read, it says; what it said before stays in force meanwhile.

pub mod kubernetes;
pub mod manifest;
mod problem;
pub mod translate;

pub use problem::{ObjectRef, Problem};

use ipnet::IpNet;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::model::Change;

/// Requests to API servers, by `code`, `host` and `method`.
pub type Requests = Family<[(&'static str, String); 3], Counter>;

/// What a source sends: everything that changed since its last event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceEvent {
    /// What is different now. All of them belong together: an endpoint that moves from one slice to another
    /// is gone from one and there in the other in the same event (EPS-05).
    pub changes: Vec<Change>,
    /// Everything that is wrong now, whether it was said before or not.
    pub problems: Vec<Problem>,
    /// Where ClusterIPs are from, where the source knows and that is news (CIP-05).
    pub service_cidrs: Option<Vec<IpNet>>,
    /// When endpoints that are told by this event changed, by whoever wrote their slices (EPS-15).
    pub triggers: Vec<Timestamp>,
    /// This is the first complete picture: what it doesn't hold, isn't there. Before it nothing may be taken
    /// out of the kernel (SYN-01).
    pub first: bool,
}
