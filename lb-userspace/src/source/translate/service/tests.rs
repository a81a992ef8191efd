use serde_json::{Value, json};

use super::*;

fn service_object(meta: Value, spec: Value, status: Value) -> api::Service {
    let mut metadata = json!({"name": "web", "namespace": "default"});
    metadata.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": status,
    }))
    .unwrap()
}

#[track_caller]
fn translated(spec: Value) -> Service {
    let translation = service(&service_object(json!({}), spec, json!({}))).unwrap();
    assert_eq!(translation.ignored, []);
    translation.value
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

#[test]
fn svc_01_a_service_with_the_proxy_label_is_not_ours_whatever_its_value() {
    for value in ["", "kube-proxy", "shunt"] {
        let object = service_object(
            json!({"labels": {"service.kubernetes.io/service-proxy-name": value}}),
            json!({"clusterIP": "10.96.0.10"}),
            json!({}),
        );
        assert_eq!(service(&object), Err(Skipped::AnotherProxy), "{value:?}");
    }
}

#[test]
fn svc_03_headless_and_external_names_have_no_cluster_ip() {
    for spec in [
        json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"]}),
        json!({"clusterIP": ""}),
        json!({}),
        json!({"type": "ExternalName", "externalName": "api.acmecorp.com", "clusterIP": "10.96.0.10"}),
    ] {
        assert!(translated(spec.clone()).cluster_ips.is_empty(), "{spec}");
    }
}

#[test]
fn svc_07_cluster_ips_are_those_of_the_families_place_by_place() {
    for (spec, ips) in [
        (json!({"clusterIP": "10.96.0.10"}), vec!["10.96.0.10"]),
        (json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::10"]}), vec!["10.96.0.10"]),
        (
            json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::10"], "ipFamilies": ["IPv4"]}),
            vec!["10.96.0.10"],
        ),
        (
            json!({
                "clusterIP": "fd00::10", "clusterIPs": ["fd00::10", "10.96.0.10"],
                "ipFamilies": ["IPv6", "IPv4"],
            }),
            vec!["fd00::10", "10.96.0.10"],
        ),
        (json!({"clusterIPs": ["10.96.0.10"]}), vec!["10.96.0.10"]),
    ] {
        assert_eq!(texts(&translated(spec.clone()).cluster_ips), ips, "{spec}");
    }
}

#[test]
fn svc_11_protocols_are_the_three_and_tcp_where_none_is_said() {
    let service = translated(json!({"ports": [
        {"port": 80}, {"port": 53, "protocol": "UDP", "name": "dns"},
        {"port": 132, "protocol": "SCTP", "name": "sctp"},
    ]}));
    let protocols: Vec<Proto> = service.ports.iter().map(|port| port.protocol).collect();
    assert_eq!(protocols, [Proto::TCP, Proto::UDP, Proto::SCTP]);

    let object = service_object(json!({}), json!({"ports": [{"port": 1, "protocol": "ICMP"}]}), json!({}));
    let translation = service_of(&object);
    assert!(translation.value.ports.is_empty());
    assert_eq!(translation.ignored[0].field, "spec.ports[0].protocol");
}

fn service_of(object: &api::Service) -> Translation<Service> {
    service(object).unwrap()
}

#[test]
fn svc_12_fields_that_are_none_of_a_proxys_business_change_nothing() {
    let plain = json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]});
    let decorated = json!({
        "clusterIP": "10.96.0.10", "ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}],
        "selector": {"app": "web"}, "loadBalancerClass": "example.com/a", "loadBalancerIP": "192.0.2.1",
        "ipFamilyPolicy": "RequireDualStack", "allocateLoadBalancerNodePorts": false,
        "externalName": "api.acmecorp.com", "publishNotReadyAddresses": true,
        "trafficDistribution": "PreferClose",
    });
    let status = json!({
        "conditions": [{"type": "Ready", "status": "True", "reason": "a", "message": "b",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]},
    });
    let decorated = service_of(&service_object(json!({}), decorated, status));
    assert_eq!(decorated, Translation { value: translated(plain), ignored: vec![] });
}

