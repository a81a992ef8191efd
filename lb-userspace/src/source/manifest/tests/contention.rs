//! More Services than numbers.

use super::*;

/// Room for as many Services of one node port as there are ports.
fn with_ports(node_ports: &str) -> Directory {
    Directory::with(config(&["10.96.0.0/24"], node_ports), Ledger::new())
}

fn any_port(name: &str) -> String {
    service(name, &["type: NodePort"])
}

#[test]
fn who_falls_back_on_a_number_keeps_it_from_whoever_wanted_it_meanwhile() {
    let mut dir = Directory::new();
    for (name, number) in [("a", 31_000), ("b", 31_001), ("c", 31_002)] {
        dir.write(&format!("{name}.yaml"), &node_port(name, number));
    }
    dir.load_well();
    // b wants c's, so it stays where it is, and a can't have what b would have left.
    dir.write("a.yaml", &node_port("a", 31_001)).write("b.yaml", &node_port("b", 31_002));
    dir.load_with(&[
        "a.yaml: Service default/a: spec.ports[0].nodePort: 31001 is already Service default/b's",
        "b.yaml: Service default/b: spec.ports[0].nodePort: 31002 is already Service default/c's",
    ]);
    for (name, number) in [("a", 31_000), ("b", 31_001), ("c", 31_002)] {
        assert_eq!(dir.node_ports(name), [number], "{name}");
    }
}

#[test]
fn a_number_is_not_refused_for_the_sake_of_one_that_cant_have_it_either() {
    let mut dir = Directory::new();
    dir.write("c.yaml", &node_port("c", 31_002)).write("d.yaml", &node_port("d", 31_001)).load_well();
    // d wants c's, so it stays, so b can't have what d would have left, so a can have what b wanted too.
    let two = [
        "type: NodePort",
        "ports: [{name: p, port: 80, nodePort: 31001}, {name: q, port: 81, nodePort: 31003}]",
    ];
    dir.write("d.yaml", &node_port("d", 31_002)).write("b.yaml", &service("b", &two));
    dir.write("b2.yaml", &node_port("a", 31_003));
    dir.load_with(&[
        "b.yaml: Service default/b: spec.ports[0].nodePort: 31001 is already Service default/d's",
        "b.yaml: Service default/b: spec.ports[1].nodePort: 31003 is already Service default/a's",
        "d.yaml: Service default/d: spec.ports[0].nodePort: 31002 is already Service default/c's",
    ]);
    assert_eq!((dir.node_ports("a"), dir.node_ports("d")), (vec![31_003], vec![31_001]));
    assert!(dir.service("b").is_none());
}

#[test]
fn what_is_said_of_a_service_that_two_keep_out_is_the_same_at_each_reading() {
    let mut dir = Directory::new();
    // At first a is kept out by the Service before it alone: the one after it has not had its turn.
    dir.write("0.yaml", &node_port("port", 31_000))
        .write("2.yaml", &service("ip", &["clusterIP: 10.96.0.9"]));
    let both = ["type: NodePort", "clusterIP: 10.96.0.9", "ports: [{port: 80, nodePort: 31000}]"];
    dir.write("1.yaml", &service("a", &both));
    let problems = [
        "1.yaml: Service default/a: spec.clusterIP: 10.96.0.9 is already Service default/ip's",
        "1.yaml: Service default/a: spec.ports[0].nodePort: 31000 is already Service default/port's",
    ];
    dir.load_with(&problems);
    assert_eq!(dir.load_with(&problems).changes, []);
}

#[test]
fn who_goes_without_a_port_leaves_its_address_to_whoever_says_it_too() {
    let mut dir = with_ports("30000-30000");
    dir.write("a.yaml", &service("z", &["type: NodePort", "clusterIP: 10.96.0.9"]));
    dir.write("b.yaml", &service("y", &["clusterIP: 10.96.0.9"])).write("c.yaml", &any_port("x"));
    dir.load_with(&["a.yaml: Service default/z: spec.clusterIP: 10.96.0.9 is already Service default/y's"]);
    assert_eq!((dir.ip("y").as_str(), dir.node_ports("x")), ("10.96.0.9", vec![30_000]));
    assert_eq!(dir.load().changes, []);
}

#[test]
fn what_is_served_stays_served_when_the_last_number_is_written_elsewhere() {
    let mut dir = with_ports("30000-30000");
    dir.write("b.yaml", &any_port("b")).load_well();
    dir.write("a.yaml", &node_port("a", 30_000));
    dir.load_with(&[
        "a.yaml: Service default/a: spec.ports: what it says is Service default/b's, and no port is left in the \
         node port range 30000-30000",
    ]);
    assert_eq!(dir.node_ports("b"), [30_000]);
    assert!(dir.service("a").is_none());
    dir.remove("b.yaml").load_well();
    assert_eq!(dir.node_ports("a"), [30_000]);
}

#[test]
fn of_too_many_the_first_by_name_are_served_and_the_others_follow_when_one_goes() {
    let mut dir = with_ports("30000-30001");
    for name in ["c", "b", "a"] {
        dir.write(&format!("{name}.yaml"), &any_port(name));
    }
    let none = |name: &str| {
        format!(
            "{name}.yaml: Service default/{name}: spec.ports: no port is left in the node port range 30000-30001"
        )
    };
    dir.load_with(&[&none("c")]);
    dir.remove("a.yaml").load_well();
    assert!(dir.service("b").is_some() && dir.service("c").is_some());
}

#[test]
fn of_three_that_say_one_address_the_next_has_it_when_the_first_goes_without_a_port() {
    let mut dir = with_ports("30000-30000");
    dir.write("0.yaml", &node_port("port", 30_000));
    let with_port = service("a", &["type: NodePort", "clusterIP: 10.96.0.9"]);
    dir.write("1.yaml", &with_port).write("2.yaml", &with_port.replace("name: a", "name: b"));
    dir.write("3.yaml", &service("c", &["clusterIP: 10.96.0.9"]));
    dir.load_with(&[
        "1.yaml: Service default/a: spec.clusterIP: 10.96.0.9 is already Service default/c's",
        "2.yaml: Service default/b: spec.clusterIP: 10.96.0.9 is already Service default/c's",
    ]);
    assert_eq!(dir.ip("c"), "10.96.0.9");
    assert_eq!(dir.write("other.yaml", "# nothing").load().changes, []);
}
