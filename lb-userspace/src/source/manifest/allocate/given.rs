//! Numbers that a manifest says.

use std::net::IpAddr;

use super::pool::{AddressPool, PortPool};
use super::{Held, Numbers};
use crate::model::Family;
use crate::source::manifest::config::Config;
use crate::source::manifest::decode::Fault;
use crate::source::manifest::object::Draft;

/// What is wrong with them by themselves, whoever else there is.
pub(in crate::source::manifest) fn faults(draft: &Draft, config: &Config) -> Vec<Fault> {
    let mut faults = vec![];
    for ip in &draft.service.cluster_ips {
        if let Some(message) = ip_fault(*ip, config) {
            faults.push(Fault::new(ip_field(draft, *ip), message));
        }
    }
    let pool = PortPool::new(config.node_ports());
    for (field, port) in ports(draft) {
        if pool.place(port).is_none() {
            faults.push(Fault::new(field, format!("{port} is not in the node port range {}", pool.range)));
        }
    }
    // The health check is a TCP server of the node's own; that another protocol could go beside it on one
    // number would only confuse.
    let health = draft.service.health_check_node_port;
    if health.is_some_and(|health| draft.service.ports.iter().any(|port| port.node_port == Some(health))) {
        faults.push(Fault::new("spec.healthCheckNodePort", "is a node port of the same Service"));
    }
    faults
}

fn ip_fault(ip: IpAddr, config: &Config) -> Option<String> {
    let Some(cidr) = config.cidr(Family::of(ip)).filter(|cidr| cidr.contains(&ip)) else {
        let cidrs: Vec<_> = config.service_cidrs().iter().map(ToString::to_string).collect();
        return Some(format!("{ip} is in none of the service CIDRs {}", cidrs.join(", ")));
    };
    AddressPool::new(cidr).place(ip).is_none().then(|| {
        let end = if ip == cidr.network() { "network" } else { "broadcast" };
        format!("{ip} is the {end} address of the service CIDR {cidr}")
    })
}

/// The numbers as a ledger holds them.
pub(super) fn numbers(draft: &Draft) -> Numbers {
    let service = &draft.service;
    let held = |number: u16| Held { number, automatic: false };
    Numbers {
        cluster_ips: service
            .cluster_ips
            .iter()
            .map(|ip| (Family::of(*ip), Held { number: *ip, automatic: false }))
            .collect(),
        node_ports: service
            .ports
            .iter()
            .filter_map(|port| Some((port.name.clone(), held(port.node_port?))))
            .collect(),
        health_check_node_port: service.health_check_node_port.map(held),
    }
}

/// All ports of nodes, with their fields.
pub(super) fn ports(draft: &Draft) -> impl Iterator<Item = (String, u16)> {
    let node_ports = draft.service.ports.iter().enumerate();
    node_ports
        .filter_map(|(index, port)| Some((format!("spec.ports[{index}].nodePort"), port.node_port?)))
        .chain(draft.service.health_check_node_port.map(|port| ("spec.healthCheckNodePort".to_owned(), port)))
}

pub(super) fn ip_field(draft: &Draft, ip: IpAddr) -> String {
    match draft.service.cluster_ips.iter().position(|other| *other == ip) {
        Some(index @ 1..) => format!("spec.clusterIPs[{index}]"),
        _ => "spec.clusterIP".to_owned(),
    }
}
