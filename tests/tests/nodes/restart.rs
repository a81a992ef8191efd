//! An instance that ends and comes back.

use lb_tests::{Shunt, check, tcp};

use crate::scene::{Scene, web};

#[test]
fn services_are_served_while_the_instance_is_away_and_when_it_is_back() {
    let mut scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10").node_port(31000)]);
    let dial = tcp("10.96.0.10:80").then("192.168.49.11:31000").times(10);
    for end in [Shunt::stop, Shunt::kill] {
        scene = scene.restart(end, |client, node| {
            check::answers(client, &dial);
            check::answers(node, &dial);
        });
        check::answers(&scene.client, &dial);
    }
    scene.remove_pods(&["pod-a", "pod-b"]);
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)), ["pod-c"]);
}

#[test]
fn what_changed_while_the_instance_was_away_is_in_force_when_it_is_back() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let scene = scene.restart(Shunt::stop, |_, node| {
        let world = node.manifests().join("world.json");
        let text = std::fs::read_to_string(&world).expect("the manifests");
        assert!(text.contains("10.96.0.10"));
        std::fs::write(&world, text.replace("10.96.0.10", "10.96.0.20")).expect("other manifests");
    });
    check::dial(&scene.client, &tcp("10.96.0.20:80"));
    check::refused(&scene.node, &tcp("10.96.0.10:80"), "EHOSTUNREACH");
}
