//! Manifests that read as sentences.

use std::net::IpAddr;

use serde_json::{Value, json};

/// An object of Kubernetes.
pub trait Manifest {
    /// As JSON.
    fn to_value(&self) -> Value;
}

impl Manifest for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

/// A Service in the namespace `default`, of type ClusterIP until more is asked for.
#[derive(Debug, Clone)]
pub struct Service {
    name: String,
    spec: Value,
    ports: Vec<Value>,
    ingress: Vec<Value>,
}

/// A Service; say what it selects and at least one port.
pub fn service(name: &str) -> Service {
    Service { name: name.to_owned(), spec: json!({}), ports: Vec::new(), ingress: Vec::new() }
}

impl Service {
    /// The pods behind it: those with this label.
    #[must_use]
    pub fn selecting(self, label: &str, value: &str) -> Self {
        self.with("selector", json!({ label: value }))
    }

    /// One more port, TCP; what is said next is of this one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(json!({ "port": port }));
        self
    }

    /// The last port's name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.with_port("name", json!(name))
    }

    /// The last port is UDP.
    #[must_use]
    pub fn udp(self) -> Self {
        self.with_port("protocol", json!("UDP"))
    }

    /// The last port is SCTP.
    #[must_use]
    pub fn sctp(self) -> Self {
        self.with_port("protocol", json!("SCTP"))
    }

    /// What the app behind the last port listens on: a number or the name of a container port.
    #[must_use]
    pub fn target(self, target: impl Into<Value>) -> Self {
        self.with_port("targetPort", target.into())
    }

    /// The last port is open on nodes too, as this one.
    #[must_use]
    pub fn node_port(self, port: u16) -> Self {
        let with = self.with_port("nodePort", json!(port));
        if with.spec.get("type").is_some() { with } else { with.with("type", json!("NodePort")) }
    }

    /// One address of a family, or `None`.
    #[must_use]
    pub fn cluster_ip(self, ip: &str) -> Self {
        self.with("clusterIP", json!(ip)).with("clusterIPs", json!([ip]))
    }

    /// An address of each family.
    #[must_use]
    pub fn cluster_ips(self, v4: &str, v6: &str) -> Self {
        self.with("ipFamilyPolicy", json!("RequireDualStack"))
            .with("ipFamilies", json!(["IPv4", "IPv6"]))
            .with("clusterIP", json!(v4))
            .with("clusterIPs", json!([v4, v6]))
    }

    /// Reachable by addresses that someone routes to the nodes.
    #[must_use]
    pub fn external_ips(self, ips: &[&str]) -> Self {
        self.with("externalIPs", json!(ips))
    }

    /// Behind a load balancer with this address.
    #[must_use]
    pub fn load_balancer_ip(mut self, ip: &str) -> Self {
        self.ingress.push(json!({ "ip": ip, "ipMode": "VIP" }));
        self.with("type", json!("LoadBalancer"))
    }

    /// Only for clients of the load balancer from there.
    #[must_use]
    pub fn source_ranges(self, ranges: &[&str]) -> Self {
        self.with("loadBalancerSourceRanges", json!(ranges))
    }

    /// Clients inside are sent to endpoints on their own node only.
    #[must_use]
    pub fn internal_local(self) -> Self {
        self.with("internalTrafficPolicy", json!("Local"))
    }

    /// Clients outside are sent to endpoints on the node that they dialled only.
    #[must_use]
    pub fn external_local(self) -> Self {
        self.with("externalTrafficPolicy", json!("Local"))
    }

    /// A client keeps its endpoint until it has not dialled for so long.
    #[must_use]
    pub fn affinity(self, seconds: u32) -> Self {
        self.with("sessionAffinity", json!("ClientIP"))
            .with("sessionAffinityConfig", json!({ "clientIP": { "timeoutSeconds": seconds } }))
    }

    /// Any field of the spec.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.spec[field] = value;
        self
    }

    fn with_port(mut self, field: &str, value: Value) -> Self {
        if let Some(port) = self.ports.last_mut() {
            port[field] = value;
        }
        self
    }
}

impl Manifest for Service {
    fn to_value(&self) -> Value {
        let mut spec = self.spec.clone();
        spec["ports"] = json!(self.ports);
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": self.name, "namespace": "default" },
            "spec": spec,
        });
        if !self.ingress.is_empty() {
            service["status"] = json!({ "loadBalancer": { "ingress": self.ingress } });
        }
        service
    }
}

/// A Pod in the namespace `default`.
#[derive(Debug, Clone)]
pub struct Pod {
    name: String,
    labels: Value,
    node: Option<String>,
    ips: Vec<IpAddr>,
    ready: bool,
    terminating: bool,
    ports: Vec<Value>,
}

/// A ready Pod, wherever it is; [`crate::Pod::manifest`] has that of one which runs.
pub fn pod(name: &str, ips: &[IpAddr]) -> Pod {
    let (name, ips) = (name.to_owned(), ips.to_vec());
    Pod { name, labels: json!({}), node: None, ips, ready: true, terminating: false, ports: Vec::new() }
}

impl Pod {
    /// One more label.
    #[must_use]
    pub fn label(mut self, label: &str, value: &str) -> Self {
        self.labels[label] = json!(value);
        self
    }

    /// On this node.
    #[must_use]
    pub fn on_node(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Not ready.
    #[must_use]
    pub fn not_ready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Deleted, and serving until it ends.
    #[must_use]
    pub fn terminating(mut self) -> Self {
        self.terminating = true;
        self
    }

    /// One more container port.
    #[must_use]
    pub fn container_port(mut self, name: &str, port: u16) -> Self {
        self.ports.push(json!({ "name": name, "containerPort": port }));
        self
    }
}

impl Manifest for Pod {
    fn to_value(&self) -> Value {
        let ready = if self.ready { "True" } else { "False" };
        let ips: Vec<_> = self.ips.iter().map(|ip| json!({ "ip": ip })).collect();
        let deleted = self.terminating.then_some("2026-01-02T03:04:05Z");
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": "default",
                "labels": self.labels,
                "deletionTimestamp": deleted,
            },
            "spec": {
                "nodeName": self.node,
                "containers": [{ "name": "app", "image": "app", "ports": self.ports }],
            },
            "status": {
                "phase": "Running",
                "podIP": self.ips.first(),
                "podIPs": ips,
                "conditions": [{ "type": "Ready", "status": ready }],
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_what_its_sentence_says() {
        let web = service("web").selecting("app", "web").port(8080).target(80).node_port(31111).affinity(7);
        assert_eq!(
            web.to_value()["spec"],
            json!({
                "type": "NodePort",
                "selector": { "app": "web" },
                "ports": [{ "port": 8080, "targetPort": 80, "nodePort": 31111 }],
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 7 } },
            })
        );
    }

    #[test]
    fn a_load_balancer_keeps_its_type_when_it_gets_a_node_port() {
        let web = service("web").port(80).load_balancer_ip("192.0.2.1").node_port(31000).to_value();
        assert_eq!(web["spec"]["type"], "LoadBalancer");
        assert_eq!(web["status"]["loadBalancer"]["ingress"][0]["ip"], "192.0.2.1");
    }

    #[test]
    fn a_pod_is_ready_until_told_otherwise() {
        let pod = pod("a", &[IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(pod.to_value()["status"]["conditions"][0]["status"], "True");
        assert_eq!(pod.not_ready().to_value()["status"]["conditions"][0]["status"], "False");
    }
}
