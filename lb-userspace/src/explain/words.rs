//! What the steps of a decision say, in the words of the articles that newcomers read.

use std::collections::BTreeSet;

use ipnet::IpNet;
use lb_common::FrontendKind;

use super::index::{Group, Index, Place, Target};
use super::question::Question;
use crate::compile::topology::Reach;
use crate::model::NodeFacts;

/// Field, finding, row.
pub(super) type Finding = (String, String, &'static str);

/// `10.0.0.0/8 and fd00::/8`; «nobody» where there is none.
pub(super) fn list(nets: &[IpNet]) -> String {
    match nets {
        [] => "nobody".to_owned(),
        [first] => first.to_string(),
        [first, rest @ ..] => rest.iter().fold(first.to_string(), |text, net| format!("{text} and {net}")),
    }
}

/// `1 endpoint`, `2 endpoints`
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// What a kind of frontend is called.
pub(super) fn kind(kind: FrontendKind) -> &'static str {
    match kind {
        FrontendKind::ClusterIp => "ClusterIP",
        FrontendKind::ExternalIp => "external address",
        FrontendKind::LoadBalancer => "load balancer's address",
        FrontendKind::NodePort => "node port",
        FrontendKind::AddressGuard | FrontendKind::PortGuard => "guard",
    }
}

/// Why the address and port are this Service port's.
pub(super) fn place(question: &Question, place: &Place, group: &Group<'_>, node: &NodeFacts) -> Finding {
    let (dst, port) = (question.dst, question.dport);
    match place.kind {
        FrontendKind::NodePort => (
            group.field("nodePort"),
            format!("{port} is its node port, and {dst} is an address of node {}", node.name),
            "NP-01",
        ),
        FrontendKind::ExternalIp => (
            "spec.externalIPs".to_owned(),
            format!("{dst} is one of its external addresses, {port} its port"),
            "EXT-01",
        ),
        FrontendKind::LoadBalancer => (
            "status.loadBalancer.ingress".to_owned(),
            format!(
                "{dst} is its load balancer's address, {port} its port: caught before it leaves the node"
            ),
            "LB-01",
        ),
        FrontendKind::ClusterIp | FrontendKind::AddressGuard | FrontendKind::PortGuard => {
            ("spec.clusterIPs".to_owned(), format!("{dst} is its ClusterIP, {port} its port"), "CIP-01")
        }
    }
}

/// Why another Service that claims the same place, by way of `kind`, has it not.
pub(super) fn rival(place: &Place, owner: &Group<'_>, rival: &Group<'_>, kind: FrontendKind) -> Finding {
    let owner = &owner.service.name;
    match (place.kind == FrontendKind::NodePort, kind == FrontendKind::NodePort) {
        (true, false) => {
            let finding = format!("it has this address and port too, but no endpoint: {owner} answers");
            ("spec.ports".to_owned(), finding, "EXT-02")
        }
        (false, true) => {
            let finding = format!("its node port is here too, but {owner} has the address as its own");
            (rival.field("nodePort"), finding, "EXT-02")
        }
        _ => {
            let finding = format!("it claims this address and port too, but {owner} is older");
            ("metadata.creationTimestamp".to_owned(), finding, "SVC-14")
        }
    }
}

/// Object, field, finding, row of what made the list that applies.
pub(super) fn endpoints(
    group: &Group<'_>,
    local: bool,
    index: &Index<'_>,
) -> Vec<(String, &'static str, String, &'static str)> {
    let object = slices(group, index);
    let node = &index.node.name;
    let targets: Vec<&Target<'_>> = group.list(local).collect();
    let ready = group.targets.iter().filter(|target| target.selected.endpoint.ready);
    let ready = ready.filter(|target| !local || target.selected.state.on_node).count();
    let mut findings = Vec::new();
    if local {
        let here = group.targets.iter().filter(|target| target.selected.state.on_node).count();
        let finding = format!("{} on node {node}", count(here, "endpoint"));
        findings.push((object.clone(), "endpoints[].nodeName", finding, "EPS-04"));
    }
    let row = if local { "EPS-08" } else { "EPS-07" };
    if ready == 0 && !targets.is_empty() {
        let finding =
            format!("none is ready: {} that still serve while they end", count(targets.len(), "endpoint"));
        findings.push((object, "endpoints[].conditions.terminating", finding, row));
        return findings;
    }
    findings.push((
        object.clone(),
        "endpoints[].conditions.ready",
        format!("{} ready", count(ready, "endpoint")),
        row,
    ));
    if !local && targets.len() < ready {
        let kept = count(targets.len(), "endpoint");
        match group.reach {
            Reach::Node(node) => {
                findings.push((
                    object,
                    "endpoints[].hints.forNodes",
                    format!("{kept} for node {node}"),
                    "TOPO-02",
                ));
            }
            Reach::Zone(zone) => {
                findings.push((
                    object,
                    "endpoints[].hints.forZones",
                    format!("{kept} for zone {zone}"),
                    "TOPO-03",
                ));
            }
            Reach::Anywhere => {}
        }
    }
    findings
}

