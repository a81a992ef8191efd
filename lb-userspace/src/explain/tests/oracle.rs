//! The reference algorithm (§0) once more, told straight from the objects without tables, flags or index:
//! both must give the same answer to any question in any world.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::Proto;
use proptest::prelude::*;

use super::properties::any_world;
use super::*;
use crate::compile::tests::properties::{any_node, proto};
use crate::model::{Family, IngressMode, NodePortAddresses, ServicePort, ServiceType, TrafficPolicy};

/// A way in, in the order of who goes before whom at one place of one Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    ClusterIp,
    Balancer,
    External,
    NodePort,
}

/// Whether an address can be a Service's or an endpoint's.
fn is_real(ip: IpAddr) -> bool {
    let mapped = ip.to_canonical() != ip;
    let of_link_or_all = match ip {
        IpAddr::V4(v4) => v4.octets()[..2] == [169, 254] || v4.octets() == [255; 4],
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    };
    !mapped && !of_link_or_all && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast()
}

/// Whether a port can be a Service's.
fn is_proxied(port: &&ServicePort) -> bool {
    port.port != 0 && [Proto::TCP, Proto::UDP, Proto::SCTP].contains(&port.protocol)
}

/// Whether a Service port answers at the question's address and port, and by which way in.
fn way_in(service: &Service, port: &ServicePort, node: &NodeFacts, question: &Question) -> Option<Way> {
    let Question { dst, dport, proto, .. } = *question;
    let is_served = service.kind != ServiceType::ExternalName
        && service.cluster_ip(question.family()).is_some_and(is_real);
    if !is_served || port.protocol != proto {
        return None;
    }
    if dport == port.port && is_real(dst) {
        if service.cluster_ip(question.family()) == Some(dst) {
            return Some(Way::ClusterIp);
        }
        if service.ingress.iter().any(|one| one.ip == dst && one.mode == IngressMode::Vip) {
            return Some(Way::Balancer);
        }
        if service.external_ips.contains(&dst) {
            return Some(Way::External);
        }
    }
    let primary = node.addresses.iter().find(|ip| Family::of(**ip) == question.family());
    let accepted = match &node.node_port_addresses {
        _ if dst.is_loopback() || dst.is_unspecified() => node.node_port_addresses == NodePortAddresses::All,
        _ if !is_real(dst) || !node.addresses.contains(&dst) => false,
        NodePortAddresses::All => true,
        NodePortAddresses::Primary => primary == Some(&dst),
        NodePortAddresses::Within(nets) => nets.iter().any(|net| net.contains(&dst)),
    };
    (accepted && dport != 0 && port.node_port == Some(dport)).then_some(Way::NodePort)
}

/// The endpoints of a Service port, one for each address and port (EPS-05).
fn endpoints(
    world: &World,
    service: &Service,
    port: &ServicePort,
    family: Family,
) -> Vec<(String, Endpoint)> {
    let mut all: Vec<(String, u16, IpAddr, Endpoint)> = vec![];
    for slice in world.slices_of(&service.name) {
        for of_slice in &slice.ports {
            let matches = of_slice.name == port.name && of_slice.protocol == port.protocol;
            if !matches || of_slice.port == 0 || slice.family != family {
                continue;
            }
            for endpoint in &slice.endpoints {
                if Family::of(endpoint.address) == family && is_real(endpoint.address) {
                    let name = slice.name.name.clone();
                    all.push((name, of_slice.port, endpoint.address, endpoint.clone()));
                }
            }
        }
    }
    // The best first: not terminating, ready, serving; then by anything, as long as it is the same each time.
    all.sort_by_key(|(slice, _, _, one)| {
        let data = (one.node.clone(), one.zone_hints().to_vec(), one.node_hints().to_vec());
        (one.terminating, !one.ready, !one.serving, slice.clone(), data)
    });
    let mut seen = BTreeSet::new();
    all.retain(|(_, port, ip, _)| seen.insert((*ip, *port)));
    all.into_iter()
        .map(|(_, port, ip, endpoint)| (std::net::SocketAddr::new(ip, port).to_string(), endpoint))
        .collect()
}

type Listed = Vec<(String, Endpoint)>;

/// The cluster list and the local list (EPS-07, EPS-08, TOPO-*).
fn lists(all: &Listed, node: &NodeFacts) -> (Listed, Listed) {
    let is_local = |one: &Endpoint| one.node.as_deref() == Some(node.name.as_str());
    let only = |keep: &dyn Fn(&Endpoint) -> bool| -> Listed {
        all.iter().filter(|(_, one)| keep(one)).cloned().collect()
    };
    let ending = |one: &Endpoint| one.serving && one.terminating;
    let ready = only(&|one| one.ready);
    let zone = node.zone.clone().unwrap_or_default();
    let every = |hinted: &dyn Fn(&Endpoint) -> bool| ready.iter().all(|(_, one)| hinted(one));
    let near: Listed =
        ready.iter().filter(|(_, one)| one.node_hints().contains(&node.name)).cloned().collect();
    let nearby: Listed = ready.iter().filter(|(_, one)| one.zone_hints().contains(&zone)).cloned().collect();
    let cluster = if ready.is_empty() {
        only(&ending)
    } else if every(&|one| !one.node_hints().is_empty()) && !near.is_empty() {
        near
    } else if every(&|one| !one.zone_hints().is_empty()) && !zone.is_empty() && !nearby.is_empty() {
        nearby
    } else {
        ready
    };
    let mut local = only(&|one| one.ready && is_local(one));
    if local.is_empty() {
        local = only(&|one| ending(one) && is_local(one));
    }
    (cluster, local)
}

