//! Fragments: only the first has ports (NAT-02, KRN-03).

use lb_common::{FlowKey, Fragment, FragmentKey, packet::Headers};

use crate::maps::flows;

/// Remembers the ports of a first fragment of a flow.
#[inline(always)]
pub fn record(headers: &Headers) {
    let tuple = &headers.tuple;
    let fragment = Fragment::new(tuple.sport(), tuple.dport(), flows::now());
    flows::record_fragment(&key(headers), &fragment);
}

/// Gives a later fragment the ports of its first; false where that has not passed here.
#[inline(always)]
pub fn recall(headers: &mut Headers) -> bool {
    let Some(fragment) = flows::lookup_fragment(&key(headers)) else {
        return false;
    };
    if fragment.is_expired(flows::now()) {
        return false;
    }
    let tuple = &headers.tuple;
    headers.tuple = FlowKey::new(tuple.src(), fragment.sport(), tuple.dst(), fragment.dport(), tuple.proto());
    true
}

#[inline(always)]
fn key(headers: &Headers) -> FragmentKey {
    let tuple = &headers.tuple;
    FragmentKey::new(tuple.src(), tuple.dst(), headers.fragment_id, tuple.proto())
}
