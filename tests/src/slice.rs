//! EndpointSlices that read as sentences: in a cluster a controller makes them.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::manifest::Manifest;

/// An EndpointSlice in the namespace `default`.
#[derive(Debug, Clone)]
pub struct EndpointSlice {
    name: String,
    labels: Value,
    ports: Vec<Value>,
    endpoints: Vec<Value>,
    is_v6: bool,
}

/// A slice of a Service; its name is the Service's with a suffix.
pub fn slice(service: &str, suffix: &str) -> EndpointSlice {
    EndpointSlice {
        name: format!("{service}-{suffix}"),
        labels: json!({ "kubernetes.io/service-name": service }),
        ports: Vec::new(),
        endpoints: Vec::new(),
        is_v6: false,
    }
}

impl EndpointSlice {
    /// One more port, TCP; its name is that of the Service's port, empty where that has none.
    #[must_use]
    pub fn port(mut self, name: &str, port: u16) -> Self {
        self.ports.push(json!({ "name": name, "port": port, "protocol": "TCP" }));
        self
    }

    /// The last port is UDP.
    #[must_use]
    pub fn udp(mut self) -> Self {
        if let Some(port) = self.ports.last_mut() {
            port["protocol"] = json!("UDP");
        }
        self
    }

    /// One more endpoint, ready, on a node of that name. All of a slice are of one family.
    #[must_use]
    pub fn endpoint(mut self, address: impl Into<IpAddr>, node: &str) -> Self {
        let address = address.into();
        self.is_v6 = address.is_ipv6();
        self.endpoints.push(json!({
            "addresses": [address.to_string()],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": node,
        }));
        self
    }

    /// One more endpoint, ready, of which nothing says where it is: as people write them by hand.
    #[must_use]
    pub fn nameless_endpoint(mut self, address: impl Into<IpAddr>) -> Self {
        let address = address.into();
        self.is_v6 = address.is_ipv6();
        self.endpoints.push(json!({ "addresses": [address.to_string()] }));
        self
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, label: &str, value: &str) -> Self {
        self.labels[label] = json!(value);
        self
    }
}

impl Manifest for EndpointSlice {
    fn to_value(&self) -> Value {
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": { "name": self.name, "namespace": "default", "labels": self.labels },
            "addressType": if self.is_v6 { "IPv6" } else { "IPv4" },
            "ports": self.ports,
            "endpoints": self.endpoints,
        })
    }
}
