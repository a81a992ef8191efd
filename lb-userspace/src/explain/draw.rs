//! The way of a packet as a drawing, for a reader who meets Services for the first time: which of the
//! numbers is which, who listens where, and who sees whom.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use lb_common::FrontendKind;

use super::index::{Group, Place, Target};
use super::manifests::Pods;
use super::question::{Question, Source};
use super::{Answer, Index, Live, Verdict, words};
use crate::text;

/// Endpoints that are drawn one by one.
const MOST_ENDPOINTS: usize = 8;

/// Writes the answer to a question, with the way that it takes.
///
/// # Errors
///
/// The writer's.
pub(super) fn draw(
    out: &mut impl Write,
    index: &Index<'_>,
    pods: &Pods,
    question: &Question,
    answer: &Answer,
) -> fmt::Result {
    let place = index.find(question);
    let source = Source::of(question.src, index.node);
    let who = match source {
        Source::Node => format!("node {} itself", index.node.name),
        Source::Pod => "a pod".to_owned(),
        Source::Outside => "a client outside".to_owned(),
    };
    writeln!(out, "{} ({who}) dials {} by {}", question.src, question.place(), question.proto)?;
    writeln!(out)?;
    match place.and_then(|place| Some((place, index.groups.get(place.group)?))) {
        Some((place, group)) => {
            way(out, question, place, group)?;
            endpoints(out, index, pods, group, answer)?;
            writeln!(out)?;
            sight(out, index, question, source, answer)?;
        }
        None => numbers(out, index, question)?,
    }
    let row = if answer.row.is_empty() { String::new() } else { format!(" ({})", answer.row) };
    writeln!(out, "{}{row}", answer.verdict.name())?;
    writeln!(out, "  {}", text::sentence(&answer.reason))?;
    if let Some(caution) = &answer.caution {
        writeln!(out, "  Take care: {}.", text::sentence(caution))?;
    }
    if answer.steps.is_empty() {
        return answer
            .endpoints
            .iter()
            .try_for_each(|endpoint| writeln!(out, "  {}", text::sentence(endpoint)));
    }
    writeln!(out)?;
    writeln!(out, "Decided by")?;
    for (number, step) in answer.steps.iter().enumerate() {
        let dot = if step.field.is_empty() { "" } else { " " };
        let step = format!("{}{dot}{}: {} [{}]", step.object, step.field, step.finding, step.row);
        writeln!(out, "  {}. {}", number + 1, text::sentence(step))?;
    }
    Ok(())
}

fn stop(out: &mut impl Write, what: &str, address: &str, note: &str) -> fmt::Result {
    // Ports, pods and nodes have the names that objects give them.
    let line = format!("{what:<16}{address:<24}{note}");
    writeln!(out, "  {}", text::sentence(line.trim_end()))
}

fn arrow(out: &mut impl Write) -> fmt::Result {
    writeln!(out, "     |")
}

/// From the client to the target port.
fn way(out: &mut impl Write, question: &Question, place: &Place, group: &Group<'_>) -> fmt::Result {
    stop(out, "client", &question.src.to_string(), "")?;
    arrow(out)?;
    let cluster_ip = SocketAddr::new(group.cluster_ip().into(), group.table.port).to_string();
    let service = format!("Service {}", group.service.name);
    match place.kind {
        FrontendKind::NodePort => {
            stop(
                out,
                "node port",
                &question.place(),
                "on an address of this node; the same number on every node",
            )?;
            arrow(out)?;
            stop(out, "service port", &cluster_ip, &format!("{service} at its ClusterIP"))?;
        }
        FrontendKind::ExternalIp | FrontendKind::LoadBalancer => {
            stop(
                out,
                "service port",
                &question.place(),
                &format!("{service} at its {}", words::kind(place.kind)),
            )?;
        }
        FrontendKind::ClusterIp | FrontendKind::AddressGuard | FrontendKind::PortGuard => {
            stop(out, "service port", &cluster_ip, &format!("{service} at its ClusterIP"))?;
        }
    }
    arrow(out)?;
    stop(out, "target port", &group.table.target_port, "what the app in the pod listens on")?;
    arrow(out)
}

fn endpoints(
    out: &mut impl Write,
    index: &Index<'_>,
    pods: &Pods,
    group: &Group<'_>,
    answer: &Answer,
) -> fmt::Result {
    let chosen: Vec<&Target<'_>> =
        group.targets.iter().filter(|target| answer.endpoints.contains(&target.text)).collect();
    for target in chosen.iter().take(MOST_ENDPOINTS) {
        stop(out, "pod", &target.text, &describe(index, pods, group, target, answer))?;
    }
    if chosen.len() > MOST_ENDPOINTS {
        stop(out, "", &format!("and {} more", chosen.len() - MOST_ENDPOINTS), "")?;
    }
    if chosen.is_empty() {
        let end = match answer.verdict {
            Verdict::Reject => "the dial is refused here",
            _ => "the packet is dropped here",
        };
        stop(out, "X", end, "")?;
    }
    Ok(())
}

