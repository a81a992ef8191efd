//! ClusterIPs, node ports and health-check ports.

use super::*;
use crate::model::Change;

/// What a single Service gets: addresses, or what is wrong.
fn addresses(config: Config, spec: &[&str]) -> Result<Vec<String>, Vec<String>> {
    let mut dir = Directory::with(config, Ledger::new());
    let outcome = dir.write("a.yaml", &service("a", spec)).load();
    if outcome.problems.is_empty() { Ok(dir.ips("a")) } else { Err(texts(&outcome.problems)) }
}

fn families(ips: Vec<String>) -> Vec<&'static str> {
    ips.iter().map(|ip| if ip.contains(':') { "IPv6" } else { "IPv4" }).collect()
}

#[test]
fn families_are_what_policy_and_service_cidrs_make_of_them() {
    let (v4, v6) = ("10.96.0.0/16", "fd00:10:96::/112");
    for (cidrs, spec, expected) in [
        (&[v4, v6][..], &[][..], &["IPv4"][..]),
        (&[v6, v4], &[], &["IPv6"]),
        (&[v4, v6], &["ipFamilies: [IPv6]"], &["IPv6"]),
        (&[v4, v6], &["ipFamilyPolicy: PreferDualStack"], &["IPv4", "IPv6"]),
        (&[v4], &["ipFamilyPolicy: PreferDualStack"], &["IPv4"]),
        (&[v4, v6], &["ipFamilyPolicy: RequireDualStack", "ipFamilies: [IPv6]"], &["IPv6", "IPv4"]),
        (&[v4, v6], &["ipFamilies: [IPv6, IPv4]"], &["IPv6", "IPv4"]),
        (&[v4, v6], &["ipFamilyPolicy: RequireDualStack", "clusterIP: fd00:10:96::7"], &["IPv6", "IPv4"]),
        (&[v4, v6], &["clusterIP: None"], &[]),
        (&[v4, v6], &["type: ExternalName", "externalName: api.acmecorp.com"], &[]),
    ] {
        assert_eq!(
            addresses(config(cidrs, "30000-32767"), spec).map(families),
            Ok(expected.to_vec()),
            "{spec:?}"
        );
    }
    for (spec, problem) in [
        (
            "ipFamilyPolicy: RequireDualStack",
            "a.yaml: Service default/a: spec.ipFamilyPolicy: RequireDualStack, and there is no IPv6 service CIDR",
        ),
        (
            "ipFamilies: [IPv6]",
            "a.yaml: Service default/a: spec.ipFamilies[0]: there is no IPv6 service CIDR",
        ),
    ] {
        let refused = addresses(config(&[v4], "30000-32767"), &[spec]);
        assert_eq!(refused, Err(vec![problem.to_owned()]));
    }
}

#[test]
fn given_addresses_are_honoured_inside_the_service_cidrs_and_refused_outside() {
    let given = |ip: &str| addresses(Config::default(), &[&format!("clusterIP: {ip}")]);
    assert_eq!(given("10.96.0.1"), Ok(vec!["10.96.0.1".to_owned()]), "as the Service kubernetes has it");
    assert_eq!(given("10.96.000.041"), Ok(vec!["10.96.0.41".to_owned()]), "SVC-13");
    for (ip, message) in [
        ("10.95.0.1", "10.95.0.1 is in none of the service CIDRs 10.96.0.0/12, fd00:10:96::/112"),
        ("fd00::1", "fd00::1 is in none of the service CIDRs 10.96.0.0/12, fd00:10:96::/112"),
        ("10.96.0.0", "10.96.0.0 is the network address of the service CIDR 10.96.0.0/12"),
        ("10.111.255.255", "10.111.255.255 is the broadcast address of the service CIDR 10.96.0.0/12"),
    ] {
        assert_eq!(given(ip), Err(vec![format!("a.yaml: Service default/a: spec.clusterIP: {message}")]));
    }
}

#[test]
fn an_explicit_number_wins_over_an_automatic_one_that_was_there_and_that_moves() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &["type: NodePort"])).load_well();
    let (ip, port) = (dir.ip("a"), dir.node_ports("a")[0]);
    let wants = [
        "type: NodePort".to_owned(),
        format!("clusterIP: {ip}"),
        format!("ports: [{{port: 80, nodePort: {port}}}]"),
    ];
    let wants: Vec<&str> = wants.iter().map(String::as_str).collect();
    let outcome = dir.write("z.yaml", &service("z", &wants)).load_well();
    assert_eq!((dir.ip("z"), dir.node_ports("z")), (ip.clone(), vec![port]));
    assert_ne!(dir.ip("a"), ip);
    assert_ne!(dir.node_ports("a"), [port]);
    assert_eq!(
        texts(&outcome.moved),
        [
            format!("a.yaml: Service default/a: {ip} can't be kept: it has {} now", dir.ip("a")),
            format!("a.yaml: Service default/a: {port} can't be kept: it has {} now", dir.node_ports("a")[0]),
        ]
    );
    assert_eq!(dir.load_well().moved, []);
}

#[test]
fn numbers_survive_a_restart_and_new_neighbours() {
    let mut dir = Directory::new();
    let spec = ["type: LoadBalancer", "externalTrafficPolicy: Local", "ipFamilyPolicy: PreferDualStack"];
    dir.write("m.yaml", &service("m", &spec)).load_well();
    let before = dir.service("m").cloned().unwrap();
    assert!(before.health_check_node_port.is_some(), "HCN-01");

    let mut dir = dir.restarted(Config::default());
    for name in ["a", "b", "y", "z"] {
        dir.write(&format!("{name}.yaml"), &service(name, &["type: NodePort"]));
    }
    dir.load_well();
    assert_eq!(dir.service("m"), Some(&before));
}

