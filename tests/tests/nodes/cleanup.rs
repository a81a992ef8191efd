//! `shunt cleanup`

use anyhow::Result;
use lb_tests::{Inside, Node, Shunt, check, shunt_program, tcp};

use crate::scene::{Scene, web};

#[test]
fn cleanup_takes_everything_out_at_once_and_finds_nothing_the_second_time() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10").node_port(31000)]);
    let cluster_ip = tcp("10.96.0.10:80");
    let scene = scene.restart(Shunt::stop, |_, node| {
        check::dial(node, &cluster_ip);
        let said = cleanup(node).expect("a clean-up");
        check::refused(node, &cluster_ip, "ENETUNREACH");
        check::refused(node, &tcp("127.0.0.1:31000"), "ECONNREFUSED");
        assert!(said.contains("links/shunt_connect4") && said.contains("maps/FRONTENDS"), "{said}");
        let left: Vec<_> = std::fs::read_dir(node.pin_dir()).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(cleanup(node).expect("another").starts_with("nothing to clean up"));
    });
    check::dial(&scene.node, &cluster_ip);
}

#[test]
fn cleanup_leaves_an_instance_alone_that_serves() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let why = format!("{:#}", cleanup(&scene.node).expect_err("an instance serves"));
    assert!(why.contains("another instance holds the pins"), "{why}");
    check::dial(&scene.node, &tcp("10.96.0.10:80"));
}

fn cleanup(node: &Node) -> Result<String> {
    let pin_dir = node.pin_dir().display().to_string();
    node.place().run(&shunt_program()?.display().to_string(), &["cleanup", "--pin-dir", &pin_dir])
}
