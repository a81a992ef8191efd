//! The decision: the reference algorithm (§0), step by step, each step naming what decided it.

use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::{Addr, FrontendFlags, FrontendKey, FrontendKind, Port};

use super::answer::{Answer, Step, Verdict};
use super::hints;
use super::index::{Group, Index, Place, Target};
use super::question::{Question, Source};
use super::words;
use crate::model::{DetectLocal, Family};

/// A question on its way: what is known of it so far.
pub(super) struct Case<'i, 'a> {
    pub(super) index: &'i Index<'a>,
    pub(super) question: Question,
    pub(super) source: Source,
    pub(super) steps: Vec<Step>,
}

impl<'a> Index<'a> {
    /// What becomes of the packet that `question` describes.
    pub fn explain(&self, question: &Question) -> Answer {
        let source = Source::of(question.src, self.node);
        let mut case = Case { index: self, question: *question, source, steps: vec![] };
        case.tell_source();
        match self.find(question) {
            Some(place) => match self.groups.get(place.group) {
                Some(group) => case.serve(place, group),
                None => case.not_found(),
            },
            None => case.not_found(),
        }
    }

    /// The frontend that a question is to. Loopback is the node's own to the node alone (NP-04).
    pub(super) fn find(&self, question: &Question) -> Option<&Place> {
        let mut addr = Addr::from(question.dst);
        if addr.is_own_host() {
            if Source::of(question.src, self.node) != Source::Node {
                return None;
            }
            addr = addr.loopback();
        }
        self.place(&FrontendKey::new(addr, Port::new(question.dport), question.proto))
    }
}

