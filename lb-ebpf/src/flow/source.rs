//! Who may begin a flow.

use aya_ebpf::bindings::__sk_buff;
use lb_common::{FilterBit, FrontendFlags, FrontendKey};

use crate::{
    maps, route,
    work::{Work, take_up},
};

/// 1 where no client can have the source of the packet in hand: an IPv6 address of the link alone, the node's own, a
/// ClusterIP. Two bits say «no» to nearly all others.
///
/// The stack would drop the node's own as a martian, but a masqueraded packet never comes to its eyes; and two
/// Services that answer each other would never end.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn shunt_forged(skb: *mut __sk_buff) -> u32 {
    let Some((packet, Work { headers, .. })) = take_up(skb) else {
        return 1;
    };
    let key = &headers.tuple;
    let src = key.src();
    let guard = FrontendKey::address_guard(src);
    let is_cluster_ip = || {
        // An external address may be another node's own, whose processes are clients as others.
        maps::is_in_filter(FilterBit::frontend(&guard))
            && maps::lookup_frontend(&guard).is_some_and(|guard| !guard.flags().has(FrontendFlags::PING_ONLY))
    };
    u32::from(src.is_of_link() || is_cluster_ip() || route::is_own(packet, &key.reversed()))
}
