//! What a source tells the engine.

use ipnet::IpNet;

use super::{EndpointSlice, ObjectName, Service};

/// One object as it is now, or gone. Applying a change twice is applying it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A Service is this now.
    Service(Box<Service>),
    /// There is no Service of this name.
    ServiceGone(ObjectName),
    /// An EndpointSlice is this now.
    Slice(Box<EndpointSlice>),
    /// There is no EndpointSlice of this name.
    SliceGone(ObjectName),
    /// The zone of this node is this now (TOPO-06).
    Zone(Option<String>),
    /// This node is there, and about to go away or not (HLZ-04).
    NodeLeaving(bool),
    /// Pods of this node have their addresses from these now (CFG-DL); none where nobody knows.
    PodCidrs(Vec<IpNet>),
}
