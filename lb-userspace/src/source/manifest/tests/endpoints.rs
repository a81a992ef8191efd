//! Endpoints made of Pods, and slices written by hand.

use super::*;
use crate::model::Family;

/// A Pod with these labels, addresses and further lines of its spec and status.
fn pod(name: &str, labels: &str, ips: &str, more: &[&str]) -> String {
    let ips: Vec<String> = ips.split(' ').map(|ip| format!("{{ip: \"{ip}\"}}")).collect();
    let (status, rest): (Vec<&str>, Vec<&str>) = more.iter().partition(|line| line.starts_with("status "));
    let status: String =
        status.iter().map(|line| format!("  {}\n", line.trim_start_matches("status "))).collect();
    let rest: String = rest.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{{labels}}}\n{rest}\
         status:\n  podIPs: [{}]\n{status}",
        ips.join(", ")
    )
}

fn with_port(port: &str) -> String {
    format!("spec: {{containers: [{{name: c, ports: [{port}]}}]}}")
}

#[track_caller]
fn endpoints(spec: &[&str], pods: &[String]) -> Vec<String> {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", spec)).write("pods.yaml", &pods.concat()).load_well();
    dir.endpoints("a")
}

#[test]
fn pods_are_selected_by_all_labels_in_their_namespace() {
    let elsewhere =
        pod("p4", "app: a, tier: b", "10.1.0.4", &[]).replace("name: p4", "name: p4\n  namespace: n");
    let pods = [
        pod("p1", "app: a, tier: b", "10.1.0.1", &[]),
        pod("p2", "app: a", "10.1.0.2", &[]),
        pod("p3", "app: x, tier: b", "10.1.0.3", &[]),
        elsewhere,
    ];
    assert_eq!(endpoints(&["selector: {app: a, tier: b}"], &pods), ["10.1.0.1:80"]);
    assert_eq!(endpoints(&["selector: {app: a}"], &pods), ["10.1.0.1:80", "10.1.0.2:80"]);
    assert!(endpoints(&["selector: {}"], &pods).is_empty());
    assert!(endpoints(&["selector: {app: a}", "clusterIP: None"], &pods).is_empty(), "SVC-02");
}

#[test]
fn eps_03_readiness_and_deletion_become_conditions() {
    let condition = |status: &str| format!("status conditions: [{{type: Ready, status: \"{status}\"}}]");
    let deleted = "  deletionTimestamp: 2026-01-01T00:00:00Z";
    let pods = [
        pod("p1", "app: a", "10.1.0.1", &[]),
        pod("p2", "app: a", "10.1.0.2", &[&condition("True")]),
        pod("p3", "app: a", "10.1.0.3", &[&condition("False")]),
        pod("p4", "app: a", "10.1.0.4", &[deleted]),
        pod("p5", "app: a", "10.1.0.5", &[deleted, &condition("False")]),
        pod("p6", "app: a", "10.1.0.6", &["status phase: Succeeded"]),
        pod("p7", "app: a", "10.1.0.7", &["status phase: Failed"]),
        pod("p8", "app: a", "10.1.0.8", &["status conditions: [{type: Initialized, status: \"True\"}]"]),
    ];
    assert_eq!(
        endpoints(&["selector: {app: a}"], &pods),
        [
            "10.1.0.1:80",
            "10.1.0.2:80",
            "10.1.0.3:80 not ready",
            "10.1.0.4:80 serving terminating",
            "10.1.0.5:80 terminating",
            "10.1.0.8:80 not ready",
        ]
    );
}

#[test]
fn eps_14_not_ready_addresses_are_published_where_the_service_says_so() {
    let pods = [
        pod("p1", "app: a", "10.1.0.1", &["status conditions: [{type: Ready, status: \"False\"}]"]),
        pod("p2", "app: a", "10.1.0.2", &["  deletionTimestamp: 2026-01-01T00:00:00Z"]),
    ];
    assert_eq!(
        endpoints(&["selector: {app: a}", "publishNotReadyAddresses: true"], &pods),
        ["10.1.0.1:80", "10.1.0.2:80 ready terminating"]
    );
}

#[test]
fn svc_05_and_svc_06_named_target_ports_may_differ_from_pod_to_pod() {
    let sidecar = "spec: {containers: [], initContainers: [{name: s, restartPolicy: Always, \
                   ports: [{name: http, containerPort: 8003}]}, {name: t, ports: [{name: http, containerPort: 1}]}]}";
    let once =
        "spec: {containers: [], initContainers: [{name: s, ports: [{name: http, containerPort: 8004}]}]}";
    let pods = [
        pod("p1", "app: a", "10.1.0.1", &[&with_port("{name: http, containerPort: 8001}")]),
        pod("p2", "app: a", "10.1.0.2", &[&with_port("{name: http, containerPort: 8002}")]),
        pod("p3", "app: a", "10.1.0.3", &[sidecar]),
        pod("p4", "app: a", "10.1.0.4", &[once]),
        pod("p5", "app: a", "10.1.0.5", &[&with_port("{name: http, containerPort: 8005, protocol: UDP}")]),
        pod("p6", "app: a", "10.1.0.6", &[]),
    ];
    let mut dir = Directory::new();
    let spec = ["selector: {app: a}", "ports: [{port: 80, targetPort: http}]"];
    dir.write("a.yaml", &service("a", &spec)).write("pods.yaml", &pods.concat()).load_well();
    assert_eq!(dir.endpoints("a"), ["10.1.0.1:8001", "10.1.0.2:8002", "10.1.0.3:8003"]);
    assert_eq!(dir.slices("a").len(), 3, "one for each set of ports");
}

