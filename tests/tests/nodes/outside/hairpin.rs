//! Pods whose sockets are not hooked: their packets are served where they come into the node.

use std::time::Duration;

use lb_tests::{Inside, check, tcp};

use super::{Edge, here, there};

/// A command line that dials from a pod, in a cgroup that is not the node's: no hook sees the socket.
#[track_caller]
fn fetch(edge: &Edge, pod: &lb_tests::Pod, target: &str) -> String {
    let unhooked = edge.client.place().in_netns(pod.place());
    unhooked.run("curl", &["-sS", "--max-time", "5", &format!("http://{target}/")]).expect(target)
}

#[test]
fn a_pod_that_is_not_hooked_reaches_services_and_itself_through_them() {
    let local = here("local").cluster_ips("10.96.0.1", "fd00:10:96::1").node_port(31_001);
    let remote = there("remote").cluster_ips("10.96.0.2", "fd00:10:96::2").node_port(31_002);
    let edge = Edge::with_arguments(
        &["--pod-devices", "here,pod-*,pods", "--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"],
        &[&local, &remote],
    );
    let other = edge.node.pod("pod-b").expect("a pod");
    let seen = |text: &str| text.contains("attached to device pod-b");
    edge.shunt.wait_for_line(0, seen).expect("its device's programs");
    for (pod, what) in [(&other, "another pod"), (&edge.here, "the backend itself")] {
        for target in ["10.96.0.1:80", "[fd00:10:96::1]:80"] {
            assert!(fetch(&edge, pod, target).contains("\"pod\":\"here\""), "{what} {target}");
        }
        for target in ["10.96.0.2:80", "[fd00:10:96::2]:80"] {
            assert!(fetch(&edge, pod, target).contains("\"pod\":\"there\""), "{what} {target}");
        }
        let target = format!("{}:31001", edge.node.v4());
        assert!(fetch(&edge, pod, &target).contains("\"pod\":\"here\""), "{what} {target}");
    }
    // The socket hooks go on serving the others.
    assert_eq!(check::dial(&other, &tcp("10.96.0.1:80")).greeting.pod, "here");
}

#[test]
fn by_the_name_of_its_device_a_pod_is_told_from_a_client_outside_cfg_dl() {
    let elsewhere = there("elsewhere").node_port(31_002).external_local();
    let told = ["--detect-local-mode", "InterfaceNamePrefix", "--pod-interface-name-prefix", "he"];
    let edge = Edge::with_arguments(&told, &[&elsewhere]);
    for target in edge.on_node(31_002) {
        // Policy is for clients outside: who is inside is sent to endpoints of any node.
        assert!(fetch(&edge, &edge.here, &target).contains("\"pod\":\"there\""), "{target}");
        let failure = check::failed(
            tcp(&target).within(Duration::from_millis(700)).from(&edge.client).expect("an attempt").remove(0),
        );
        assert!(
            ["ETIMEDOUT", "EAGAIN", "EINPROGRESS"].contains(&failure.errno.as_str()),
            "{target}: {failure}"
        );
    }
}
