use serde_json::{Value, json};

use super::*;
use crate::source::manifest::decode::{Item, objects};
use crate::source::manifest::parse::Document;

/// What is wrong, as `FIELD: MESSAGE`.
#[track_caller]
fn faults_of(value: Value) -> Vec<String> {
    let [Item::Object(_, manifest)] = &objects(&Document { line: None, value })[..] else {
        panic!("one object");
    };
    faults(manifest).iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect()
}

/// What is wrong with a Service of one port, with this in its spec.
#[track_caller]
fn service(spec: Value) -> Vec<String> {
    let mut whole = json!({"ports": [{"port": 80}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    faults_of(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": whole}))
}

#[track_caller]
fn ports(ports: Value) -> Vec<String> {
    service(json!({"type": "NodePort", "ports": ports}))
}

#[track_caller]
fn slice(body: Value) -> Vec<String> {
    let mut whole = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "web-1"},
        "addressType": "IPv4", "endpoints": [],
    });
    whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    faults_of(whole)
}

#[test]
fn what_an_api_server_takes_is_taken() {
    for spec in [
        json!({}),
        json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [" 10.0.0.0/8"],
               "allocateLoadBalancerNodePorts": false, "loadBalancerClass": "example.com/a",
               "externalTrafficPolicy": "Local", "healthCheckNodePort": 30999}),
        json!({"clusterIP": "None", "ports": []}),
        json!({"clusterIP": ""}),
        json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"]}),
        json!({"type": "ExternalName", "externalName": "API.acmecorp.com.", "ports": []}),
        json!({"externalIPs": ["192.0.2.1"], "externalTrafficPolicy": "Local"}),
        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}}),
        json!({"selector": {"app.kubernetes.io/name": "Web_1.a", "empty": ""}, "trafficDistribution": "PreferClose"}),
        json!({"ports": [{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53}]}),
        json!({"ports": [{"port": 80, "targetPort": "http"}]}),
    ] {
        assert_eq!(service(spec.clone()), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn names_are_checked_as_each_kind_has_them() {
    let label = "is not a DNS label: lower-case letters, digits and '-', 63 at most";
    let subdomain = "is not a DNS subdomain: lower-case letters, digits, '-' and '.', 253 at most";
    let named = |kind: &str, name: &str| {
        faults_of(
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": {"ports": [{"port": 1}]}}),
        )
    };
    assert_eq!(named("Service", "Web"), [format!("metadata.name: \"Web\" {label}")]);
    assert_eq!(named("Service", "a.b"), [format!("metadata.name: \"a.b\" {label}")]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a_b"}});
    assert_eq!(faults_of(node), [format!("metadata.name: \"a_b\" {subdomain}")]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a.b", "namespace": "A", "labels": {"a b": "x", "app": "a/b"}},
    });
    assert_eq!(
        faults_of(pod),
        [
            format!("metadata.namespace: \"A\" {label}").as_str(),
            "metadata.labels: \"a b\" is not a label's key",
            "metadata.labels[app]: \"a/b\" is not a label's value",
        ]
    );
}

#[test]
fn ports_are_in_range_named_apart_and_not_there_twice() {
    for (list, expected) in [
        (json!([{}]), "spec.ports[0].port: 0 is not a port: 1 to 65535"),
        (json!([{"port": 65536}]), "spec.ports[0].port: 65536 is not a port: 1 to 65535"),
        (
            json!([{"port": 80, "targetPort": 70000}]),
            "spec.ports[0].targetPort: 70000 is not a port: 1 to 65535",
        ),
        (json!([{"port": 80, "nodePort": -1}]), "spec.ports[0].nodePort: -1 is not a port: 1 to 65535"),
        (
            json!([{"port": 80, "protocol": "tcp"}]),
            "spec.ports[0].protocol: \"tcp\" is not one of TCP, UDP, SCTP",
        ),
        (
            json!([{"port": 80, "targetPort": "80"}]),
            "spec.ports[0].targetPort: \"80\" is not a port's name: lower-case letters, digits and '-', 15 at most",
        ),
        (
            json!([{"name": "a", "port": 80}, {"port": 81}]),
            "spec.ports[1].name: is missing: only a single port needs none",
        ),
        (
            json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}]),
            "spec.ports[1].name: \"a\" is another port's name too",
        ),
        (
            json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}]),
            "spec.ports[1].port: 80/TCP is another port's too",
        ),
        (
            json!([{"name": "a", "port": 80, "nodePort": 31000}, {"name": "b", "port": 81, "nodePort": 31000}]),
            "spec.ports[1].nodePort: 31000/TCP is another port's too",
        ),
        (json!([]), "spec.ports: is missing"),
    ] {
        assert_eq!(ports(list), [expected]);
    }
}