#[test]
fn svc_13_malformed_addresses_are_read_sloppily_or_left_out_with_their_field() {
    let object = service_object(
        json!({}),
        json!({
            "clusterIP": "172.030.0.041", "externalIPs": ["192.0.02.1", "not one", "::ffff:192.0.2.2"],
            "ports": [{"port": 80}],
        }),
        json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.007"}, {"ip": "203.0.113"}]}}),
    );
    let translation = service_of(&object);
    assert_eq!(texts(&translation.value.cluster_ips), ["172.30.0.41"]);
    assert_eq!(texts(&translation.value.external_ips), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(translation.value.ingress.len(), 1);
    let fields: Vec<_> = translation.ignored.iter().map(|ignored| ignored.field.as_str()).collect();
    assert_eq!(fields, ["spec.externalIPs[1]", "status.loadBalancer.ingress[1].ip"]);
}

#[test]
fn lb_01_and_lb_02_an_ingress_address_is_a_vip_unless_its_mode_says_otherwise() {
    let status = json!({"loadBalancer": {"ingress": [
        {"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "ipMode": "VIP"}, {"ip": "203.0.113.3", "ipMode": "Proxy"},
        {"hostname": "lb.example.com"}, {"ip": "203.0.113.4", "ipMode": "SomethingNew"},
    ]}});
    // LB-03: the type is not consulted.
    let translation = service_of(&service_object(json!({}), json!({"type": "ClusterIP"}), status));
    let ingress = |last: u8, mode| Ingress { ip: [203, 0, 113, last].into(), mode };
    assert_eq!(
        translation.value.ingress,
        [
            ingress(1, IngressMode::Vip),
            ingress(2, IngressMode::Vip),
            ingress(3, IngressMode::Proxy),
            ingress(4, IngressMode::Proxy),
        ]
    );
}

#[test]
fn lsr_02_source_ranges_are_trimmed_and_invalid_ones_left_out() {
    let spec =
        json!({"loadBalancerSourceRanges": [" 10.0.0.0/8", "fd00::/8\t", "10.0.0.0", "192.168.1.7/16"]});
    let translation = service_of(&service_object(json!({}), spec, json!({})));
    let ranges = translation.value.source_ranges.unwrap();
    assert_eq!(texts(&ranges), ["10.0.0.0/8", "fd00::/8", "192.168.0.0/16"]);
    assert_eq!(translation.ignored.len(), 1);
    assert_eq!(translation.ignored[0].field, "spec.loadBalancerSourceRanges[2]");
}

#[test]
fn lsr_02_no_ranges_is_no_restriction_and_only_unreadable_ones_is_nobody() {
    assert_eq!(translated(json!({"loadBalancerSourceRanges": []})).source_ranges, None);
    let spec = json!({"loadBalancerSourceRanges": ["everybody"]});
    let translation = service_of(&service_object(json!({}), spec, json!({})));
    assert_eq!(translation.value.source_ranges, Some(vec![]));
}

#[test]
fn numbers_policies_and_affinity_are_taken_over_with_the_apis_defaults() {
    let service = translated(json!({
        "type": "LoadBalancer", "clusterIP": "10.96.0.10", "externalTrafficPolicy": "Local",
        "internalTrafficPolicy": "Local", "healthCheckNodePort": 30999, "sessionAffinity": "ClientIP",
        "ports": [
            {"name": "http", "port": 8080, "targetPort": 80, "nodePort": 31111},
            {"name": "named", "port": 82, "targetPort": "numbers", "nodePort": 0},
            {"name": "same", "port": 83, "targetPort": 0},
        ],
    }));
    assert_eq!(service.kind, ServiceType::LoadBalancer);
    assert_eq!(service.external_policy, TrafficPolicy::Local);
    assert_eq!(service.internal_policy, TrafficPolicy::Local);
    assert_eq!(service.health_check_node_port, Some(30999));
    assert_eq!(service.affinity_seconds, Some(10_800), "AFF-02");
    let node_ports: Vec<_> = service.ports.iter().map(|port| port.node_port).collect();
    assert_eq!(node_ports, [Some(31111), None, None]);
    let targets: Vec<_> = service.ports.iter().map(|port| port.target_port.clone()).collect();
    assert_eq!(
        targets,
        [TargetPort::Number(80), TargetPort::Name("numbers".to_owned()), TargetPort::Number(83)]
    );

    let plain = translated(json!({}));
    assert_eq!(plain.kind, ServiceType::ClusterIP);
    assert_eq!(plain.affinity_seconds, None);
    assert_eq!(plain.internal_policy, TrafficPolicy::Cluster);
    let sticky = translated(json!({
        "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 125}},
    }));
    assert_eq!(sticky.affinity_seconds, Some(125));
}

#[test]
fn the_time_of_creation_is_in_seconds() {
    let object = service_object(json!({"creationTimestamp": "1970-01-02T00:00:01Z"}), json!({}), json!({}));
    assert_eq!(service_of(&object).value.created, Some(86_401));
}