#[test]
fn a_pod_that_lacks_one_of_two_ports_has_an_endpoint_for_the_other() {
    let pods = [
        pod("p1", "app: a", "10.1.0.1", &[&with_port("{name: http, containerPort: 8001}")]),
        pod("p2", "app: a", "10.1.0.2", &[]),
    ];
    let ports = "ports: [{name: web, port: 80, targetPort: http}, {name: dns, port: 53, targetPort: 5353, protocol: UDP}]";
    assert_eq!(
        endpoints(&["selector: {app: a}", ports], &pods),
        ["10.1.0.1:5353", "10.1.0.1:8001", "10.1.0.2:5353"]
    );
}

#[test]
fn svc_07_each_family_of_the_service_has_slices_of_its_own() {
    let pods = [
        pod("p1", "app: a", "10.1.0.1 fd00::1", &[]),
        pod("p2", "app: a", "fd00::2 10.1.0.2", &[]),
        pod("p3", "app: a", "10.1.0.3", &[]),
    ];
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &["selector: {app: a}", "ipFamilyPolicy: RequireDualStack"]));
    dir.write("pods.yaml", &pods.concat()).load_well();
    assert_eq!(
        dir.endpoints("a"),
        ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "[fd00::1]:80", "[fd00::2]:80"]
    );
    let slices: Vec<_> =
        dir.slices("a").iter().map(|slice| (slice.name.name.clone(), slice.family)).collect();
    assert_eq!(slices, [("a:IPv4:80".to_owned(), Family::V4), ("a:IPv6:80".to_owned(), Family::V6)]);
    assert_eq!(
        endpoints(&["selector: {app: a}", "ipFamilies: [IPv6]"], &pods),
        ["[fd00::1]:80", "[fd00::2]:80"]
    );
}

#[test]
fn an_endpoint_knows_its_node_and_its_pod() {
    let mut dir = Directory::new();
    let spec = "spec: {nodeName: demo, hostNetwork: true, containers: []}";
    dir.write("a.yaml", &service("a", &["selector: {app: a}"]));
    dir.write("pods.yaml", &pod("p1", "app: a", "192.0.2.1", &[spec])).load_well();
    let endpoint = &dir.slices("a")[0].endpoints[0];
    assert_eq!((endpoint.node.as_deref(), endpoint.pod.as_deref()), (Some("demo"), Some("p1")));
}

#[test]
fn a_pod_with_only_the_old_address_field_is_an_endpoint_and_one_without_any_is_worth_a_note() {
    let mut dir = Directory::new();
    let old =
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p1, labels: {app: a}}\nstatus: {podIP: 10.1.0.1}\n";
    let none = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p2, labels: {app: a}}\n";
    dir.write("a.yaml", &service("a", &["selector: {app: a}"]));
    let outcome = dir.write("pods.yaml", &[old, none].concat()).load_well();
    assert_eq!(dir.endpoints("a"), ["10.1.0.1:80"]);
    assert_eq!(
        texts(&outcome.notes),
        ["pods.yaml: Pod default/p2: has no status.podIPs: nothing can be sent to it"]
    );
}

#[test]
fn slices_written_by_hand_are_taken_as_they_are_beside_derived_ones() {
    let slice = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
                 metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}\n\
                 ports: [{port: 9000}]\nendpoints: [{addresses: [10.9.0.1]}]\n";
    let mut dir = Directory::new();
    dir.write("a.yaml", &[&service("a", &[]), slice].concat()).load_well();
    assert_eq!(dir.endpoints("a"), ["10.9.0.1:9000"]);

    dir.write("a.yaml", &[&service("a", &["selector: {app: a}"]), slice].concat());
    dir.write("pods.yaml", &pod("p1", "app: a", "10.1.0.1", &[])).load_well();
    assert_eq!(dir.endpoints("a"), ["10.1.0.1:80", "10.9.0.1:9000"]);
}

#[test]
fn a_pod_that_changes_resends_only_the_slice_that_it_is_in() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &["selector: {app: a}"]));
    dir.write("b.yaml", &service("b", &["selector: {app: b}"]));
    dir.write("pa.yaml", &pod("pa", "app: a", "10.1.0.1", &[]));
    dir.write("pb.yaml", &pod("pb", "app: b", "10.1.0.2", &[])).load_well();
    let outcome = dir.write("pb.yaml", &pod("pb", "app: b", "10.1.0.3", &[])).load_well();
    assert_eq!(outcome.changes.len(), 1);
    assert_eq!(dir.endpoints("b"), ["10.1.0.3:80"]);
}

#[test]
fn a_pod_or_a_service_that_changes_its_labels_changes_who_has_the_endpoint() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &["selector: {app: a}"]));
    dir.write("b.yaml", &service("b", &["selector: {app: b}"]));
    dir.write("p.yaml", &pod("p", "app: a", "10.1.0.1", &[])).load_well();
    assert_eq!((dir.endpoints("a").len(), dir.endpoints("b").len()), (1, 0));
    dir.write("p.yaml", &pod("p", "app: b", "10.1.0.1", &[])).load_well();
    assert_eq!((dir.endpoints("a").len(), dir.endpoints("b").len()), (0, 1));
    dir.write("a.yaml", &service("a", &["selector: {app: b}"])).load_well();
    assert_eq!((dir.endpoints("a").len(), dir.endpoints("b").len()), (1, 1));
    dir.remove("p.yaml").load_well();
    assert_eq!((dir.endpoints("a").len(), dir.endpoints("b").len()), (0, 0));
}