/// The slices that the endpoints are from, or those of the Service where there is no endpoint.
fn slices(group: &Group<'_>, index: &Index<'_>) -> String {
    let service = &group.service.name;
    let all = index.world.slices_of(service);
    let mut names: BTreeSet<&str> =
        group.targets.iter().map(|target| target.selected.slice.name.name.as_str()).collect();
    if names.is_empty() {
        names.extend(all.iter().map(|slice| slice.name.name.as_str()));
    }
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => format!("EndpointSlices of {service}"),
        [one] => format!("EndpointSlice {}/{one}", service.namespace),
        [some @ .., last] if some.len() < 4 => {
            format!("EndpointSlices {}/{} and {last}", service.namespace, some.join(", "))
        }
        many => format!("{} EndpointSlices of {service}", many.len()),
    }
}

/// Why there is nobody to send to.
pub(super) fn no_endpoint(group: &Group<'_>, index: &Index<'_>) -> String {
    let service = &group.service.name;
    let why = if index.world.slices_of(service).is_empty() {
        "has no EndpointSlice: its selector finds no pod, or none was made for it".to_owned()
    } else if group.targets.is_empty() {
        format!("has no endpoint that serves its port {}", group.table.port)
    } else {
        "has endpoints that serve, but none that is ready or about to end".to_owned()
    };
    format!("Service {service} {why}. The dial is refused at once: connection refused.")
}

/// Why a client may not be sent to the endpoints that there are.
pub(super) fn no_local_endpoint(
    place: &Place,
    group: &Group<'_>,
    node: &NodeFacts,
    elsewhere: usize,
) -> String {
    let policy = match place.kind {
        FrontendKind::ClusterIp => "internalTrafficPolicy: Local",
        _ => "externalTrafficPolicy: Local",
    };
    format!(
        "Service {} has {} on other nodes, but {policy} keeps this client on node {}, where there is none: the \
         packet is dropped, so that whoever balances over the nodes tries another.",
        group.service.name,
        count(elsewhere, "endpoint"),
        node.name,
    )
}

/// Whether the pod sees who dialled.
pub(super) fn masquerade(node: &NodeFacts, total: usize, masqueraded: usize) -> (String, &'static str) {
    let setting = if node.masquerade_always { "always" } else { "remote" };
    let finding = match masqueraded {
        0 => "the pod sees the client's own address".to_owned(),
        all if all == total => "the pod sees an address of the node instead of the client's".to_owned(),
        some => format!("{some} of {total} pods see an address of the node instead of the client's"),
    };
    (format!("{setting}: {finding}"), "NAT-05")
}

/// The row that made the list what it is.
pub(super) fn row_of_list(group: &Group<'_>, local: bool, targets: &[&Target<'_>]) -> &'static str {
    let ready = group.targets.iter().filter(|target| target.selected.endpoint.ready).count();
    match group.reach {
        _ if local => "EPS-08",
        Reach::Node(_) if targets.len() < ready => "TOPO-02",
        Reach::Zone(_) if targets.len() < ready => "TOPO-03",
        _ => "EPS-07",
    }
}

/// Where the packet goes.
pub(super) fn sent(
    question: &Question,
    place: &Place,
    group: &Group<'_>,
    local: bool,
    targets: usize,
) -> String {
    let whose = match place.kind {
        FrontendKind::NodePort => {
            format!("{} is the node port of Service {} on this node", question.dport, group.service.name)
        }
        other => format!("{} is the {} of Service {}", question.dst, kind(other), group.service.name),
    };
    let ready = group.list(local).any(|target| target.selected.endpoint.ready);
    let condition = if ready { "" } else { " None is ready: those that are ending still serve." };
    let here = if local { " of this node" } else { "" };
    let choice = match (targets, group.table.affinity_seconds) {
        (1, _) => "the packet goes to it".to_owned(),
        (_, 0) => "each new connection goes to one of them, by chance".to_owned(),
        (_, seconds) => {
            format!("a client stays with the one it had within the last {seconds} s, else by chance")
        }
    };
    format!("{whose}, which has {}{here} for it: {choice}.{condition}", count(targets, "endpoint"))
}