/// Verdict, endpoints and masqueraded ones.
type Told = (Verdict, Vec<String>, Vec<String>);

fn tell(world: &World, node: &NodeFacts, question: &Question) -> Told {
    let Question { src, dst, .. } = *question;
    let family = question.family();
    let nothing = |verdict| (verdict, vec![], vec![]);
    let is_self = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    let from_node = is_self(src) || node.addresses.contains(&src);
    let from_pod = !from_node && node.cluster_cidrs.iter().any(|cidr| cidr.contains(&src));
    let tells_pods = node.cluster_cidrs.iter().any(|cidr| Family::of(cidr.addr()) == family);
    if is_self(dst) && !from_node {
        return nothing(Verdict::Pass);
    }

    let mut claims = vec![];
    for service in world.services() {
        let mut known = BTreeSet::new();
        for port in service.ports.iter().filter(is_proxied) {
            if known.insert((port.name.clone(), port.protocol))
                && let Some(way) = way_in(service, port, node, question)
            {
                let all = endpoints(world, service, port, family);
                claims.push((way, service, port, lists(&all, node)));
            }
        }
    }
    claims.sort_by_key(|(_, service, port, _)| {
        (service.created.is_none(), service.created, service.name.clone(), port.name.clone())
    });
    let own = claims.iter().find(|(way, ..)| *way != Way::NodePort);
    let node_port = claims.iter().find(|(way, ..)| *way == Way::NodePort);
    let winner = match (own, node_port) {
        (Some((.., (cluster, _))), Some(other)) if cluster.is_empty() => Some(other),
        _ => own.or(node_port),
    };
    let Some((way, service, port, (cluster, local))) = winner else {
        let guarded = world.services().any(|service| {
            service.kind != ServiceType::ExternalName
                && service.cluster_ip(family) == Some(dst)
                && is_real(dst)
                && service.ports.iter().any(|port| is_proxied(&port))
        });
        return nothing(if guarded { Verdict::Reject } else { Verdict::Pass });
    };

    let is_vip = |ip: IpAddr| {
        is_real(ip) && service.ingress.iter().any(|one| one.ip == ip && one.mode == IngressMode::Vip)
    };
    // Ranges are for the address at the Service's own port; a node port at the same address is not restricted.
    let restricts = is_vip(dst) && port.port == question.dport;
    if let Some(ranges) = service.source_ranges.as_ref().filter(|_| restricts) {
        let primary = node.addresses.iter().copied().find(|ip| Family::of(*ip) == family);
        let src = if is_self(src) { primary.unwrap_or(src) } else { src };
        let open = ranges.iter().any(|net| net.prefix_len() == 0 && Family::of(net.addr()) == family);
        let inside = |ip: IpAddr| ranges.iter().any(|net| net.contains(&ip));
        if !(open || inside(src) || (is_vip(src) && primary.is_some_and(inside))) {
            return nothing(Verdict::Drop);
        }
    }
    let exposed = match service.kind {
        ServiceType::ClusterIP => !service.external_ips.is_empty(),
        _ => true,
    };
    let external_local = exposed && service.external_policy == TrafficPolicy::Local;
    let (list, masquerade) = match way {
        Way::ClusterIp if service.internal_policy == TrafficPolicy::Local => (local, tells_pods && !from_pod),
        Way::ClusterIp => (cluster, tells_pods && !from_pod),
        _ if !external_local => (cluster, true),
        _ if from_node => (cluster, true),
        _ if from_pod => (cluster, false),
        _ => (local, false),
    };
    if list.is_empty() {
        return nothing(if cluster.is_empty() { Verdict::Reject } else { Verdict::Drop });
    }
    let masqueraded = list.iter().filter(|(_, one)| {
        let on_node = one.node.as_deref() == Some(node.name.as_str());
        (on_node && one.address == src) || (masquerade && (node.masquerade_always || !on_node))
    });
    let sorted = |texts: Vec<String>| texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    (
        Verdict::Dnat,
        sorted(list.iter().map(|(text, _)| text.clone()).collect()),
        sorted(masqueraded.map(|(text, _)| text.clone()).collect()),
    )
}

/// The addresses that generated objects have, and one that none has.
pub(super) fn addresses() -> Vec<IpAddr> {
    let pods = (1..5).map(|last| IpAddr::from([10, 244, 1, last]));
    let v6 = (1..4).map(|last| IpAddr::from([0xfd00, 0x10, 0x244, 0, 0, 0, 0, last]));
    pods.chain(v6).chain(["192.168.0.2", "127.0.0.1", "::1", "203.0.113.7"].map(ip)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_question_is_answered_as_the_reference_algorithm_does(
        world in any_world(),
        node in any_node(),
        proto in proto(),
    ) {
        let index = Index::new(&world, &node, &[]);
        for (src, dst) in addresses().into_iter().flat_map(|src| addresses().into_iter().map(move |dst| (src, dst))) {
            for dport in [80, 31_000] {
                let Ok(question) = Question::new(src, proto, dst, dport) else { continue };
                let answer = index.explain(&question);
                let told = (answer.verdict, answer.endpoints.clone(), answer.masquerade.clone());
                prop_assert_eq!(told, tell(&world, &node, &question), "{:?} {:#?}", question, answer);
            }
        }
    }
}
