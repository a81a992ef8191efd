//! What a source tells the engine.

use super::{EndpointSlice, NodeObject, ObjectName, Service};

/// One object as it is now, or gone. Applying a change twice is applying it once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// A Service is this now.
    Service(Box<Service>),
    /// There is no Service of this name.
    ServiceGone(ObjectName),
    /// An EndpointSlice is this now.
    Slice(Box<EndpointSlice>),
    /// There is no EndpointSlice of this name.
    SliceGone(ObjectName),
    /// The Node object of this node says this now.
    Node(NodeObject),
}
