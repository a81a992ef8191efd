//! Traffic policies and source ranges.

use lb_tests::check;
use lb_tests::manifest::pod;
use lb_tests::{Inside, Options, tcp, udp, udp_unconnected};

use crate::scene::{APP, Scene, web};

#[test]
fn internal_policy_local_chooses_among_the_pods_of_this_node_alone() {
    let local = web("local").port(80).cluster_ip("10.96.0.10").internal_local();
    let scene = Scene::serving(&[&local]);
    // Nobody is at this address: a dial that went there would not be answered.
    let far = pod("far", &["10.244.9.11".parse().expect("an address")]).label("app", APP).on_node("node-9");
    scene.apply(&[&far]);
    let answers = check::answers(&scene.client, &tcp("10.96.0.10:80").times(100));
    assert_eq!(check::pods(&answers), ["pod-a", "pod-b", "pod-c"]);
}

#[test]
fn internal_policy_local_without_a_pod_on_this_node_fails_at_once() {
    let local = web("local").port(80).named("http").port(80).udp().named("echo").target(5000);
    let scene = Scene::serving(&[&local.cluster_ip("10.96.0.10").internal_local()]);
    let far = pod("far", &["10.244.9.11".parse().expect("an address")]).label("app", APP).on_node("node-9");
    scene.apply(&[&far]);
    scene.remove_pods(&["pod-a", "pod-b", "pod-c"]);
    for dial in [tcp("10.96.0.10:80"), udp("10.96.0.10:80"), udp_unconnected("10.96.0.10:80")] {
        check::refused(&scene.client, &dial, "EHOSTUNREACH");
        check::refused(&scene.node, &dial, "EHOSTUNREACH");
    }
    // Without any endpoint at all it is no longer policy that says so.
    scene.remove_pods(&["far"]);
    check::refused(&scene.client, &tcp("10.96.0.10:80"), "ECONNREFUSED");
}

#[test]
fn external_policy_local_does_not_bind_clients_on_the_node() {
    let local = web("local").port(80).node_port(31000).load_balancer_ip("203.0.113.9").external_local();
    let network = lb_tests::Network::create().expect("a network");
    let (one, two) = (network.node("node-1").expect("a node"), network.node("node-2").expect("a node"));
    let client = one.pod("client").expect("a pod");
    let far = two.pod("far").expect("a pod");
    let _serving = lb_tests::serve().http(80).at(&far).expect("a server");
    let far = far.manifest().label("app", APP);
    let manifests: [&dyn lb_tests::manifest::Manifest; 2] = [&local, &far];
    let _shunt = lb_tests::Shunt::start(&one, &Options::default(), &manifests).expect("an instance");
    for target in ["203.0.113.9:80", "192.168.49.11:31000"] {
        for place in [client.place(), one.place()] {
            assert_eq!(check::dial(place, &tcp(target)).greeting.pod, "far");
        }
    }
}

#[test]
fn source_ranges_shut_out_pods_that_are_not_in_them_from_the_load_balancers_address_alone() {
    let shut = web("shut").port(80).cluster_ip("10.96.0.10").node_port(31000);
    let shut = shut.load_balancer_ip("203.0.113.9").source_ranges(&["192.168.49.0/24"]);
    let options = Options { arguments: vec!["--cluster-cidr=10.244.0.0/16".into()], ..Options::default() };
    let scene = Scene::with_options(&options, &[&shut]);
    check::refused(&scene.client, &tcp("203.0.113.9:80"), "EHOSTUNREACH");
    check::dial(&scene.node, &tcp("203.0.113.9:80"));
    for target in ["10.96.0.10:80", "192.168.49.11:31000"] {
        check::dial(&scene.client, &tcp(target));
    }
}

#[test]
fn source_ranges_shut_out_the_node_where_it_is_not_in_them() {
    let shut = web("shut").port(80).load_balancer_ip("203.0.113.9").source_ranges(&["10.244.0.0/16"]);
    let options = Options { arguments: vec!["--cluster-cidr=10.244.0.0/16".into()], ..Options::default() };
    let scene = Scene::with_options(&options, &[&shut]);
    check::dial(&scene.client, &tcp("203.0.113.9:80"));
    check::refused(&scene.node, &tcp("203.0.113.9:80"), "EHOSTUNREACH");
}
