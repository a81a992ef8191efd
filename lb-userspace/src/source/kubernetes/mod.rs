//! The source for a cluster: watches of its API.
//!
//! ```text
//! follow (one of each kind) ─► picture ─► what changed
//! (lists, watches, failures)   (pure)     (when it is due)
//! ```
//!
//! What is watched is what kube-proxy watches, by the same selectors: Services that are no other proxy's and
//! have an address (SVC-01), EndpointSlices that are no headless Service's (SVC-02), this Node for its zone
//! (TOPO-01), ServiceCIDRs (CIP-05).
//!
//! **An API server never empties the maps by failing.** Gone, slow, cut off in the middle of a list, speaking
//! garbage: nothing that such a server says or doesn't say takes an object away. Only two things do: the
//! server says of this object that it is deleted, or a list that came to its end doesn't have it. A complete list
//! that lacks everything is never believed, and one that lacks most of what was known only when the next one says
//! the same (see [`follow`]): client-go, and so kube-proxy, believes both at once, and with them go the Services
//! of the node.

mod backoff;
mod connect;
mod doubt;
mod end;
mod events;
mod follow;
mod object;
mod picture;
mod remarks;
mod servers;
mod shared;
mod shelf;
mod watch;

pub use connect::{Access, ConnectError, SERVICE_ACCOUNT, connect};
pub use events::publish;
pub use follow::Times;
pub use servers::Cluster;
pub use watch::{Options, watch};
