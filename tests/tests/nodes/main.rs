//! Sockets of pods, of processes of nodes and of clients outside, in namespaces and cgroups of their own.
//!
//! One module for each subject; [`scene::Scene`] is what they share: a node, its pods, a client, and the
//! binary under test.

mod affinity;
mod agreement;
mod bind;
mod bypass;
mod churn;
mod cluster_ip;
mod datagrams;
mod demo;
mod devices;
mod families;
mod harness;
mod health;
mod manifests;
mod node_port;
mod outside;
mod permissions;
mod policy;
mod refusals;
mod scene;
mod settings;
mod spread;
mod takeover;
mod terminate;