#[test]
fn a_number_no_longer_written_down_is_kept() {
    let mut dir = Directory::new();
    dir.write(
        "a.yaml",
        &service("a", &["type: NodePort", "clusterIP: 10.96.7.7", "ports: [{port: 80, nodePort: 31000}]"]),
    );
    dir.load_well();
    dir.write("a.yaml", &service("a", &["type: NodePort"]));
    assert_eq!(dir.load_well().changes, []);
    assert_eq!((dir.ip("a").as_str(), dir.node_ports("a")), ("10.96.7.7", vec![31_000]));
}

#[test]
fn a_service_whose_file_is_broken_keeps_its_numbers_over_a_restart() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &["type: NodePort"])).load_well();
    let (ip, port) = (dir.ip("a"), dir.node_ports("a"));

    dir.write("a.yaml", "{");
    let mut dir = dir.restarted(Config::default());
    dir.write("b.yaml", &service("b", &["type: NodePort"])).load();
    assert!(dir.service("a").is_none(), "what it was is not known any more");
    assert_ne!((dir.ip("b"), dir.node_ports("b")), (ip.clone(), port.clone()));

    dir.write("a.yaml", &service("a", &["type: NodePort"])).load_well();
    assert_eq!((dir.ip("a"), dir.node_ports("a")), (ip, port));
}

#[test]
fn numbers_are_released_when_their_service_is_gone_or_needs_them_no_more() {
    let tiny = || config(&["10.96.0.0/29"], "30000-30000");
    let mut dir = Directory::with(tiny(), Ledger::new());
    dir.write("a.yaml", &service("a", &["type: NodePort"])).load_well();
    assert_eq!(dir.node_ports("a"), [30_000]);
    dir.write("b.yaml", &service("b", &["type: NodePort"]));
    dir.load_with(&[
        "b.yaml: Service default/b: spec.ports: no port is left in the node port range 30000-30000",
    ]);
    assert!(dir.service("b").is_none());

    dir.write("a.yaml", &service("a", &[])).load_well();
    assert_eq!((dir.node_ports("a"), dir.node_ports("b")), (vec![0], vec![30_000]));
    dir.remove("b.yaml").write("c.yaml", &service("c", &["type: NodePort"])).load_well();
    assert_eq!(dir.node_ports("c"), [30_000]);
}

#[test]
fn of_two_services_that_say_one_number_the_one_that_had_it_keeps_it_over_a_restart() {
    let mut dir = Directory::new();
    dir.write("z.yaml", &node_port("z", 31_000)).load_well();
    let mut dir = dir.restarted(Config::default());
    dir.write("a.yaml", &node_port("a", 31_000));
    dir.load_with(&[
        "a.yaml: Service default/a: spec.ports[0].nodePort: 31000 is already Service default/z's",
    ]);
    assert_eq!(dir.node_ports("z"), [31_000]);
}

#[test]
fn a_number_outside_of_the_range_that_is_now_is_given_anew() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &["type: NodePort"])).load_well();
    let before = (dir.ip("a"), dir.node_ports("a"));
    let mut dir = dir.restarted(config(&["10.200.0.0/24"], "20000-20100"));
    let outcome = dir.load_well();
    assert!(dir.ip("a").starts_with("10.200.0."), "{}", dir.ip("a"));
    assert!((20_000..=20_100).contains(&dir.node_ports("a")[0]));
    assert_ne!((dir.ip("a"), dir.node_ports("a")), before);
    assert_eq!(outcome.moved.len(), 2);
}

#[test]
fn svc_10_one_port_in_two_protocols_has_one_node_port() {
    let mut dir = Directory::new();
    let ports = "ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]";
    dir.write("a.yaml", &service("a", &["type: NodePort", ports])).load_well();
    let both = dir.node_ports("a");
    assert_eq!(both[0], both[1]);

    // Another protocol of another port may not come to lie on it.
    let ports = "ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 54, protocol: UDP}]";
    dir.write("a.yaml", &service("a", &["type: NodePort", ports])).load_well();
    assert_eq!(dir.node_ports("a")[0], both[0]);
    assert_ne!(dir.node_ports("a")[1], both[0]);
}

#[test]
fn load_balancers_have_node_ports_unless_they_say_not() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &["type: LoadBalancer"]));
    dir.write("b.yaml", &service("b", &["type: LoadBalancer", "allocateLoadBalancerNodePorts: false"]));
    dir.write("c.yaml", &service("c", &[]));
    dir.load_well();
    assert_ne!(dir.node_ports("a"), [0]);
    assert_eq!((dir.node_ports("b"), dir.node_ports("c")), (vec![0], vec![0]), "LB-04");
    assert_eq!(dir.service("a").unwrap().health_check_node_port, None);
}

#[test]
fn svc_01_a_service_of_another_proxy_has_its_numbers_and_is_not_served() {
    let mut dir = Directory::new();
    let other = node_port("a", 31_000)
        .replace("{name: a}", "{name: a, labels: {service.kubernetes.io/service-proxy-name: other}}");
    dir.write("a.yaml", &other).write("b.yaml", &node_port("b", 31_000));
    dir.load_with(&[
        "b.yaml: Service default/b: spec.ports[0].nodePort: 31000 is already Service default/a's",
    ]);
    assert!(dir.service("a").is_none());
    let outcome = dir.remove("b.yaml").write("a.yaml", &node_port("a", 31_000)).load_well();
    assert!(matches!(outcome.changes[..], [Change::Service(_)]), "taking the label away takes effect");
}
