//! The directory from outside: files in, world and problems out.

mod contention;
mod endpoints;
mod examples;
mod hostile;
mod last_good;
mod numbers;
mod properties;

use std::net::IpAddr;

use super::*;
use crate::model::{EndpointSlice, ObjectName, Service, World};
use crate::source::Problem;

/// A directory, what is known of it, and the world that its changes made.
struct Directory {
    state: ManifestState,
    files: Files,
    world: World,
}

impl Directory {
    fn new() -> Self {
        Self::with(Config::default(), Ledger::new())
    }

    fn with(config: Config, ledger: Ledger) -> Self {
        Self { state: ManifestState::new(config, ledger), files: Files::new(), world: World::default() }
    }

    /// A restart: what was in memory is gone, the state file and the directory are not.
    fn restarted(&self, config: Config) -> Self {
        let mut other = Self::with(config, self.state.ledger().clone());
        other.files = self.files.clone();
        other
    }

    fn write(&mut self, file: &str, text: &str) -> &mut Self {
        self.files.insert(file.to_owned(), Ok(text.as_bytes().to_vec()));
        self
    }

    fn remove(&mut self, file: &str) -> &mut Self {
        self.files.remove(file);
        self
    }

    fn load(&mut self) -> Outcome {
        let outcome = self.state.load(&self.files);
        for change in outcome.changes.clone() {
            self.world.apply(change);
        }
        outcome
    }

    /// Loads, and nothing is wrong.
    #[track_caller]
    fn load_well(&mut self) -> Outcome {
        let outcome = self.load();
        assert_eq!(texts(&outcome.problems), Vec::<String>::new());
        outcome
    }

    /// Loads, and exactly this is wrong.
    #[track_caller]
    fn load_with(&mut self, problems: &[&str]) -> Outcome {
        let outcome = self.load();
        assert_eq!(texts(&outcome.problems), problems);
        outcome
    }

    fn service(&self, name: &str) -> Option<&Service> {
        self.world.service(&ObjectName::new("default", name))
    }

    #[track_caller]
    fn ip(&self, name: &str) -> String {
        self.ips(name).join(",")
    }

    #[track_caller]
    fn ips(&self, name: &str) -> Vec<String> {
        let service = self.service(name).unwrap_or_else(|| panic!("no Service {name}"));
        service.cluster_ips.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn node_ports(&self, name: &str) -> Vec<u16> {
        let service = self.service(name).unwrap_or_else(|| panic!("no Service {name}"));
        service.ports.iter().map(|port| port.node_port.unwrap_or(0)).collect()
    }

    fn slices(&self, name: &str) -> Vec<&EndpointSlice> {
        self.world.slices_of(&ObjectName::new("default", name))
    }

    /// All endpoints of a Service as `ADDRESS:PORT`, sorted, with a mark where one is not simply ready.
    fn endpoints(&self, name: &str) -> Vec<String> {
        let mut all = vec![];
        for slice in self.slices(name) {
            for endpoint in &slice.endpoints {
                for port in &slice.ports {
                    let mark = match (endpoint.ready, endpoint.serving, endpoint.terminating) {
                        (true, _, false) => "",
                        (true, _, true) => " ready terminating",
                        (false, true, true) => " serving terminating",
                        (false, true, false) => " serving",
                        (false, false, true) => " terminating",
                        (false, false, false) => " not ready",
                    };
                    all.push(match endpoint.address {
                        IpAddr::V4(ip) => format!("{ip}:{}{mark}", port.port),
                        IpAddr::V6(ip) => format!("[{ip}]:{}{mark}", port.port),
                    });
                }
            }
        }
        all.sort();
        all
    }
}

/// These service CIDRs and this range of node ports.
fn config(cidrs: &[&str], node_ports: &str) -> Config {
    let cidrs: Vec<_> = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
    Config::new(&cidrs, node_ports.parse().unwrap(), None).unwrap()
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// A Service of one port and these lines of its spec.
fn service(name: &str, spec: &[&str]) -> String {
    let spec: String = spec.iter().map(|line| format!("  {line}\n")).collect();
    let ports = if spec.contains("ports:") { "" } else { "  ports: [{port: 80}]\n" };
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n{spec}{ports}")
}

fn node_port(name: &str, number: u16) -> String {
    service(name, &["type: NodePort", &format!("ports: [{{port: 80, nodePort: {number}}}]")])
}
