//! Tier `packets`: packet in, packet and counters out, for every program on the packet path.

mod affinity;
mod bypass;
mod case;
mod counters;
mod echo;
mod errors;
mod flood;
mod flows;
mod forms;
mod forward;
mod fragments;
mod garbage;
mod hops;
mod masquerade;
mod nameless;
mod refuse;
mod sources;
