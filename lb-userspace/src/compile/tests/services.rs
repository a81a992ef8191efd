//! Which Services and ports have tables, and what the tables say of them.

use lb_common::Proto;

use super::objects::*;
use crate::compile::compile;
use crate::model::{Family, ServiceType, SlicePort, TargetPort};

#[test]
fn a_service_without_a_cluster_ip_has_no_table_svc_03() {
    let mut service = load_balancer_service();
    service.cluster_ips.clear();
    assert_eq!(compile(&service, &[&slice(vec![local("10.244.1.11")])], &node()), vec![]);
}

#[test]
fn an_external_name_has_no_table_even_with_a_cluster_ip_svc_03() {
    let mut service = service();
    service.kind = ServiceType::ExternalName;
    assert_eq!(compile(&service, &[&slice(vec![local("10.244.1.11")])], &node()), vec![]);
}

#[test]
fn each_port_name_and_protocol_is_a_group_of_its_own_svc_04() {
    let mut service = service();
    service.ports = vec![port("dns", Proto::UDP, 53), port("dns-tcp", Proto::TCP, 53)];
    let keys: Vec<String> =
        compile(&service, &[], &node()).iter().map(|table| table.key.to_string()).collect();
    assert_eq!(keys, ["default/web:dns UDP IPv4", "default/web:dns-tcp TCP IPv4"]);
}

#[test]
fn endpoints_are_found_by_port_name_and_protocol_and_keep_their_own_numbers_svc_05() {
    let mut service = service();
    service.ports = vec![port("http", Proto::TCP, 80)];
    service.ports[0].target_port = TargetPort::Number(1234);
    let named = |name: &str, protocol, port| SlicePort { name: name.into(), protocol, port };
    let mut old = slice(vec![local("10.244.1.11")]);
    old.name = crate::model::ObjectName::new("default", "web-old");
    old.ports = vec![named("http", Proto::TCP, 8080), named("admin", Proto::TCP, 9000)];
    let mut new = slice(vec![remote("10.244.2.11")]);
    new.ports = vec![named("http", Proto::TCP, 8081), named("http", Proto::UDP, 8082)];
    let table = only(&service, &[&old, &new], &node());
    assert_eq!(cluster(&table), ["10.244.1.11:8080", "10.244.2.11:8081"]);
}

#[test]
fn each_family_is_a_group_of_its_own_svc_07() {
    let mut service = service();
    service.cluster_ips = vec![ip(CLUSTER_IP6), ip(CLUSTER_IP)];
    let v4 = slice(vec![local("10.244.1.11")]);
    let v6 = slice(vec![local("fd00:10:244:1::11")]);
    let tables = compile(&service, &[&v6, &v4], &node());
    let found: Vec<_> = tables.iter().map(|table| (table.key.family, cluster(table))).collect();
    assert_eq!(
        found,
        [
            (Family::V4, vec!["10.244.1.11:80".to_owned()]),
            (Family::V6, vec!["[fd00:10:244:1::11]:80".to_owned()]),
        ]
    );
}

#[test]
fn a_family_without_a_cluster_ip_has_no_node_port_and_no_external_address_either_svc_07() {
    let mut service = node_port_service();
    service.external_ips = vec![ip("2001:db8::7"), ip("198.51.100.7")];
    let table = only(&service, &[], &node());
    assert_eq!(table.key.family, Family::V4);
    assert!(table.frontends.contains_key(&key("198.51.100.7", 8080)));
    let of_v6 = |key: &&lb_common::FrontendKey| !key.addr().is_v4() && key.addr() != ip("::").into();
    assert_eq!(table.frontends.keys().filter(of_v6).count(), 0);
}

#[test]
fn one_number_in_two_protocols_is_two_frontends_and_no_third_svc_10() {
    let mut service = service();
    service.ports = vec![port("udp", Proto::UDP, 53), port("tcp", Proto::TCP, 53)];
    let tables = compile(&service, &[], &node());
    let mut dialled: Vec<String> = tables
        .iter()
        .flat_map(|table| table.frontends.keys())
        .filter(|key| key.port().number() == 53)
        .map(ToString::to_string)
        .collect();
    dialled.sort();
    assert_eq!(dialled, ["172.20.0.10:53/TCP", "172.20.0.10:53/UDP"]);
}

#[test]
fn sctp_is_proxied_like_the_others_and_what_no_api_server_admits_is_not_svc_11() {
    let mut service = service();
    service.ports = vec![
        port("sctp", Proto::SCTP, 3868),
        port("icmp", Proto::from_number(1), 80),
        port("zero", Proto::TCP, 0),
    ];
    assert_eq!(only(&service, &[], &node()).key.protocol, Proto::SCTP);
}

/// AFF-01, AFF-02
#[test]
fn affinity_is_a_property_of_the_service_port_shared_by_all_its_frontends_aff_01() {
    let mut service = load_balancer_service();
    assert_eq!(only(&service, &[], &node()).affinity_seconds, 0);
    service.affinity_seconds = Some(10_800);
    let table = only(&service, &[], &node());
    assert_eq!(table.affinity_seconds, 10_800);
    assert!(table.frontends.contains_key(&key(CLUSTER_IP, 8080)));
    assert!(table.frontends.contains_key(&key("192.168.0.2", 31111)));
    assert!(table.frontends.contains_key(&key("198.51.100.7", 8080)));
}

#[test]
fn a_table_tells_people_the_three_numbers_of_the_service_port() {
    let mut service = node_port_service();
    service.created = Some(1_700_000_000);
    service.ports[0].target_port = TargetPort::Name("http-alt".into());
    let table = only(&service, &[], &node());
    assert_eq!((table.node_port, table.port, table.target_port.as_str()), (31111, 8080, "http-alt"));
    assert_eq!((table.kind, table.created), (ServiceType::NodePort, Some(1_700_000_000)));
}
