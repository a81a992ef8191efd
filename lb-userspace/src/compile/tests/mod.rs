//! The rows of the specification as tests; each names its row.

mod endpoints;
mod frontends;
pub(crate) mod objects;
mod policy;
pub(crate) mod properties;
mod services;
mod topology;
