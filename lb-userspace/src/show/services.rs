//! Services as the kernel has them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use comfy_table::{Table, presets};
use lb_common::{BackendFlags, FrontendKind, ServiceId};
use serde::Serialize;

use super::Format;
use crate::compile::compile;
use crate::model::{Family, NodeFacts, Service, ServiceType, World};
use crate::reconcile::Observed;
use crate::tables::ServiceTable;
use crate::text;

/// One Service port in one address family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `spec.ports[].name`
    #[serde(rename = "portName", skip_serializing_if = "String::is_empty")]
    pub port_name: String,
    /// `spec.type`
    #[serde(rename = "type")]
    pub kind: String,
    /// `spec.ports[].protocol`
    pub protocol: String,
    /// IPv4 or IPv6
    pub family: Family,
    /// `spec.ports[].port`
    pub port: u16,
    /// `spec.ports[].targetPort`
    #[serde(rename = "targetPort")]
    pub target_port: String,
    /// `spec.ports[].nodePort`
    #[serde(rename = "nodePort", skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
    /// Seconds, where `spec.sessionAffinity` is ClientIP.
    #[serde(rename = "affinitySeconds", skip_serializing_if = "Option::is_none")]
    pub affinity_seconds: Option<u32>,
    /// Every way in.
    pub frontends: Vec<Frontend>,
    /// Every endpoint that serves.
    pub endpoints: Vec<Endpoint>,
}

/// A way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frontend {
    /// `cluster`, `external`, `load-balancer` or `node-port`
    pub kind: String,
    /// What clients dial.
    pub address: SocketAddr,
}

/// Where traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The pod's address and the target port.
    pub address: SocketAddr,
    /// Whether new connections go there.
    pub usable: bool,
    /// Whether it is on this node.
    pub local: bool,
}

/// The Services in the maps, by name.
pub fn services(observed: &Observed) -> Vec<ServiceRow> {
    let mut frontends: BTreeMap<ServiceId, Vec<Frontend>> = BTreeMap::new();
    for (key, frontend) in &observed.frontends {
        let Some(kind) = frontend.flags().kind().filter(|kind| is_way_in(*kind)) else {
            continue;
        };
        let kind = kind.name().to_owned();
        let address = SocketAddr::new(key.addr().into(), key.port().number());
        frontends.entry(frontend.service()).or_default().push(Frontend { kind, address });
    }
    let mut endpoints: BTreeMap<ServiceId, Vec<Endpoint>> = BTreeMap::new();
    for backend in observed.backends.values() {
        let flags = backend.flags();
        if backend.is_free() || flags.has(BackendFlags::GONE) {
            continue;
        }
        endpoints.entry(backend.service()).or_default().push(Endpoint {
            address: SocketAddr::new(backend.addr().into(), backend.port().number()),
            usable: flags.has(BackendFlags::IN_CLUSTER) || flags.has(BackendFlags::IN_LOCAL),
            local: flags.has(BackendFlags::ON_NODE),
        });
    }
    let mut rows: Vec<ServiceRow> = observed
        .labels
        .iter()
        .map(|(id, label)| {
            let affinity = observed.services.get(id).map_or(0, lb_common::Service::affinity_seconds);
            let mut endpoints = endpoints.remove(id).unwrap_or_default();
            endpoints.sort_by_key(|endpoint| endpoint.address);
            ServiceRow {
                namespace: label.namespace().to_owned(),
                name: label.name().to_owned(),
                port_name: label.port_name().to_owned(),
                kind: ServiceType::from_number(label.kind()).map_or("unknown", ServiceType::name).to_owned(),
                protocol: label.proto().to_string(),
                family: Family::from_number(label.family()).unwrap_or(Family::V4),
                port: label.port(),
                target_port: label.target_port().to_owned(),
                node_port: Some(label.node_port()).filter(|port| *port != 0),
                affinity_seconds: Some(affinity).filter(|seconds| *seconds != 0),
                frontends: frontends.remove(id).unwrap_or_default(),
                endpoints,
            }
        })
        .collect();
    rows.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    rows
}

/// The Services of a world, as they would be served on a node that has no address yet: node ports are named,
/// but there is no address that they answer on. One that there is nothing to proxy of has neither addresses
/// nor endpoints.
pub fn services_of_world(world: &World) -> Vec<ServiceRow> {
    let node = NodeFacts::default();
    let mut rows = Vec::new();
    for service in world.services() {
        let tables = compile(service, &world.slices_of(&service.name), &node);
        if tables.is_empty() {
            rows.push(unproxied(service));
        }
        rows.extend(tables.iter().map(row_of_table));
    }
    rows.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    rows
}

