//! bind(2) on NodePorts.

use lb_tests::wire::{Step, Transport};
use lb_tests::{Inside, bind};

use crate::scene::{Scene, web};

/// The errno of a bind, or `None` where it succeeded.
#[track_caller]
fn errno(place: &impl Inside, transport: Transport, address: &str) -> Option<String> {
    let report = bind(place, transport, address).unwrap_or_else(|error| panic!("{error:#}"));
    report.failure.map(|failure| {
        assert_eq!(failure.step, Step::Bind);
        failure.errno
    })
}

#[test]
fn no_process_of_the_node_takes_a_node_port() {
    let service = web("web").port(80).node_port(31000).cluster_ips("10.96.0.10", "fd00:10:96::10");
    let scene = Scene::serving(&[&service]);
    for address in ["0.0.0.0:31000", "[::]:31000", "192.168.49.11:31000", "127.0.0.1:31000", "[::1]:31000"] {
        assert_eq!(errno(&scene.node, Transport::Tcp, address).as_deref(), Some("EADDRINUSE"), "{address}");
    }
    // UDP is another port space, and the next number another port.
    assert_eq!(errno(&scene.node, Transport::Udp, "0.0.0.0:31000"), None);
    assert_eq!(errno(&scene.node, Transport::Tcp, "0.0.0.0:31001"), None);
}

#[test]
fn a_udp_node_port_is_kept_from_udp_alone() {
    let scene = Scene::serving(&[&web("echo").port(5000).udp().node_port(31500)]);
    assert_eq!(errno(&scene.node, Transport::Udp, "0.0.0.0:31500").as_deref(), Some("EADDRINUSE"));
    assert_eq!(errno(&scene.node, Transport::Tcp, "0.0.0.0:31500"), None);
}

#[test]
fn a_pod_takes_the_number_of_a_node_port_in_its_own_namespace() {
    let scene = Scene::serving(&[&web("web").port(80).node_port(31000)]);
    for address in ["0.0.0.0:31000", "[::]:31000"] {
        assert_eq!(errno(&scene.client, Transport::Tcp, address), None);
    }
}

#[test]
fn a_node_port_is_free_again_when_its_service_is_gone() {
    let scene = Scene::serving(&[&web("web").port(80).node_port(31000)]);
    assert_eq!(errno(&scene.node, Transport::Tcp, "0.0.0.0:31000").as_deref(), Some("EADDRINUSE"));
    scene.shunt.remove("Service", &["web"]).expect("the Service gone");
    assert_eq!(errno(&scene.node, Transport::Tcp, "0.0.0.0:31000"), None);
}