impl<'a> Case<'_, 'a> {
    pub(super) fn step(
        &mut self,
        object: String,
        field: impl Into<String>,
        finding: String,
        row: &'static str,
    ) {
        self.steps.push(Step { object, field: field.into(), finding, row });
    }

    fn tell_source(&mut self) {
        let (src, node) = (self.question.src, self.index.node);
        let (object, field) = match node.detect_local {
            DetectLocal::ClusterCidr => ("Shunt".to_owned(), "--cluster-cidr"),
            DetectLocal::NodeCidr => (format!("Node {}", node.name), "spec.podCIDRs"),
            DetectLocal::BridgeInterface | DetectLocal::InterfaceNamePrefix => {
                ("Shunt".to_owned(), "--detect-local-mode")
            }
        };
        let (object, field, finding) = match self.source {
            Source::Node => {
                (format!("Node {}", node.name), "status.addresses", format!("{src} is the node itself"))
            }
            Source::Pod => {
                (object, field, format!("{src} is inside {}: a pod", words::list(&node.cluster_cidrs)))
            }
            Source::Outside if node.detect_local.is_by_device() => (
                object,
                field,
                format!(
                    "pods are told by the device that their packets come in by, and {src} says nothing of that: \
                     taken for a client outside"
                ),
            ),
            Source::Outside if node.can_tell_pods(self.question.family()) => (
                object,
                field,
                format!(
                    "{src} is neither the node's nor inside {}: a client outside",
                    words::list(&node.cluster_cidrs)
                ),
            ),
            Source::Outside => (
                object,
                field,
                format!(
                    "{src} is not the node's, and without pod networks pods can't be told: a client outside"
                ),
            ),
        };
        self.step(object, field, finding, "CFG-DL");
    }

    /// No frontend: steps 7 of §0.
    fn not_found(mut self) -> Answer {
        let index = self.index;
        let Question { dst, .. } = self.question;
        if let Some(group) = index.of_cluster_ip(dst).next() {
            let service = format!("Service {}", group.service.name);
            let finding = format!("{dst} is its ClusterIP, {}", hints::ports_of_cluster_ip(index, dst));
            self.step(service, "spec.clusterIPs", finding, "CIP-03");
            let reason = hints::wrong_port_on_cluster_ip(index, &self.question, group);
            return Answer::new(Verdict::Reject, "CIP-03", reason, self.steps);
        }
        if let Some(cidr) = index.service_cidrs.iter().find(|cidr| cidr.contains(&dst)) {
            let finding = format!("{dst} is inside {cidr}, where ClusterIPs are from, and no Service has it");
            self.step("Shunt".to_owned(), "--service-cidr", finding, "CIP-04");
            let reason = format!(
                "{dst} is from the network of ClusterIPs ({cidr}), but no Service has it: there is nobody to \
                 answer, and the packet is dropped before it wanders off."
            );
            return Answer::new(Verdict::Drop, "CIP-04", reason, self.steps);
        }
        let (row, reason) = hints::not_a_service(index, &self.question, self.source);
        self.step(
            self.question.place(),
            "",
            "no Service has this address, port and protocol".to_owned(),
            row,
        );
        Answer::new(Verdict::Pass, row, reason, self.steps)
    }

    /// A frontend of `group`: steps 0 to 6 of §0.
    fn serve(mut self, place: &Place, group: &Group<'a>) -> Answer {
        self.tell_place(place, group);
        if let Some(refusal) = self.check_source_ranges(place, group) {
            return refusal;
        }
        let caution = self.caution(place, group);
        let local = self.choose_list(place, group);
        self.tell_endpoints(group, local);
        let targets: Vec<&Target<'a>> = group.list(local).collect();
        let mut answer = if targets.is_empty() {
            self.nobody(place, group, local)
        } else {
            self.send(place, group, local, &targets)
        };
        answer.service = group.name();
        answer.caution = caution;
        answer
    }

    fn tell_place(&mut self, place: &Place, group: &Group<'a>) {
        let service = format!("Service {}", group.service.name);
        let (field, finding, row) = words::place(&self.question, place, group, self.index.node);
        self.step(service, field, finding, row);
        for (rival, kind) in &place.rivals {
            let Some(rival) = self.index.groups.get(*rival) else { continue };
            let (field, finding, row) = words::rival(place, group, rival, *kind);
            self.step(format!("Service {}", rival.service.name), field, finding, row);
        }
    }

    /// Step 0: the refusal, if any. A process of the node that dials from loopback leaves by the node's first address.
    fn check_source_ranges(&mut self, place: &Place, group: &Group<'a>) -> Option<Answer> {
        let ranges = ranges_of(place, group)?;
        let service = format!("Service {}", group.service.name);
        let src = self.effective_source();
        let field = "spec.loadBalancerSourceRanges";
        if let Some(range) = ranges.iter().find(|range| range.contains(&src)) {
            self.step(service, field, format!("{src} is inside {range}: allowed"), "LSR-01");
            return None;
        }
        let listed = group.service.source_ranges.as_deref().unwrap_or_default();
        let of_family = listed.iter().any(|range| Family::of(range.addr()) == self.question.family());
        let row = if of_family { "LSR-01" } else { "LSR-02" };
        let finding = format!("{src} is in none of {}", words::list(listed));
        self.step(service.clone(), field, finding, row);
        let why_closed = if of_family { "" } else { ", which names no range of this address family" };
        let reason = format!(
            "{service} lets only {} dial its load balancer's address{why_closed}. {src} is not among them: the \
             packet is dropped without an answer.",
            words::list(listed)
        );
        let mut answer = Answer::new(Verdict::Drop, row, reason, std::mem::take(&mut self.steps));
        answer.service = group.name();
        Some(answer)
    }

    fn effective_source(&self) -> IpAddr {
        let src = self.question.src;
        if Addr::from(src).is_own_host() {
            return self.index.node.primary(self.question.family()).unwrap_or(src);
        }
        src
    }

    /// A socket that dials has no address yet, so that the connect hook judges the node by its first address
    /// and pods all alike, and refuses in doubt.
    fn caution(&self, place: &Place, group: &Group<'a>) -> Option<String> {
        let (flag, who) = match self.source {
            Source::Node => {
                (FrontendFlags::NODE_REFUSED, "processes of the node, unless the node's first address is")
            }
            Source::Pod => (FrontendFlags::PODS_REFUSED, "pods of this node, unless all pods' addresses are"),
            Source::Outside => return None,
        };
        place.flags.has(flag).then(|| {
            format!(
                "a socket has no address yet when it dials: the connect hook refuses {who} inside \
                 loadBalancerSourceRanges of Service {}",
                group.service.name
            )
        })
    }

    /// Steps 3 and 4: whether the local list applies.
    fn choose_list(&mut self, place: &Place, group: &Group<'a>) -> bool {
        let internal = place.kind == FrontendKind::ClusterIp;
        let field = if internal { "spec.internalTrafficPolicy" } else { "spec.externalTrafficPolicy" };
        let local_outside = place.flags.has(FrontendFlags::OUTSIDE_LOCAL);
        let local = match self.source {
            Source::Outside => local_outside,
            Source::Node | Source::Pod => place.flags.has(FrontendFlags::INSIDE_LOCAL),
        };
        let (finding, row) = match (local_outside, local) {
            (false, _) => ("Cluster: endpoints on any node", "EPS-07"),
            (true, true) => ("Local: endpoints on this node only", "EPS-08"),
            (true, false) => (
                "Local is for clients outside: a client that is inside already goes to endpoints on any node",
                "EPS-07",
            ),
        };
        self.step(format!("Service {}", group.service.name), field, finding.to_owned(), row);
        local
    }

    fn tell_endpoints(&mut self, group: &Group<'a>, local: bool) {
        for (object, field, finding, row) in words::endpoints(group, local, self.index) {
            self.step(object, field, finding, row);
        }
    }

    /// Step 6.
    fn nobody(self, place: &Place, group: &Group<'a>, local: bool) -> Answer {
        let elsewhere = group.list(false).count();
        if elsewhere == 0 {
            let reason = words::no_endpoint(group, self.index);
            return Answer::new(Verdict::Reject, "NOE-01", reason, self.steps);
        }
        debug_assert!(local, "only the local list is empty where the cluster list is not");
        let ready = group.list(false).any(|target| target.selected.endpoint.ready);
        let row = if ready { "NOE-02" } else { "NOE-03" };
        let reason = words::no_local_endpoint(place, group, self.index.node, elsewhere);
        Answer::new(Verdict::Drop, row, reason, self.steps)
    }

    /// Step 5.
    fn send(mut self, place: &Place, group: &Group<'a>, local: bool, targets: &[&Target<'a>]) -> Answer {
        if group.table.affinity_seconds != 0 {
            let finding = format!(
                "ClientIP: the endpoint that this client had last, if it dialled within {} s and that endpoint \
                 is still in the list",
                group.table.affinity_seconds
            );
            self.step(format!("Service {}", group.service.name), "spec.sessionAffinity", finding, "AFF-01");
        }
        let masquerade: Vec<String> = targets
            .iter()
            .filter(|target| self.is_masqueraded(place, target))
            .map(|target| target.text.clone())
            .collect();
        let (finding, row) = words::masquerade(self.index.node, targets.len(), masquerade.len());
        self.step("Shunt".to_owned(), "--masquerade", finding, row);
        let row = words::row_of_list(group, local, targets);
        let reason = words::sent(&self.question, place, group, local, targets.len());
        let mut answer = Answer::new(Verdict::Dnat, row, reason, self.steps);
        answer.endpoints = targets.iter().map(|target| target.text.clone()).collect();
        answer.masquerade = masquerade;
        answer
    }

    /// Steps 1, 4 and 5, for a packet rewritten on its way. A socket that the connect hook rewrites keeps
    /// its own address: there is no packet yet.
    fn is_masqueraded(&self, place: &Place, target: &Target<'a>) -> bool {
        let node = self.index.node;
        let on_node = target.selected.state.on_node;
        // A pod that reaches itself must hear the answer from the node, not from itself (NAT-04).
        if on_node && self.question.src == target.selected.endpoint.address {
            return true;
        }
        let as_kube_proxy = if place.kind == FrontendKind::ClusterIp {
            node.can_tell_pods(self.question.family()) && self.source != Source::Pod
        } else if place.flags.has(FrontendFlags::OUTSIDE_LOCAL) {
            self.source == Source::Node
        } else {
            true
        };
        as_kube_proxy && (node.masquerade_always || !on_node)
    }
}

/// The ranges that a frontend is restricted to.
fn ranges_of<'g>(place: &Place, group: &'g Group<'_>) -> Option<&'g [IpNet]> {
    if place.flags.has(FrontendFlags::SOURCE_RANGES) { group.table.source_ranges.as_deref() } else { None }
}