#[test]
fn addresses_and_families_agree() {
    for (spec, expected) in [
        (json!({"clusterIP": "10.96.0"}), "spec.clusterIP: \"10.96.0\" is not an address"),
        (json!({"clusterIPs": ["10.96.0.1"]}), "spec.clusterIPs: may not be set without clusterIP"),
        (
            json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.2"]}),
            "spec.clusterIPs[0]: \"10.96.0.2\" is not clusterIP, which is \"10.96.0.1\"",
        ),
        (
            json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "10.96.0.2"]}),
            "spec.clusterIPs[1]: 10.96.0.2 is a second IPv4 address",
        ),
        (
            json!({"clusterIP": "10.96.0.1", "ipFamilies": ["IPv6"]}),
            "spec.clusterIP: 10.96.0.1 is not IPv6, which spec.ipFamilies[0] says",
        ),
        (json!({"ipFamilies": ["IPv5"]}), "spec.ipFamilies[0]: \"IPv5\" is not one of IPv4, IPv6"),
        (json!({"ipFamilies": ["IPv4", "IPv4"]}), "spec.ipFamilies[1]: IPv4 is there twice"),
        (
            json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"}),
            "spec.ipFamilyPolicy: SingleStack is not for two families",
        ),
        (
            json!({"type": "NodePort", "clusterIP": "None"}),
            "spec.clusterIP: None is not for a Service of type NodePort",
        ),
        (
            json!({"clusterIP": "None", "clusterIPs": ["None", "10.96.0.1"]}),
            "spec.clusterIPs: may not hold an address besides None",
        ),
        (json!({"externalIPs": ["127.0.0.1"]}), "spec.externalIPs[0]: 127.0.0.1 is a loopback address"),
        (json!({"externalIPs": ["fe80::1"]}), "spec.externalIPs[0]: fe80::1 is a link-local address"),
        (json!({"externalIPs": ["web"]}), "spec.externalIPs[0]: \"web\" is not an address"),
    ] {
        assert_eq!(service(spec), [expected]);
    }
}

#[test]
fn what_is_for_one_type_of_service_is_refused_on_another() {
    for (spec, expected) in [
        (
            json!({"type": "Clusterip"}),
            "spec.type: \"Clusterip\" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName",
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 31000}]}),
            "spec.ports[0].nodePort: may not be set for a Service of type ClusterIP",
        ),
        (
            json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]}),
            "spec.loadBalancerSourceRanges: may only be set for type LoadBalancer",
        ),
        (
            json!({"allocateLoadBalancerNodePorts": false}),
            "spec.allocateLoadBalancerNodePorts: may only be set for type LoadBalancer",
        ),
        (json!({"loadBalancerClass": "a"}), "spec.loadBalancerClass: may only be set for type LoadBalancer"),
        (
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]}),
            "spec.loadBalancerSourceRanges[0]: \"10.0.0.0\" is not a CIDR",
        ),
        (
            json!({"type": "LoadBalancer", "healthCheckNodePort": 30999}),
            "spec.healthCheckNodePort: may only be set for type LoadBalancer and externalTrafficPolicy Local",
        ),
        (
            json!({"externalTrafficPolicy": "Local"}),
            "spec.externalTrafficPolicy: may only be set for a Service that is reachable from outside",
        ),
        (
            json!({"internalTrafficPolicy": "local"}),
            "spec.internalTrafficPolicy: \"local\" is not one of Cluster, Local",
        ),
        (
            json!({"trafficDistribution": "Near"}),
            "spec.trafficDistribution: \"Near\" is not one of PreferClose, PreferSameZone, PreferSameNode",
        ),
        (json!({"type": "ExternalName"}), "spec.externalName: \"\" is not a DNS name"),
        (
            json!({"type": "ExternalName", "externalName": "a", "clusterIP": "10.96.0.1"}),
            "spec.clusterIP: may not be set for an ExternalName",
        ),
    ] {
        assert_eq!(service(spec), [expected]);
    }
}

