//! What `shunt services --output json` says.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::stage::Stage;

/// One Service port in one address family.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) family: String,
    pub(crate) port: u16,
    pub(crate) target_port: String,
    pub(crate) node_port: Option<u16>,
    pub(crate) frontends: Vec<Frontend>,
}

/// A way in.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Frontend {
    pub(crate) kind: String,
    pub(crate) address: SocketAddr,
}

impl Row {
    /// Where clients in the cluster dial it.
    pub(crate) fn cluster_ip(&self) -> Result<SocketAddr> {
        let way = self.frontends.iter().find(|way| way.kind == "cluster");
        way.map(|way| way.address).with_context(|| format!("{} has no ClusterIP", self.name))
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.family == "IPv6"
    }

    /// Its numbers, from outside to inside.
    pub(crate) fn numbers(&self) -> String {
        let inside = format!("port {} → target {}", self.port, self.target_port);
        self.node_port.map_or(inside.clone(), |node_port| format!("node port {node_port} → {inside}"))
    }
}

/// The Services that are served now.
pub(crate) fn read(stage: &Stage) -> Result<Vec<Row>> {
    serde_json::from_value(stage.shunt.services_json()?).context("read what `shunt services` says")
}

/// The IPv4 side of a Service that the tour can't do without.
pub(crate) fn find<'a>(rows: &'a [Row], name: &str) -> Result<&'a Row> {
    let row = rows.iter().find(|row| row.name == name && !row.is_ipv6());
    row.with_context(|| format!("the Service {name} is not served"))
}
