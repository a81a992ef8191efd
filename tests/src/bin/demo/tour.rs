//! The tour: chapter by chapter, each dial checked against what it should do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lb_tests::{Inside, Place};

use crate::dials::Dials;
use crate::examples;
use crate::interrupt::Interrupt;
use crate::page::{Page, spread};
use crate::services::{self, Row};
use crate::stage::Stage;

/// How often each way in is dialled, and how long a bar is then but for the unlikeliest.
const DIALS: u32 = 12;
const BAR: usize = 8;
/// The same where the spread is what is looked at.
const MANY_DIALS: u32 = 30;
const LONG_BAR: usize = 17;

/// Walks through all chapters, and says what was not as it should have been.
pub(crate) fn walk(stage: &Stage, page: &Page, interrupt: &Interrupt) -> Result<Vec<String>> {
    let mut tour = Tour { stage, page, dials: Dials::new(interrupt) };
    tour.introduce();
    let services = tour.list_services()?;
    tour.dial_every_way_in(&services)?;
    tour.look_from_both_sides(services::find(&services, "web")?)?;
    tour.dial_wrong_addresses(services::find(&services, "fb-backends")?)?;
    tour.scale(services::find(&services, "web")?)?;
    let Dials { count, unexpected, .. } = tour.dials;
    if unexpected.is_empty() {
        page.line("");
        page.line(&format!("All {count} dials did what they should."));
    }
    Ok(unexpected)
}

struct Tour<'a> {
    stage: &'a Stage,
    page: &'a Page,
    dials: Dials<'a>,
}

