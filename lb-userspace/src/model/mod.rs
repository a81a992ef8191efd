//! What the cluster says, as plain values: no Kubernetes types, no maps, no I/O.
//!
//! Sources translate into these; [`crate::compile`] reads them.

mod address;
mod change;
mod endpoint;
mod node;
mod protocol;
mod service;
mod uid;
mod world;

pub use address::why_not_dialled;
pub use change::Change;
pub use endpoint::{Endpoint, EndpointSlice, Hints, SlicePort};
pub use node::{DetectLocal, NodeFacts, NodeObject, NodePortAddresses, UnknownNodePortAddresses};
pub use service::{
    Family, Ingress, IngressMode, NameParts, ObjectName, Service, ServicePort, ServiceType, TargetPort,
    TrafficPolicy,
};
pub use uid::{NotAUid, Uid};
pub use world::{Affected, World};
