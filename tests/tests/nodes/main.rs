//! Sockets of pods, of processes of nodes and of clients outside, in namespaces and cgroups of their own.

mod harness;