/// What the maps of the kernel say to it.
pub(super) fn live(out: &mut impl Write, live: &Live) -> fmt::Result {
    writeln!(out)?;
    writeln!(out, "In the kernel")?;
    if live.disagreements.is_empty() {
        return writeln!(out, "  The maps say the same.");
    }
    live.disagreements.iter().try_for_each(|said| writeln!(out, "  DISAGREES: {said}."))?;
    writeln!(
        out,
        "  Just after a change that is so for a moment; if it stays, `shunt run` says in its log what it could \
         not put in force."
    )
}

/// Which pod an endpoint is, where it runs and which container declares the port.
fn describe(
    index: &Index<'_>,
    pods: &Pods,
    group: &Group<'_>,
    target: &Target<'_>,
    answer: &Answer,
) -> String {
    let endpoint = target.selected.endpoint;
    let mut text = endpoint.pod.as_deref().unwrap_or("an endpoint without a pod's name").to_owned();
    match endpoint.node.as_deref() {
        Some(node) if node == index.node.name => text += " on this node",
        Some(node) => text = format!("{text} on node {node}"),
        None => text += " on an unknown node",
    }
    let namespace = &group.service.name.namespace;
    let name = endpoint.pod.as_deref().map(|pod| crate::model::ObjectName::new(namespace, pod));
    if let Some(ports) = name.and_then(|name| pods.get(&name)) {
        let number = target.key.port.number();
        let declared =
            ports.iter().find(|port| port.port == number && port.protocol == group.table.key.protocol);
        text = match declared {
            Some(port) => format!("{text}, container {} with containerPort {number}", port.container),
            None => format!("{text}, where no container declares containerPort {number} (it need not)"),
        };
    }
    if !endpoint.ready {
        text += ", not ready";
    }
    if answer.masquerade.contains(&target.text) {
        text += ", masqueraded";
    }
    text
}

/// What the client and the pod each see.
fn sight(
    out: &mut impl Write,
    index: &Index<'_>,
    question: &Question,
    source: Source,
    answer: &Answer,
) -> fmt::Result {
    if answer.verdict != Verdict::Dnat {
        return Ok(());
    }
    writeln!(
        out,
        "  The stops between are numbers, not hosts: the address dialled becomes a pod's in one step."
    )?;
    writeln!(out, "  The client sees answers from {}, as dialled.", question.place())?;
    let (src, node) = (question.src, &index.node.name);
    let all = answer.masquerade.len() == answer.endpoints.len();
    match source {
        Source::Node => writeln!(out, "  The pod sees an address of node {node}.")?,
        Source::Outside if all => writeln!(out, "  The pod sees an address of node {node}, not {src}.")?,
        Source::Pod | Source::Outside if answer.masquerade.is_empty() => {
            writeln!(out, "  The pod sees {src}.")?;
        }
        Source::Outside => {
            writeln!(out, "  The pod sees {src}; a masqueraded one sees an address of node {node}.")?;
        }
        Source::Pod => writeln!(
            out,
            "  The pod sees {src}: a socket's dial is rewritten before there is a packet. Only where sockets \
             can't be hooked (a VM, gVisor) does a masqueraded one see an address of node {node}."
        )?,
    }
    writeln!(out)
}

/// Which number belongs to which address, of the Services that the question may have meant.
fn numbers(out: &mut impl Write, index: &Index<'_>, question: &Question) -> fmt::Result {
    for group in index.related(question) {
        let cluster_ip = SocketAddr::new(group.cluster_ip().into(), group.table.port).to_string();
        writeln!(out, "  Service {} ({})", group.service.name, group.table.key.protocol)?;
        match group.table.node_port {
            0 => stop(out, "  node port", "none", "")?,
            node_port => {
                let place = index
                    .node
                    .primary(question.family())
                    .map_or_else(|| node_port.to_string(), |ip| SocketAddr::new(ip, node_port).to_string());
                stop(out, "  node port", &place, "on an address of any node")?;
            }
        }
        stop(out, "  service port", &cluster_ip, "on the ClusterIP")?;
        let target = group.targets.first().map_or(group.table.target_port.as_str(), |target| &target.text);
        stop(out, "  target port", target, "on the pod")?;
        writeln!(out)?;
    }
    Ok(())
}
