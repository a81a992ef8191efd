//! Why a number dialled on the wrong address fails.
//!
//! A Service port has up to three numbers, and each belongs to its own address: the port to the ClusterIP,
//! the node port to the nodes, the target port to the pod.

use std::net::IpAddr;

use lb_common::Addr;

use super::index::{Group, Index, Target};
use super::question::{Question, Source};
use crate::model::{IngressMode, NodePortAddresses};

/// `which answers at 8080/TCP and 53/UDP only`
pub(super) fn ports_of_cluster_ip(index: &Index<'_>, ip: IpAddr) -> String {
    let ports: Vec<String> = index
        .of_cluster_ip(ip)
        .map(|group| format!("{}/{}", group.table.port, group.table.key.protocol))
        .collect();
    format!("which answers at {} only", ports.join(" and "))
}

/// The reason of CIP-03; `any` is a group of the ClusterIP.
pub(super) fn wrong_port_on_cluster_ip(index: &Index<'_>, question: &Question, any: &Group<'_>) -> String {
    let Question { dst, dport, proto, .. } = *question;
    let service = &any.service.name;
    let groups = || index.of_cluster_ip(dst).filter(|group| group.table.key.protocol == proto);
    let why = if let Some(group) = groups().find(|group| group.table.node_port == dport) {
        let example = index
            .node
            .primary(question.family())
            .map_or_else(String::new, |ip| format!(", as in {}", std::net::SocketAddr::new(ip, dport)));
        format!(
            "{dport} is its node port, which belongs to the addresses of the nodes{example}; on the ClusterIP \
             the number is {}.",
            group.table.port
        )
    } else if let Some((group, target)) = groups().find_map(|group| Some((group, target_of(group, dport)?))) {
        format!(
            "{dport} is its target port, which the app in the pod listens on and which belongs to the pod's own \
             address, as in {}; on the ClusterIP the number is {}.",
            target.text, group.table.port
        )
    } else if let Some(group) = index.of_cluster_ip(dst).find(|group| group.table.port == dport) {
        format!("It has port {dport} in {}, and this is {proto}.", group.table.key.protocol)
    } else {
        let mut ports = ports_of_cluster_ip(index, dst);
        ports.drain(..ports.find(' ').map_or(0, |space| space + 1));
        format!("It {ports}.")
    };
    format!(
        "{dst} is the ClusterIP of Service {service}, a virtual address: no host has it. {why} The dial is refused."
    )
}

/// The reason of PASS, and its row.
pub(super) fn not_a_service(
    index: &Index<'_>,
    question: &Question,
    source: Source,
) -> (&'static str, String) {
    let Question { dst, dport, .. } = *question;
    let loopback = Addr::from(dst).is_own_host();
    if loopback && source != Source::Node {
        let reason = format!(
            "{dst} is whoever dials it, here {}, and nobody else: node ports answer on the loopback of the node to \
             the node alone. Not a Service packet.",
            question.src
        );
        return ("NP-04", reason);
    }
    if loopback || index.node.addresses.contains(&dst) {
        return on_the_node(index, question);
    }
    if let Some(group) = index.of_endpoint(dst).next() {
        return ("NAT-06", to_a_pod(group, question));
    }
    if let Some(group) = index.of_published(dst).next() {
        return published(group, question);
    }
    let reason = match node_port_group(index, question) {
        Some(group) => format!(
            "{dport} is the node port of Service {}, but {dst} is not an address of node {}: not a Service packet \
             here.",
            group.service.name, index.node.name
        ),
        None => format!("No Service has the address {dst}: not a Service packet, and never touched."),
    };
    ("NAT-06", reason)
}

/// Services that are named where a question finds no frontend: few, and the ones most likely meant.
const MOST_RELATED: usize = 3;

impl<'a> Index<'a> {
    /// The groups that a question which finds no frontend may have meant.
    pub(super) fn related(&self, question: &Question) -> Vec<&Group<'a>> {
        let Question { dst, dport, .. } = *question;
        let mut groups: Vec<&Group<'a>> =
            self.of_cluster_ip(dst).chain(self.of_endpoint(dst)).chain(self.of_published(dst)).collect();
        if groups.is_empty() {
            let here = self.node.addresses.contains(&dst) || Addr::from(dst).is_own_host();
            let means = |group: &&Group<'a>| here || group.table.node_port == dport;
            groups.extend(self.of_number(dport, question.family()).filter(means));
        }
        groups.truncate(MOST_RELATED);
        groups
    }
}

