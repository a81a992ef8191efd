//! Leave for userspace to copy these types to and from maps as plain bytes.
#![expect(unsafe_code, reason = "aya::Pod is an unsafe trait; this is the one place that implements it")]

use crate::{
    Affinity, AffinityKey, Backend, Dialled, Flow, FlowKey, Fragment, FragmentKey, Frontend, FrontendKey,
    NodeConfig, RangeKey, Service, ServiceLabel, SocketFlow, SocketFlowKey,
};

macro_rules! pod {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: `repr(C)` of integers and arrays of integers: every bit pattern is a value, and there is
        // no padding, which `layout` shows by the sizes.
        unsafe impl aya::Pod for $type {}
    )*};
}

pod!(
    Affinity,
    AffinityKey,
    Backend,
    Dialled,
    Flow,
    FlowKey,
    Fragment,
    FragmentKey,
    Frontend,
    FrontendKey,
    NodeConfig,
    RangeKey,
    Service,
    ServiceLabel,
    SocketFlow,
    SocketFlowKey,
);