impl Tour<'_> {
    fn introduce(&self) {
        let Stage { node, client, pods, .. } = self.stage;
        self.page.heading(
            "A node, its pods, and a client",
            &["Each is a network namespace; their processes are in a cgroup, and Shunt is attached to that."],
        );
        self.page.block(&format!("node  {:8} {:15} {}", node.place().name(), node.v4(), node.v6()));
        for (manifest, pod) in pods {
            let ports: Vec<_> = manifest.ports.iter().map(ToString::to_string).collect();
            let ports = format!("listens on {}", ports.join(", "));
            self.page.block(&format!("pod   {:8} {:15} {:23} {ports}", pod.name(), pod.v4(), pod.v6()));
        }
        self.page.block(&format!("pod   {:8} {:15} {:23} dials", client.name(), client.v4(), client.v6()));
    }

    fn list_services(&self) -> Result<Vec<Row>> {
        self.page.heading(
            &format!("The Services in {}, as the kernel has them", self.stage.examples.display()),
            &[
                "Port: what clients dial on the address. Target: what the program in the pod listens on.",
                "Node port: what clients dial on any node. This is `shunt services`.",
            ],
        );
        self.page.block(&self.stage.shunt.services("table")?);
        services::read(self.stage)
    }

    fn dial_every_way_in(&mut self, services: &[Row]) -> Result<()> {
        self.page.heading(
            "Who answers",
            &[
                &format!(
                    "Every way in, dialled {DIALS} times: one mark an answer. No machine has the address of a"
                ),
                "Service, and nobody has a route to it: connect(2) itself is sent to a pod.",
            ],
        );
        for row in services {
            let family = if row.is_ipv6() { " by IPv6" } else { "" };
            self.page.block(&format!("{}{family}: {}", row.name, row.numbers()));
            for (from, address, what) in self.ways_in(row) {
                let from = if from { self.stage.client.place() } else { self.stage.node.place() };
                let counts = self.dial_many(from, address, DIALS)?;
                let (from, address) = (format!("{} dials", from.name()), address.to_string());
                let spread = spread(&counts, BAR);
                self.page.block(&format!("  {from:12} {address:27} {what:17} {spread}"));
            }
        }
        Ok(())
    }

    /// The ways in that differ: whether the client dials (or a process of the node), where, and what that is.
    fn ways_in(&self, row: &Row) -> Vec<(bool, SocketAddr, &'static str)> {
        let of_node = self.stage.node.addresses();
        let mut ways = Vec::new();
        for way in &row.frontends {
            match (way.kind.as_str(), way.address.ip()) {
                ("cluster", _) => ways.push((0, true, way.address, "ClusterIP")),
                ("node-port", ip) if of_node.contains(&ip) => {
                    ways.push((1, true, way.address, "the node's IP"))
                }
                ("node-port", ip) if ip.is_loopback() => {
                    ways.push((2, false, way.address, "the node's own"));
                }
                // The node's address among its pods: one more NodePort address, and no news.
                _ => {}
            }
        }
        ways.sort_unstable();
        ways.into_iter().map(|(_, from_client, address, what)| (from_client, address, what)).collect()
    }

    fn look_from_both_sides(&mut self, web: &Row) -> Result<()> {
        self.page.heading(
            "What each side sees",
            &["The client is shown what it dialled. The pod sees the client itself, not a node in between."],
        );
        let target = web.cluster_ip()?;
        match self.dials.one(self.stage.client.place(), target)? {
            Ok(answer) => {
                let (greeting, own) = (answer.greeting, answer.own);
                let shown = answer.peer_name.map_or_else(|| "nobody".to_owned(), |peer| peer.to_string());
                self.page.block(&format!("client   from {own} to {shown}"));
                self.page.block(&format!("{:8} from {} to {}", greeting.pod, greeting.peer, greeting.local));
                let seen = greeting.peer;
                self.dials.expect(seen == own, || format!("{} sees {seen}, not {own}", greeting.pod));
            }
            Err(errno) => self.dials.unexpected.push(format!("{target}: {errno}")),
        }
        Ok(())
    }

    fn dial_wrong_addresses(&mut self, row: &Row) -> Result<()> {
        self.page.heading(
            "Each number belongs to its own address",
            &[&format!("The numbers of {}, dialled where they belong and where they do not.", row.name)],
        );
        let node_port = row.node_port.context("a node port")?;
        let target: u16 = row.target_port.parse().context("a target port that is a number")?;
        let numbers = [
            (row.port, "port", "the Service's ClusterIP"),
            (node_port, "node port", "the addresses of nodes"),
            (target, "target port", "the addresses of pods"),
        ];
        let pod_ip = self.stage.pods.first().context("a pod")?.1.v4();
        let places = [
            (row.cluster_ip()?.ip(), "ClusterIP"),
            (self.stage.node.v4().into(), "node"),
            (pod_ip.into(), "pod"),
        ];
        for (home, (ip, place)) in places.into_iter().enumerate() {
            for (owner, (number, name, belongs_to)) in numbers.into_iter().enumerate() {
                let address = SocketAddr::new(ip, number);
                let said = self.dials.one(self.stage.client.place(), address)?;
                let is_expected = match &said {
                    Ok(_) => home == owner,
                    Err(errno) => home != owner && errno == "ECONNREFUSED",
                };
                self.dials.expect(is_expected, || format!("{address}: {said:?}"));
                let (said, why) = match said {
                    Ok(answer) => (format!("{} answers", answer.greeting.pod), String::new()),
                    Err(errno) => (errno, format!("{number} belongs to {belongs_to}")),
                };
                let dialled = format!("{place}:{}", name.replace(' ', "-"));
                self.page.block(&format!("{dialled:22} {:20} {said:14} {why}", address.to_string()));
            }
        }
        Ok(())
    }

    fn scale(&mut self, web: &Row) -> Result<()> {
        let stage = self.stage;
        let (last, _) = stage.pods.last().context("a pod")?;
        let (name, file) = (last.name.as_str(), last.file.as_str());
        self.page.heading(
            &format!("{name} goes, and comes back"),
            &[&format!("{file} is saved without it, and then as it was. Dialled {MANY_DIALS} times each.")],
        );
        let files = examples::files(&stage.node.manifests())?;
        let (_, before) = files.into_iter().find(|(other, _)| other == file).context("the Pods' file")?;
        let target = web.cluster_ip()?;
        self.dial_and_draw("before", target)?;
        let took = self.save(file, &examples::without(&before, name))?;
        let count = self.dial_and_draw(&format!("gone after {} ms", took.as_millis()), target)?[name];
        self.dials.expect(count == 0, || format!("{name} answers although it is gone"));
        let took = self.save(file, &before)?;
        let count = self.dial_and_draw(&format!("back after {} ms", took.as_millis()), target)?[name];
        // Of 30 dials none comes to one of three pods by luck once in 190,000 tours.
        self.dials.expect(count > 0, || format!("{name} does not answer although it is back"));
        Ok(())
    }

    fn dial_and_draw(&mut self, title: &str, target: SocketAddr) -> Result<BTreeMap<String, usize>> {
        let counts = self.dial_many(self.stage.client.place(), target, MANY_DIALS)?;
        self.page.block(&format!("{title:18} {}", spread(&counts, LONG_BAR)));
        Ok(counts)
    }

    /// How often each pod of the manifests answered, those that never did included.
    fn dial_many(&mut self, from: &Place, target: SocketAddr, times: u32) -> Result<BTreeMap<String, usize>> {
        let mut counts: BTreeMap<_, _> =
            self.stage.pods.iter().map(|(_, pod)| (pod.name().to_owned(), 0)).collect();
        counts.extend(self.dials.many(from, target, times)?);
        Ok(counts)
    }

    /// Saves a manifest, and gives the time until it is in force.
    fn save(&self, file: &str, text: &str) -> Result<Duration> {
        let began = Instant::now();
        let seen = self.stage.shunt.lines_so_far();
        self.stage.shunt.write(file, text)?;
        self.stage.shunt.wait_for_line(seen, |line| line.contains("applied generation="))?;
        Ok(began.elapsed())
    }
}