fn node_port_group<'i, 'a>(index: &'i Index<'a>, question: &Question) -> Option<&'i Group<'a>> {
    let Question { dport, proto, .. } = *question;
    index
        .of_number(dport, question.family())
        .find(|group| group.table.node_port == dport && group.table.key.protocol == proto)
}

fn on_the_node(index: &Index<'_>, question: &Question) -> (&'static str, String) {
    let Question { dst, dport, proto, .. } = *question;
    let end = "The packet is for the node itself, not a Service's.";
    if let Some(group) = node_port_group(index, question) {
        let accepted = match &index.node.node_port_addresses {
            NodePortAddresses::All => "all",
            NodePortAddresses::Primary => "primary",
            NodePortAddresses::Within(nets) => &super::words::list(nets),
        };
        let reason = format!(
            "{dport} is the node port of Service {}, but {dst} is not among the addresses that accept node ports \
             (--nodeport-addresses {accepted}). {end}",
            group.service.name
        );
        return ("NP-03", reason);
    }
    let of_number = || index.of_number(dport, question.family());
    if let Some(group) = of_number().find(|group| group.table.node_port == dport) {
        let reason = format!(
            "{dport} is the node port of Service {} in {}, and this is {proto}. {end}",
            group.service.name, group.table.key.protocol
        );
        return ("SVC-10", reason);
    }
    let instead = |group: &Group<'_>| match group.table.node_port {
        0 => "the Service has no node port".to_owned(),
        node_port => format!("on the node the number is {node_port}"),
    };
    let same = || of_number().filter(|group| group.table.key.protocol == proto);
    let why = if let Some(group) = same().find(|group| group.table.port == dport) {
        format!(
            "{dport} is the port of Service {}, which belongs to its ClusterIP {}; {}.",
            group.service.name,
            group.cluster_ip(),
            instead(group)
        )
    } else if let Some(group) = same().next() {
        let example =
            target_of(group, dport).map_or_else(String::new, |target| format!(", as in {}", target.text));
        format!(
            "{dport} is the target port of Service {}, which belongs to the pods{example}; {}.",
            group.service.name,
            instead(group)
        )
    } else {
        format!("No Service has node port {dport} in {proto}.")
    };
    ("NP-01", format!("{why} {end}"))
}

fn to_a_pod(group: &Group<'_>, question: &Question) -> String {
    let Question { dst, dport, .. } = *question;
    let service = &group.service.name;
    let target = group.targets.iter().find(|target| target.selected.endpoint.address == dst);
    let pod = target.and_then(|target| target.selected.endpoint.pod.as_deref());
    let who =
        pod.map_or_else(|| format!("an endpoint of Service {service}"), |pod| format!("pod {pod} itself"));
    let why = match target {
        Some(target) if target.key.port.number() != dport && dport == group.table.port => format!(
            " {dport} is the port of Service {service}, which belongs to its ClusterIP {}; the app in the pod listens \
             on {}.",
            group.cluster_ip(),
            target.key.port
        ),
        Some(target) if target.key.port.number() != dport && dport == group.table.node_port => format!(
            " {dport} is the node port of Service {service}, which belongs to the addresses of the nodes; the app in \
             the pod listens on {}.",
            target.key.port
        ),
        _ => String::new(),
    };
    format!("{dst} is {who}: it is dialled directly, without a Service.{why} The packet is never touched.")
}

fn published(group: &Group<'_>, question: &Question) -> (&'static str, String) {
    let Question { dst, dport, .. } = *question;
    let service = &group.service.name;
    let external = group.service.external_ips.contains(&dst);
    let proxy = group.service.ingress.iter().any(|one| one.ip == dst && one.mode == IngressMode::Proxy);
    if proxy && !external {
        let reason = format!(
            "{dst} is the load balancer of Service {service}, which is a proxy (ipMode: Proxy): packets to it go \
             there, and come back from it to a node port."
        );
        return ("LB-02", reason);
    }
    let row = if external { "EXT-01" } else { "LB-01" };
    let reason = format!(
        "{dst} belongs to Service {service} at its ports only, and {dport} in {} is none of them: whoever has the \
         address besides gets the packet.",
        question.proto
    );
    (row, reason)
}

/// An endpoint whose app listens on `number`.
fn target_of<'g, 'a>(group: &'g Group<'a>, number: u16) -> Option<&'g Target<'a>> {
    group.targets.iter().find(|target| target.key.port.number() == number)
}
