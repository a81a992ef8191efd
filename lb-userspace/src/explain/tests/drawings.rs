//! What a reader sees, from the manifests to the drawing.

use std::fs;

use clap::Parser;

use crate::explain::cli::{Args, answer, of_manifests};
use crate::explain::manifests;
use crate::source::manifest::read_directory;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

const MANIFESTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  clusterIP: 172.20.0.10
  ports: [{name: http, port: 8080, targetPort: 80, nodePort: 31111}]
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {type: ExternalName, externalName: api.acmecorp.com}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-abc, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints:
- {addresses: [10.244.1.11], nodeName: n1, targetRef: {kind: Pod, name: web-1}}
- {addresses: [10.244.2.11], nodeName: n2, targetRef: {kind: Pod, name: web-2}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1}
spec: {containers: [{name: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}
status: {addresses: [{type: ExternalIP, address: 203.0.113.2}, {type: InternalIP, address: 192.168.0.2}]}
";

/// What `shunt explain` prints for those manifests on node n1, or why it doesn't.
fn explain(more: &[&str]) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("all.yaml"), MANIFESTS).unwrap();
    let dir_text = dir.path().to_str().unwrap();
    let fixed = ["explain", "--manifests", dir_text, "--node-name", "n1", "--cluster-cidr", "10.244.0.0/16"];
    let args = Command::try_parse_from(fixed.iter().chain(more)).map_err(|error| error.to_string())?.args;
    let manifests = manifests::read(&read_directory(dir.path()).unwrap());
    assert_eq!(manifests.problems, []);
    let mut out = Vec::new();
    answer(&args, &of_manifests(&args, manifests), &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_node_port_is_drawn_from_the_client_to_the_container() {
    let expected = "\
203.0.113.7 (a client outside) dials 192.168.0.2:31111 by TCP

  client          203.0.113.7
     |
  node port       192.168.0.2:31111       on an address of this node; the same number on every node
     |
  service port    172.20.0.10:8080        Service default/web at its ClusterIP
     |
  target port     80                      what the app in the pod listens on
     |
  pod             10.244.1.11:80          web-1 on this node, container nginx with containerPort 80
  pod             10.244.2.11:80          web-2 on node n2, masqueraded

  The stops between are numbers, not hosts: the address dialled becomes a pod's in one step.
  The client sees answers from 192.168.0.2:31111, as dialled.
  The pod sees 203.0.113.7; a masqueraded one sees an address of node n1.

DNAT (EPS-07)
  31111 is the node port of Service default/web on this node, which has 2 endpoints for it: each new connection \
goes to one of them, by chance.

Decided by
  1. Shunt --cluster-cidr: 203.0.113.7 is neither the node's nor inside 10.244.0.0/16: a client outside [CFG-DL]
  2. Service default/web spec.ports[0].nodePort: 31111 is its node port, and 192.168.0.2 is an address of node n1 [NP-01]
  3. Service default/web spec.externalTrafficPolicy: Cluster: endpoints on any node [EPS-07]
  4. EndpointSlice default/web-abc endpoints[].conditions.ready: 2 endpoints ready [EPS-07]
  5. Shunt --masquerade: remote: 1 of 2 pods see an address of the node instead of the client's [NAT-05]
";
    assert_eq!(explain(&["192.168.0.2:31111", "--from", "203.0.113.7"]).unwrap(), expected);
}

#[test]
fn a_number_on_the_wrong_address_is_drawn_with_the_address_of_each_number() {
    let expected = "\
10.244.1.5 (a pod) dials 172.20.0.10:31111 by TCP

  Service default/web (TCP)
    node port     192.168.0.2:31111       on an address of any node
    service port  172.20.0.10:8080        on the ClusterIP
    target port   10.244.1.11:80          on the pod

REJECT (CIP-03)
  172.20.0.10 is the ClusterIP of Service default/web, a virtual address: no host has it. 31111 is its node port, \
which belongs to the addresses of the nodes, as in 192.168.0.2:31111; on the ClusterIP the number is 8080. The \
dial is refused.

Decided by
  1. Shunt --cluster-cidr: 10.244.1.5 is inside 10.244.0.0/16: a pod [CFG-DL]
  2. Service default/web spec.clusterIPs: 172.20.0.10 is its ClusterIP, which answers at 8080/TCP only [CIP-03]
";
    assert_eq!(explain(&["--to", "172.20.0.10:31111", "--from", "10.244.1.5"]).unwrap(), expected);
}

#[test]
fn a_service_is_named_as_dns_names_it_with_the_number_or_the_name_of_its_port() {
    for target in ["web:8080", "web.default:http", "web.default.svc.cluster.local:8080"] {
        let text = explain(&[target]).unwrap();
        assert!(text.starts_with("192.168.0.2 (node n1 itself) dials 172.20.0.10:8080 by TCP\n"), "{text}");
    }
}

#[test]
fn what_cannot_be_asked_is_said_with_what_can() {
    for (more, expected) in [
        (&["web"][..], "\"web\" is not ADDRESS:PORT: which port is dialled?"),
        (&["fd00::10:80"], "\"fd00::10:80\" is not ADDRESS:PORT: as in [fd00::10]:80"),
        (&["shop:80"], "there is no Service default/shop"),
        (&["web:admin"], "Service default/web has no port named \"admin\""),
        (&["web:8080", "--from", "fd00::1"], "Service default/web has no ClusterIP of IPv6"),
        (
            &["api:80"],
            "Service default/api is an ExternalName: DNS answers with another name, nothing is proxied",
        ),
        (
            &["172.20.0.10:80", "--from", "fd00::1"],
            "the source fd00::1 and the destination 172.20.0.10 are of different address families",
        ),
    ] {
        assert_eq!(explain(more).unwrap_err(), expected);
    }
    assert!(explain(&[]).unwrap_err().contains("required arguments were not provided"));
}

#[test]
fn the_same_is_told_in_json() {
    let text =
        explain(&["192.168.0.2:31111", "--from", "203.0.113.7", "-o", "json", "--masquerade", "always"]);
    let answer: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!((&answer["src"], &answer["dport"]), (&"203.0.113.7".into(), &31111.into()));
    assert_eq!(answer["masquerade"], answer["endpoints"]);
    assert_eq!(answer["steps"][1]["field"], "spec.ports[0].nodePort");
}

#[test]
fn the_node_is_as_its_object_says_where_no_option_says_otherwise_nod_03() {
    let verdict = |more: &[&str]| {
        let text = explain(&[&["--from", "203.0.113.7", "-o", "json"], more].concat()).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["verdict"].clone()
    };
    assert_eq!(verdict(&["203.0.113.2:31111"]), "DNAT");
    assert_eq!(verdict(&["203.0.113.2:31111", "--nodeport-addresses", "primary"]), "PASS");
    assert_eq!(verdict(&["192.168.0.2:31111", "--nodeport-addresses", "192.168.0.0/16"]), "DNAT");
    assert_eq!(verdict(&["203.0.113.2:31111", "--node-ip", "192.168.0.9"]), "PASS");
}
