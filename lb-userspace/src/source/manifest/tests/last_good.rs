//! What is wrong stays as it was; the rest goes on.

use super::*;
use crate::model::{Change, NodeObject};

#[test]
fn a_file_that_doesnt_parse_leaves_its_services_as_they_were_and_others_go_on() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &node_port("a", 31_000)).write("b.yaml", &node_port("b", 31_001)).load_well();

    dir.write("a.yaml", "apiVersion: v1\n kind: Service\n").write("b.yaml", &node_port("b", 31_002));
    dir.load_with(&["a.yaml:2: mapping values are not allowed in this context"]);
    assert_eq!((dir.node_ports("a"), dir.node_ports("b")), (vec![31_000], vec![31_002]));

    dir.write("a.yaml", &node_port("a", 31_003)).load_well();
    assert_eq!(dir.node_ports("a"), [31_003]);
}

#[test]
fn a_field_that_doesnt_validate_is_named_and_the_object_stays_as_it_was() {
    let mut dir = Directory::new();
    let both = |a, b| format!("{}---\n{}", node_port("a", a), node_port("b", b));
    dir.write("ab.yaml", &both(31_000, 31_001)).load_well();
    dir.write("ab.yaml", &both(80, 31_002));
    dir.load_with(&[
        "ab.yaml: Service default/a: spec.ports[0].nodePort: 80 is not in the node port range 30000-32767",
    ]);
    assert_eq!((dir.node_ports("a"), dir.node_ports("b")), (vec![31_000], vec![31_002]));
}

#[test]
fn an_object_that_never_was_right_is_not_there() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &node_port("a", 80)).write("b.yaml", &node_port("b", 31_001)).load();
    assert!(dir.service("a").is_none());
    assert_eq!(dir.node_ports("b"), [31_001]);
}

#[test]
fn a_document_whose_object_cant_be_told_may_be_any_of_those_last_seen_in_its_file() {
    let mut dir = Directory::new();
    let file = format!("{}---\n{}", node_port("a", 31_000), node_port("b", 31_001));
    dir.write("ab.yaml", &file).load_well();
    let file = file.replace("metadata: {name: a}", "metadata: {nam: a}");
    dir.write("ab.yaml", &file).load_with(&["ab.yaml:1: metadata.name: is missing or no text"]);
    assert!(dir.service("a").is_some() && dir.service("b").is_some());
}

#[test]
fn an_object_gone_from_a_good_directory_is_gone() {
    let mut dir = Directory::new();
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: a}}\nstatus: {podIP: 10.244.1.1}\n";
    let file = format!("{}---\n{pod}", service("a", &["selector: {app: a}"]));
    dir.write("a.yaml", &file).write("b.yaml", &service("b", &[])).load_well();
    assert_eq!(dir.endpoints("a"), ["10.244.1.1:80"]);

    let outcome = dir.remove("a.yaml").load_well();
    let gone = ObjectName::new("default", "a");
    assert!(outcome.changes.contains(&Change::ServiceGone(gone.clone())));
    assert_eq!(outcome.changes.len(), 2, "the Service and its slice: {:?}", outcome.changes);
    assert!(dir.service("a").is_none() && dir.slices("a").is_empty());
    assert!(!dir.state.ledger().contains_key(&gone));
    assert!(dir.service("b").is_some());
}

#[test]
fn a_broken_file_elsewhere_keeps_nothing_alive_that_is_gone() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &[])).write("b.yaml", &service("b", &[])).load_well();
    dir.write("b.yaml", "{").remove("a.yaml").load();
    assert!(dir.service("a").is_none() && dir.service("b").is_some());
}

#[test]
fn an_empty_file_is_one_that_is_being_written() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &service("a", &[])).load_well();
    dir.write("a.yaml", "").load_with(&["a.yaml: is empty: delete it to take away what it held"]);
    assert!(dir.service("a").is_some());
    dir.write("a.yaml", "# nothing\n").load_well();
    assert!(dir.service("a").is_none());
}

