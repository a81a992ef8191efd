//! Worlds by chance, and the questions that are worth asking of them.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

/// A row of numbers that looks like chance and is the same for the same beginning.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// Once in `sides` times.
    fn once_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// How many Services a world has; each has its own addresses and numbers.
const SERVICES: u64 = 3;

/// Clients outside are from here, and no pod is.
pub(super) const CLIENTS: &str = "192.0.2.0/24";

fn v4(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn cluster_ip(index: u64) -> IpAddr {
    v4(&format!("10.96.1.{index}"))
}

fn cluster_ip6(index: u64) -> IpAddr {
    v4(&format!("fd00:10:96::1{index}"))
}

fn external_ip(index: u64) -> IpAddr {
    v4(&format!("198.51.100.{index}"))
}

fn balancer(index: u64) -> IpAddr {
    v4(&format!("203.0.113.{index}"))
}

fn node_port(index: u64, port: u64) -> u64 {
    31_000 + index * 10 + port
}

/// The manifests of a world.
pub(super) fn world(dice: &mut Dice) -> Vec<Value> {
    (1..=SERVICES).flat_map(|index| objects(dice, index)).collect()
}

fn objects(dice: &mut Dice, index: u64) -> Vec<Value> {
    let kind = ["ClusterIP", "NodePort", "LoadBalancer"][dice.roll(3) as usize];
    let policy = |dice: &mut Dice| if dice.once_in(2) { "Local" } else { "Cluster" };
    let mut ports = vec![json!({ "name": "one", "port": 80, "protocol": "TCP" })];
    if dice.once_in(2) {
        ports.push(json!({ "name": "two", "port": 53, "protocol": "UDP" }));
    }
    if kind != "ClusterIP" {
        for (number, port) in (0..).zip(&mut ports) {
            port["nodePort"] = json!(node_port(index, number));
        }
    }
    let mut spec = json!({
        "type": kind,
        "clusterIP": cluster_ip(index),
        "clusterIPs": [cluster_ip(index), cluster_ip6(index)],
        "ipFamilyPolicy": "RequireDualStack",
        "internalTrafficPolicy": policy(dice),
        "ports": ports,
    });
    if kind != "ClusterIP" {
        spec["externalTrafficPolicy"] = json!(policy(dice));
    }
    if dice.once_in(2) {
        spec["externalIPs"] = json!([external_ip(index)]);
    }
    if kind == "LoadBalancer" && dice.once_in(2) {
        let ranges = [CLIENTS, "172.31.0.0/16", "10.244.0.0/16"];
        spec["loadBalancerSourceRanges"] = json!([ranges[dice.roll(3) as usize]]);
    }
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": format!("s{index}"), "namespace": "default" },
        "spec": spec,
    });
    if kind == "LoadBalancer" {
        let mode = if dice.once_in(4) { "Proxy" } else { "VIP" };
        service["status"] =
            json!({ "loadBalancer": { "ingress": [{ "ip": balancer(index), "ipMode": mode }] } });
    }
    let v6 = slice(dice, index, "IPv6");
    let mut objects = vec![service, slice(dice, index, "IPv4"), v6];
    objects.truncate(objects.len() - dice.roll(3) as usize % 3 / 2);
    objects
}

/// No more endpoints than this has a Service, less one.
const ENDPOINTS: u64 = 5;

fn endpoint(family: &str, node: u64, index: u64, number: u64) -> String {
    match family {
        "IPv4" => format!("10.244.{node}.{}", 100 + index * 10 + number),
        _ => format!("fd00:10:244:{node}::{}", 100 + index * 10 + number),
    }
}

/// Every address that an endpoint may have on this node.
pub(super) fn endpoints_on_node_1() -> impl Iterator<Item = String> {
    (1..=SERVICES).flat_map(|index| {
        (0..ENDPOINTS)
            .flat_map(move |number| ["IPv4", "IPv6"].map(|family| endpoint(family, 1, index, number)))
    })
}

/// Endpoints of a Service on this node, on the other and on none.
fn slice(dice: &mut Dice, index: u64, family: &str) -> Value {
    let count = dice.roll(ENDPOINTS);
    let endpoints: Vec<Value> = (0..count)
        .map(|number| {
            let node = 1 + dice.roll(2);
            let address = endpoint(family, node, index, number);
            let terminating = dice.once_in(4);
            let ready = !terminating && !dice.once_in(4);
            let mut endpoint = json!({
                "addresses": [address],
                "conditions": {
                    "ready": ready,
                    "serving": ready || dice.once_in(2),
                    "terminating": terminating,
                },
            });
            if !dice.once_in(8) {
                endpoint["nodeName"] = json!(format!("node-{node}"));
            }
            if dice.once_in(3) {
                endpoint["hints"] = json!({ "forNodes": [{ "name": format!("node-{}", 1 + dice.roll(2)) }] });
            }
            endpoint
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("s{index}-{}", family.to_lowercase()),
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": format!("s{index}") },
        },
        "addressType": family,
        "ports": [
            { "name": "one", "port": 8080, "protocol": "TCP" },
            { "name": "two", "port": 5353, "protocol": "UDP" },
        ],
        "endpoints": endpoints,
    })
}

/// What is dialled, by whatever protocol: every address of every world with every number, and numbers and
/// addresses that are nobody's.
pub(super) fn targets(node: [IpAddr; 2]) -> Vec<SocketAddr> {
    let mut targets = Vec::new();
    for index in 1..=SERVICES {
        for ip in [cluster_ip(index), cluster_ip6(index), external_ip(index), balancer(index)] {
            targets.extend([80, 53, 8080].map(|port| SocketAddr::new(ip, port)));
        }
        for ip in node {
            for port in 0..2 {
                targets.push(SocketAddr::new(ip, node_port(index, port) as u16));
            }
        }
    }
    // From the network of ClusterIPs and nobody's; of another network and nobody's.
    for ip in ["10.96.9.9", "fd00:10:96::99", "198.51.100.99"] {
        targets.push(SocketAddr::new(v4(ip), 80));
    }
    targets
}
