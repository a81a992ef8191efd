//! Programs of others beside ours.

use lb_tests::{Inside, Options, Others, Shunt, check, serve, shunt_program, tcp};

use super::{Edge, here};

/// All of them see what `traffic` sends.
#[track_caller]
fn see(others: &mut Others, traffic: impl FnOnce()) {
    let mut runs = || others.runs().unwrap_or_else(|error| panic!("{error:#}"));
    let before = runs();
    traffic();
    let after = runs();
    assert!(
        before.iter().zip(&after).all(|(before, after)| after >= &(before + 3)),
        "{before:?}, then {after:?}"
    );
}

#[test]
fn programs_of_others_see_what_passes_over_a_restart_and_a_cleanup() {
    let edge = Edge::serving(&[&here("local").node_port(31_001)]);
    let mut others = Others::attach(&edge.node, "eth0").unwrap_or_else(|error| panic!("{error:#}"));
    let target = format!("{}:31001", edge.node.v4());
    // A connection has three packets of its client at least, and those that ours pass on are seen behind it too.
    let dial = |client: &_| assert_eq!(check::dial(client, &tcp(&target)).greeting.pod, "here");
    see(&mut others, || dial(&edge.client));
    let Edge { shunt, servers, here, there, client, node, other, network } = edge;
    shunt.stop().expect("an end");
    see(&mut others, || dial(&client));
    let shunt = Shunt::resume(&node, &Options::default()).expect("a new instance");
    see(&mut others, || dial(&client));
    shunt.stop().expect("an end");
    let program = shunt_program().expect("shunt");
    let pin_dir = node.pin_dir();
    let cleanup = ["cleanup", "--pin-dir", pin_dir.to_str().expect("a path of text")];
    node.place().run(program.to_str().expect("a path of text"), &cleanup).expect("a clean node");
    let own = serve().http(8_088).at(&node).expect("a server");
    see(&mut others, || {
        let answer = check::dial(&client, &tcp(format!("{}:8088", node.v4())));
        assert_eq!(answer.greeting.pod, node.place().name());
    });
    drop((own, others, servers, here, there, client, node, other, network));
}