#[test]
fn two_objects_of_one_name_leave_what_was_there_and_both_files_are_named() {
    let mut dir = Directory::new();
    dir.write("b.yaml", &node_port("a", 31_000)).load_well();
    dir.write("a.yaml", &node_port("a", 31_001));
    let problem = "b.yaml: Service default/a: metadata.name: is also in a.yaml:1";
    dir.load_with(&[problem]);
    assert_eq!(dir.node_ports("a"), [31_000], "it was there first");
    dir.load_with(&[problem]);
    assert_eq!(dir.node_ports("a"), [31_000]);

    dir.remove("b.yaml").load_well();
    assert_eq!(dir.node_ports("a"), [31_001]);
}

#[test]
fn of_two_objects_of_one_name_at_the_start_the_first_file_counts() {
    let mut dir = Directory::new();
    dir.write("b.yaml", &node_port("a", 31_000));
    dir.write("a.yaml", &format!("{}---\n{}", node_port("a", 31_001), node_port("a", 31_002)));
    dir.load_with(&[
        "a.yaml: Service default/a: metadata.name: is also in a.yaml:1",
        "b.yaml: Service default/a: metadata.name: is also in a.yaml:1",
    ]);
    assert_eq!(dir.node_ports("a"), [31_001]);
}

#[test]
fn a_service_that_says_a_number_of_another_stays_as_it_was() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &node_port("a", 31_000)).write("b.yaml", &node_port("b", 31_001)).load_well();
    dir.write("a.yaml", &node_port("a", 31_001));
    dir.load_with(&[
        "a.yaml: Service default/a: spec.ports[0].nodePort: 31001 is already Service default/b's",
    ]);
    assert_eq!((dir.node_ports("a"), dir.node_ports("b")), (vec![31_000], vec![31_001]));

    dir.write("b.yaml", &node_port("b", 31_000)).load_well();
    assert_eq!((dir.node_ports("a"), dir.node_ports("b")), (vec![31_001], vec![31_000]), "they change over");
}

#[test]
fn loading_again_changes_nothing_and_says_the_same() {
    let mut dir = Directory::new();
    dir.write("a.yaml", &node_port("a", 80)).write("b.yaml", &service("b", &["type: NodePort"]));
    dir.write("c.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: c}\n");
    let first = dir.load();
    for forced in [false, true] {
        if forced {
            dir.write("d.yaml", "# nothing");
        }
        assert_eq!(dir.load(), Outcome { changes: vec![], ..first.clone() });
    }
    assert_eq!(texts(&first.notes), ["c.yaml:1: apps/v1 Deployment is of no use here"]);
}

#[test]
fn only_the_zone_of_this_node_is_told() {
    let config = Config::new(
        Config::default().service_cidrs(),
        Config::default().node_ports(),
        Some("demo".to_owned()),
    );
    let mut dir = Directory::with(config.unwrap(), Ledger::new());
    let node = |name: &str, zone: &str| {
        format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  \
             labels: {{topology.kubernetes.io/zone: {zone}}}\n"
        )
    };
    dir.write("a.yaml", &node("demo", "z1")).write("b.yaml", &node("other", "z2"));
    assert_eq!(
        dir.load_well().changes,
        [Change::Node(NodeObject { zone: Some("z1".to_owned()), ..NodeObject::default() })]
    );
    dir.write("b.yaml", &node("other", "z3"));
    assert_eq!(dir.load_well().changes, []);
    assert_eq!(dir.remove("a.yaml").load_well().changes, [Change::Node(NodeObject::default())]);
}

#[test]
fn cfg_dl_only_the_pod_cidrs_of_this_node_are_told() {
    let config = Config::new(
        Config::default().service_cidrs(),
        Config::default().node_ports(),
        Some("demo".to_owned()),
    );
    let mut dir = Directory::with(config.unwrap(), Ledger::new());
    let node = |name: &str, cidr: &str| {
        format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n\
             spec: {{podCIDR: {cidr}, podCIDRs: [{cidr}]}}\n"
        )
    };
    dir.write("a.yaml", &node("demo", "10.244.1.0/24")).write("b.yaml", &node("other", "10.244.2.0/24"));
    let told = vec!["10.244.1.0/24".parse().unwrap()];
    assert_eq!(
        dir.load_well().changes,
        [Change::Node(NodeObject { pod_cidrs: told, ..NodeObject::default() })]
    );
    dir.write("b.yaml", &node("other", "10.244.3.0/24"));
    assert_eq!(dir.load_well().changes, []);
    assert_eq!(dir.remove("a.yaml").load_well().changes, [Change::Node(NodeObject::default())]);
}