#[test]
fn aff_02_affinity_lasts_a_second_to_a_day() {
    let affinity = |kind: &str, seconds: i32| {
        service(json!({
            "sessionAffinity": kind, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}},
        }))
    };
    let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    for seconds in [0, -1, 86_401] {
        assert_eq!(affinity("ClientIP", seconds), [format!("{field}: {seconds} is not in 1 to 86400")]);
    }
    assert_eq!(
        affinity("None", 10),
        ["spec.sessionAffinityConfig: may not be set without sessionAffinity ClientIP"]
    );
    assert_eq!(
        service(json!({"sessionAffinity": "Cookie"})),
        ["spec.sessionAffinity: \"Cookie\" is not one of None, ClientIP"]
    );
}

#[test]
fn a_slice_has_addresses_of_its_type_that_can_be_reached() {
    let address =
        |kind: &str, text: &str| slice(json!({"addressType": kind, "endpoints": [{"addresses": [text]}]}));
    assert!(address("IPv4", "10.244.1.11").is_empty());
    assert!(address("IPv6", "fd00::1").is_empty());
    assert!(address("FQDN", "db.example.com").is_empty());
    let field = "endpoints[0].addresses[0]";
    assert_eq!(address("IPv4", "fd00::1"), [format!("{field}: \"fd00::1\" is not an IPv4 address")]);
    assert_eq!(address("IPv6", "x"), [format!("{field}: \"x\" is not an IPv6 address")]);
    assert_eq!(address("IPv4", "127.0.0.1"), [format!("{field}: 127.0.0.1 is a loopback address")]);
    assert_eq!(address("IPv4", "224.0.0.1"), [format!("{field}: 224.0.0.1 is a multicast address")]);
    assert_eq!(address("IPv4", "0.0.0.0"), [format!("{field}: 0.0.0.0 is the unspecified address")]);
    assert_eq!(address("FQDN", "a_b"), [format!("{field}: \"a_b\" is not a DNS name")]);
    assert_eq!(
        slice(json!({"addressType": "ipv4"})),
        ["addressType: \"ipv4\" is not one of IPv4, IPv6, FQDN"]
    );
    assert_eq!(
        slice(json!({"endpoints": [{"addresses": []}]})),
        ["endpoints[0].addresses: has 0 items, not 1 to 100"]
    );
    assert_eq!(
        slice(json!({"ports": [{"port": 0}, {"port": 1, "protocol": "X"}]})),
        [
            "ports[0].port: 0 is not a port: 1 to 65535",
            "ports[1].name: \"\" is another port's name too",
            "ports[1].protocol: \"X\" is not one of TCP, UDP, SCTP",
        ]
    );
}

#[test]
fn a_pod_has_addresses_and_container_ports_that_are_ones() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {
            "nodeName": "Demo",
            "containers": [{"name": "c", "ports": [{"containerPort": 0, "name": "Http", "protocol": "http"}]}],
        },
        "status": {"phase": "Walking", "podIP": "10.244.1", "podIPs": [{"ip": "::1"}]},
    });
    assert_eq!(
        faults_of(pod),
        [
            "spec.nodeName: \"Demo\" is not a DNS subdomain: lower-case letters, digits, '-' and '.', 253 at most",
            "spec.containers[0].ports[0].containerPort: 0 is not a port: 1 to 65535",
            "spec.containers[0].ports[0].protocol: \"http\" is not one of TCP, UDP, SCTP",
            "spec.containers[0].ports[0].name: \"Http\" is not a port's name: lower-case letters, digits and '-', 15 at most",
            "status.phase: \"Walking\" is not one of Pending, Running, Succeeded, Failed, Unknown",
            "status.podIP: \"10.244.1\" is not an address",
            "status.podIPs[0].ip: ::1 is a loopback address",
        ]
    );
}
