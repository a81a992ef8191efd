//! Proof of the layouts, at compile time, on both sides of the boundary.
//!
//! Each size below is the sum of the sizes of the type's fields: there is no padding.

use core::mem::{align_of, size_of};

use crate::{
    Addr, Affinity, AffinityKey, Backend, Dialled, Flow, FlowKey, Fragment, FragmentKey, Frontend,
    FrontendKey, List, NodeConfig, Port, RangeKey, Service, ServiceLabel, SocketFlow, SocketFlowKey,
};

/// Part of the name of the directory that maps are pinned in: pins of another version are never adopted
/// unseen. Grows with every change of a type in this crate that is a map's key or value, or of its meaning.
pub const LAYOUT_VERSION: u32 = 1;

const _: () = {
    assert!(size_of::<Addr>() == 16 && align_of::<Addr>() == 4);
    assert!(size_of::<Port>() == 2 && align_of::<Port>() == 2);
    assert!(size_of::<List>() == 8 && align_of::<List>() == 8);
    assert!(size_of::<FrontendKey>() == 20 && align_of::<FrontendKey>() == 4);
    assert!(size_of::<Frontend>() == 8 && align_of::<Frontend>() == 4);
    assert!(size_of::<Service>() == 24 && align_of::<Service>() == 8);
    assert!(size_of::<ServiceLabel>() == 216 && align_of::<ServiceLabel>() == 2);
    assert!(size_of::<Backend>() == 32 && align_of::<Backend>() == 4);
    assert!(size_of::<AffinityKey>() == 28 && align_of::<AffinityKey>() == 4);
    assert!(size_of::<Affinity>() == 16 && align_of::<Affinity>() == 8);
    assert!(size_of::<SocketFlow>() == 40 && align_of::<SocketFlow>() == 8);
    assert!(size_of::<Dialled>() == 64 && align_of::<Dialled>() == 8);
    assert!(size_of::<FlowKey>() == 40 && align_of::<FlowKey>() == 4);
    assert!(size_of::<Flow>() == 60 && align_of::<Flow>() == 4);
    assert!(size_of::<FragmentKey>() == 40 && align_of::<FragmentKey>() == 4);
    assert!(size_of::<Fragment>() == 8 && align_of::<Fragment>() == 4);
    assert!(size_of::<RangeKey>() == 20 && align_of::<RangeKey>() == 4);
    assert!(size_of::<NodeConfig>() == 48 && align_of::<NodeConfig>() == 4);
    assert!(size_of::<SocketFlowKey>() == 32 && align_of::<SocketFlowKey>() == 8);
};
