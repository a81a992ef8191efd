//! Which list a frontend's clients are sent to, and who is masqueraded whichever backend is chosen (§0
//! steps 1, 3 and 4 of the reference algorithm).

use lb_common::{FrontendFlags, FrontendKind};

use crate::model::{Family, NodeFacts, Service, ServiceType, TrafficPolicy};

/// The flags of a frontend of that kind, but for source ranges.
///
/// A ClusterIP obeys the internal policy alone, whoever dials. External kinds obey the external one, and
/// only toward clients outside: who is on this node already is sent to the cluster list.
///
/// Masquerade flags are set by `--masquerade=always` only: else the address of a client is kept toward a
/// backend of this node, and the packet path masquerades toward the others by itself. A process of the node
/// has the node's address anyhow, so that the inside flag says what happens to pods.
pub(super) fn flags(
    kind: FrontendKind,
    service: &Service,
    family: Family,
    node: &NodeFacts,
) -> FrontendFlags {
    let always = node.masquerade_always;
    let flags = FrontendFlags::of(kind);
    match kind {
        FrontendKind::ClusterIp => {
            let local = service.internal_policy == TrafficPolicy::Local;
            flags
                .with_if(local, FrontendFlags::INSIDE_LOCAL.with(FrontendFlags::OUTSIDE_LOCAL))
                .with_if(always && node.can_tell_pods(family), FrontendFlags::OUTSIDE_MASQUERADE)
        }
        FrontendKind::ExternalIp | FrontendKind::LoadBalancer | FrontendKind::NodePort => {
            let local = is_external_local(service);
            let masquerade = FrontendFlags::OUTSIDE_MASQUERADE.with(FrontendFlags::INSIDE_MASQUERADE);
            flags.with_if(local, FrontendFlags::OUTSIDE_LOCAL).with_if(always && !local, masquerade)
        }
        FrontendKind::AddressGuard | FrontendKind::PortGuard => flags,
    }
}

/// Whether `externalTrafficPolicy: Local` counts: not on a Service that nothing outside is meant to reach,
/// whatever its status says (EPS-12).
fn is_external_local(service: &Service) -> bool {
    let reachable = match service.kind {
        ServiceType::LoadBalancer | ServiceType::NodePort => true,
        ServiceType::ClusterIP => !service.external_ips.is_empty(),
        ServiceType::ExternalName => false,
    };
    reachable && service.external_policy == TrafficPolicy::Local
}
