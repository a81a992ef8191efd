//! ClusterIPs, external addresses and load balancers' addresses, dialled from inside.

use lb_tests::check::{self, address};
use lb_tests::{serve, tcp};

use crate::scene::{Scene, labelled, web};

#[test]
fn a_cluster_ip_is_reached_from_pods_and_node_processes_without_a_route_to_it() {
    let scene = Scene::serving(&[&web("web").port(8080).target(80).cluster_ip("10.96.0.10")]);
    scene.client.ip(&["route del default", "route del ::/0"]).expect("no default route");
    // An address that is no Service's shows that there is no route.
    for target in ["10.112.0.11:8080", "[fd00:10:97::b]:8080"] {
        check::refused(&scene.client, &tcp(target), "ENETUNREACH");
        check::refused(&scene.node, &tcp(target), "ENETUNREACH");
    }
    let pods = ["pod-a", "pod-b", "pod-c"];
    let dial = tcp("10.96.0.10:8080").times(60);
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)), pods);
    assert_eq!(check::pods(&check::answers(&scene.node, &dial)), pods);
}

#[test]
fn the_client_sees_what_it_dialled_and_the_pod_sees_the_client() {
    let scene = Scene::serving(&[&web("web").port(8080).target(80).cluster_ip("10.96.0.10")]);
    for _ in 0..20 {
        let answer = check::dial(&scene.client, &tcp("10.96.0.10:8080"));
        assert_eq!(answer.peer_name, Some(address("10.96.0.10:8080")));
        assert_eq!(answer.own.ip(), scene.client.v4());
        assert_eq!(answer.greeting.peer, answer.own);
        let pod = scene.pods.iter().find(|pod| pod.name() == answer.greeting.pod).expect("a pod");
        assert_eq!(answer.greeting.local, address(&format!("{}:80", pod.v4())));
    }
}

#[test]
fn external_and_load_balancer_addresses_lead_to_the_pods_from_inside() {
    let scene = Scene::serving(&[&web("web")
        .port(8080)
        .target(80)
        .cluster_ip("10.96.0.10")
        .external_ips(&["198.51.100.7"])
        .load_balancer_ip("203.0.113.9")]);
    for target in ["198.51.100.7:8080", "203.0.113.9:8080"] {
        for answer in [check::dial(&scene.client, &tcp(target)), check::dial(&scene.node, &tcp(target))] {
            assert_eq!(answer.peer_name, Some(address(target)));
        }
    }
}

#[test]
fn a_pod_that_dials_its_own_service_may_be_answered_by_itself() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let answers = check::answers(&scene.pods[0], &tcp("10.96.0.10:80").times(60));
    assert_eq!(check::pods(&answers), ["pod-a", "pod-b", "pod-c"]);
}

#[test]
fn two_ports_of_a_service_lead_to_two_ports_of_its_pods() {
    let two = web("two").port(80).named("http").port(2121).named("ftp").target(8021).cluster_ip("10.96.0.20");
    let scene = Scene::serving(&[&two]);
    let _ftp: Vec<_> = scene.pods.iter().map(|pod| serve().http(8021).at(pod).expect("a server")).collect();
    for (target, port) in [("10.96.0.20:80", 80), ("10.96.0.20:2121", 8021)] {
        assert_eq!(check::dial(&scene.client, &tcp(target)).greeting.local.port(), port);
    }
}

#[test]
fn a_named_target_port_is_each_pods_own() {
    let scene = Scene::serving(&[&web("web").port(80).target("http").cluster_ip("10.96.0.10")]);
    let odd = scene.node.pod("odd").expect("a pod");
    let _odd = serve().http(8088).at(&odd).expect("a server");
    let manifest = odd.manifest().label("app", "web").container_port("http", 8088);
    scene.apply(&[&manifest]);
    scene.remove_pods(&["pod-b", "pod-c"]);
    let answers = check::answers(&scene.client, &tcp("10.96.0.10:80").times(40));
    assert_eq!(check::pods(&answers), ["odd", "pod-a"]);
    for answer in answers {
        let port = if answer.greeting.pod == "odd" { 8088 } else { 80 };
        assert_eq!(answer.greeting.local.port(), port);
    }
}

#[test]
fn a_pod_that_is_not_ready_is_not_chosen_until_it_is() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let dial = tcp("10.96.0.10:80").times(60);
    scene.apply(&[&labelled(&scene.pods[1]).not_ready()]);
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)), ["pod-a", "pod-c"]);
    scene.apply(&[&labelled(&scene.pods[1])]);
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)), ["pod-a", "pod-b", "pod-c"]);
}

#[test]
fn what_is_no_services_address_is_left_alone() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    for pod in &scene.pods {
        let target = format!("{}:80", pod.v4());
        let answer = check::dial(&scene.client, &tcp(&target));
        assert_eq!((answer.greeting.pod.as_str(), answer.peer_name), (pod.name(), Some(address(&target))));
        check::refused(&scene.client, &tcp(format!("{}:81", pod.v4())), "ECONNREFUSED");
    }
}
