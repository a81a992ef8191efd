//! Whose is the address that a socket names?

use lb_common::{Addr, Counter, FilterBit, Frontend, FrontendFlags, FrontendKey, Port, Proto};

use crate::{config, maps};

/// What an address turned out to be.
pub enum Found {
    /// Not a Service's: never touched.
    NotOurs,
    /// A frontend.
    Frontend(Frontend),
    /// A Service's, and to be refused.
    Refused(Counter),
}

/// Looks up what a socket in the namespace `netns` names: one hash lookup for a frontend, none for what is no
/// Service's.
#[inline(always)]
pub fn lookup_from_socket(netns: u64, addr: Addr, port: Port, proto: Proto) -> Found {
    let own_host = addr.is_own_host();
    // A pod's loopback is the pod's own: NodePorts answer on the node's loopback alone.
    if own_host && !config::is_node(netns) {
        return Found::NotOurs;
    }
    let addr = if own_host { addr.loopback() } else { addr };
    let Some(frontend) = lookup(&FrontendKey::new(addr, port, proto)) else {
        return lookup_address(addr);
    };
    let refused =
        if config::is_node(netns) { FrontendFlags::NODE_REFUSED } else { FrontendFlags::PODS_REFUSED };
    if frontend.flags().has(refused) {
        return Found::Refused(Counter::SourceRefused);
    }
    Found::Frontend(frontend)
}

/// What an address is that has no frontend on the port in question (CIP-03, CIP-04).
#[inline(always)]
fn lookup_address(addr: Addr) -> Found {
    match lookup(&FrontendKey::address_guard(addr)) {
        Some(guard) if guard.flags().has(FrontendFlags::PING_ONLY) => Found::NotOurs,
        Some(_) => Found::Refused(Counter::UnknownPort),
        None if maps::is_unallocated(addr) => Found::Refused(Counter::UnallocatedAddress),
        None => Found::NotOurs,
    }
}

/// A frontend or a guard; one bit says that there is none.
#[inline(always)]
fn lookup(key: &FrontendKey) -> Option<Frontend> {
    if maps::is_in_filter(FilterBit::frontend(key)) { maps::lookup_frontend(key) } else { None }
}