fn unproxied(service: &Service) -> ServiceRow {
    ServiceRow {
        namespace: service.name.namespace.clone(),
        name: service.name.name.clone(),
        port_name: String::new(),
        kind: service.kind.name().to_owned(),
        protocol: String::new(),
        family: Family::V4,
        port: 0,
        target_port: String::new(),
        node_port: None,
        affinity_seconds: None,
        frontends: Vec::new(),
        endpoints: Vec::new(),
    }
}

fn row_of_table(table: &ServiceTable) -> ServiceRow {
    let frontends = table.frontends.iter().filter_map(|(key, flags)| {
        let kind = flags.kind().filter(|kind| is_way_in(*kind))?;
        // Loopback is an address of every node, and tells nothing of this one.
        let address: IpAddr = key.addr().into();
        (!address.is_loopback()).then(|| Frontend {
            kind: kind.name().to_owned(),
            address: SocketAddr::new(address, key.port().number()),
        })
    });
    let endpoints = table.backends.iter().map(|(key, state)| Endpoint {
        address: SocketAddr::new(key.addr.into(), key.port.number()),
        usable: state.in_cluster || state.in_local,
        local: state.on_node,
    });
    ServiceRow {
        namespace: table.key.service.namespace.clone(),
        name: table.key.service.name.clone(),
        port_name: table.key.port_name.clone(),
        kind: table.kind.name().to_owned(),
        protocol: table.key.protocol.to_string(),
        family: table.key.family,
        port: table.port,
        target_port: table.target_port.clone(),
        node_port: Some(table.node_port).filter(|port| *port != 0),
        affinity_seconds: Some(table.affinity_seconds).filter(|seconds| *seconds != 0),
        frontends: frontends.collect(),
        endpoints: endpoints.collect(),
    }
}

/// Guards are entries of the same map, and no way in.
fn is_way_in(kind: FrontendKind) -> bool {
    !matches!(kind, FrontendKind::AddressGuard | FrontendKind::PortGuard)
}

fn sort_key(row: &ServiceRow) -> (&str, &str, Family, &str, u16, &str) {
    (&row.namespace, &row.name, row.family, &row.port_name, row.port, &row.protocol)
}

/// Prints Services as a table or as JSON.
///
/// # Errors
///
/// Where `out` can't be written.
pub fn print_services_into(out: &mut impl Write, rows: &[ServiceRow], format: Format) -> io::Result<()> {
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, rows)?;
        return writeln!(out);
    }
    if rows.is_empty() {
        return writeln!(out, "no Services are served");
    }
    let wide = format == Format::Wide;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["NAMESPACE", "NAME", "TYPE", "ADDRESS", "PORT → TARGET", "NODE PORT", "ENDPOINTS"];
    if wide {
        header.extend(["AFFINITY", "WAYS IN"]);
    }
    table.set_header(header);
    for row in rows {
        let mut cells = vec![
            text::name(&row.namespace).to_string(),
            text::name(&row.name).to_string(),
            row.kind.clone(),
            address(row),
            ports(row),
            row.node_port.map_or_else(|| "-".to_owned(), |port| format!("{port}/{}", row.protocol)),
            endpoints(row, wide),
        ];
        if wide {
            cells.push(row.affinity_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")));
            let ways = row.frontends.iter().map(|way| format!("{} {}", way.kind, way.address));
            cells.push(ways.collect::<Vec<_>>().join("\n"));
        }
        table.add_row(cells);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Addresses that the Service has to itself, the ClusterIP first.
fn address(row: &ServiceRow) -> String {
    let mut addresses: Vec<(bool, IpAddr)> = row
        .frontends
        .iter()
        .filter(|way| way.kind != FrontendKind::NodePort.name())
        .map(|way| (way.kind != FrontendKind::ClusterIp.name(), way.address.ip()))
        .collect();
    addresses.sort_unstable();
    let text: Vec<String> = addresses.into_iter().map(|(_, address)| address.to_string()).collect();
    if text.is_empty() { "-".to_owned() } else { text.join(", ") }
}

fn ports(row: &ServiceRow) -> String {
    if row.port == 0 {
        return "nothing to proxy".to_owned();
    }
    let name =
        if row.port_name.is_empty() { String::new() } else { format!("{} ", text::name(&row.port_name)) };
    format!("{name}{}/{} → {}", row.port, row.protocol, text::name(&row.target_port))
}

fn endpoints(row: &ServiceRow, wide: bool) -> String {
    let text: Vec<String> = row
        .endpoints
        .iter()
        .filter(|endpoint| wide || endpoint.usable)
        .map(|endpoint| match (wide, endpoint.usable, endpoint.local) {
            (true, false, _) => format!("{} (no new connections)", endpoint.address),
            (true, true, true) => format!("{} (this node)", endpoint.address),
            _ => endpoint.address.to_string(),
        })
        .collect();
    if row.port == 0 {
        return "-".to_owned();
    }
    if text.is_empty() { "none".to_owned() } else { text.join(if wide { "\n" } else { ", " }) }
}
