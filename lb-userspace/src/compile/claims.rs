//! Whose an address and port is when several Services claim it (SVC-14, EXT-02).
//!
//! kube-proxy takes either, by chance, and may change its mind at each sync. Here the older Service keeps
//! what it has. An address that a Service owns (ClusterIP, external, load balancer) beats a NodePort, unless
//! its Service has no endpoint to send to while a NodePort's Service claims the same place. A ClusterIP that
//! another Service has as external address is guarded as a ClusterIP (CIP-03).

use lb_common::{FrontendFlags, FrontendKind};

use crate::tables::{ServiceKey, ServiceTable};

/// One Service port's claim to a frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// By which way in.
    pub kind: FrontendKind,
    /// Whether it is a guard that refuses nothing.
    pub ping_only: bool,
    /// Whether its cluster list has a backend.
    pub usable: bool,
    /// `metadata.creationTimestamp`; `None` is younger than any.
    pub created: Option<i64>,
    /// Who claims.
    pub key: ServiceKey,
}

impl Claim {
    /// The claim of a table to one of its frontends that has these flags.
    pub fn new(table: &ServiceTable, flags: FrontendFlags) -> Self {
        let usable = table.backends.values().any(|state| state.in_cluster);
        Self { created: table.created, ..Self::found(&table.key, flags, usable) }
    }

    /// The claim of a Service port of which nothing is known but what it has.
    pub fn found(key: &ServiceKey, flags: FrontendFlags, usable: bool) -> Self {
        Self {
            kind: flags.kind().unwrap_or(FrontendKind::ClusterIp),
            ping_only: flags.has(FrontendFlags::PING_ONLY),
            usable,
            created: None,
            key: key.clone(),
        }
    }

    /// What claims are compared by: the smallest is the oldest of those that refuse.
    fn rank(&self) -> (bool, bool, Option<i64>, &ServiceKey) {
        (self.ping_only, self.created.is_none(), self.created, &self.key)
    }
}

/// The claim that has the frontend; `None` where there is no claim. The order of `claims` is of no matter.
pub fn winner<'a>(claims: impl IntoIterator<Item = &'a Claim>) -> Option<&'a Claim> {
    let mut owner: Option<&Claim> = None;
    let mut node_port: Option<&Claim> = None;
    for claim in claims {
        let oldest = if claim.kind == FrontendKind::NodePort { &mut node_port } else { &mut owner };
        if oldest.is_none_or(|known| claim.rank() < known.rank()) {
            *oldest = Some(claim);
        }
    }
    match (owner, node_port) {
        (Some(owner), Some(node_port)) if !owner.usable => Some(node_port),
        (owner, node_port) => owner.or(node_port),
    }
}

#[cfg(test)]
mod tests {
    use lb_common::Proto;

    use super::*;
    use crate::model::{Family, ObjectName};

    fn claim(name: &str, kind: FrontendKind, usable: bool, created: Option<i64>) -> Claim {
        let key = ServiceKey {
            service: ObjectName::new("default", name),
            port_name: String::new(),
            protocol: Proto::TCP,
            family: Family::V4,
        };
        Claim { kind, ping_only: false, usable, created, key }
    }

    /// The winner's name, whichever way the claims are listed.
    #[track_caller]
    fn check(claims: &[Claim], expected: &str) {
        let name = |claim: Option<&Claim>| claim.map(|claim| claim.key.service.name.clone());
        assert_eq!(name(winner(claims)).as_deref(), Some(expected));
        assert_eq!(name(winner(claims.iter().rev())).as_deref(), Some(expected));
    }

    #[test]
    fn nobody_has_what_nobody_claims() {
        assert_eq!(winner([]), None);
    }

    #[test]
    fn the_older_service_has_the_address_svc_14() {
        check(
            &[
                claim("younger", FrontendKind::ExternalIp, true, Some(20)),
                claim("older", FrontendKind::LoadBalancer, true, Some(10)),
            ],
            "older",
        );
    }

    #[test]
    fn the_older_service_has_the_address_even_without_endpoints_svc_14() {
        check(
            &[
                claim("younger", FrontendKind::ExternalIp, true, Some(20)),
                claim("older", FrontendKind::ExternalIp, false, Some(10)),
            ],
            "older",
        );
    }

    #[test]
    fn a_service_of_unknown_age_is_younger_than_any_svc_14() {
        check(
            &[
                claim("a-unknown", FrontendKind::ExternalIp, true, None),
                claim("known", FrontendKind::ExternalIp, true, Some(i64::MAX)),
            ],
            "known",
        );
    }

    #[test]
    fn services_of_one_age_are_told_apart_by_name_svc_14() {
        check(
            &[
                claim("b", FrontendKind::NodePort, true, Some(1)),
                claim("a", FrontendKind::NodePort, true, Some(1)),
            ],
            "a",
        );
    }

    #[test]
    fn a_cluster_ip_stays_guarded_where_it_is_an_older_external_address_too_cip_03() {
        let guard = |name, created| claim(name, FrontendKind::AddressGuard, true, Some(created));
        let external = Claim { ping_only: true, ..guard("external", 1) };
        check(&[external, guard("cluster-ip", 2)], "cluster-ip");
    }

    #[test]
    fn an_address_beats_an_older_node_port_ext_02() {
        check(
            &[
                claim("node-port", FrontendKind::NodePort, true, Some(1)),
                claim("external", FrontendKind::ExternalIp, true, Some(2)),
            ],
            "external",
        );
    }

    #[test]
    fn an_address_without_usable_endpoints_leaves_the_node_port_answering_ext_02() {
        check(
            &[
                claim("node-port", FrontendKind::NodePort, false, Some(3)),
                claim("older-node-port", FrontendKind::NodePort, true, Some(2)),
                claim("external", FrontendKind::ExternalIp, false, Some(1)),
            ],
            "older-node-port",
        );
    }
}
