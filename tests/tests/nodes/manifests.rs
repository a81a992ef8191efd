//! A directory of manifests that is wrong in part, and what it allocates.

use lb_tests::check::{self, address};
use lb_tests::manifest::Manifest;
use lb_tests::tcp;

use crate::scene::{Scene, labelled, web};

fn yaml(port: u16, rest: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.96.0.10
  selector:
    app: web
  ports:
    - port: {port}
      targetPort: 80
{rest}"
    )
}

/// Waits until the log names the file, and gives the line.
#[track_caller]
fn complaint(scene: &Scene, seen: usize, file: &str) -> String {
    scene.shunt.wait_for_line(seen, |line| line.contains(file)).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Three Pods as a file of a directory: the scene's own, which has none yet.
#[track_caller]
fn put_pods(scene: &Scene) {
    let seen = scene.shunt.lines_so_far();
    let pods: Vec<_> = scene.pods.iter().map(|pod| labelled(pod).to_value()).collect();
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": pods });
    scene.shunt.write("pods.json", &list.to_string()).expect("Pods written");
    scene.shunt.wait_for_line(seen, |line| line.contains("applied generation=")).expect("Pods in force");
}

#[test]
fn a_file_that_does_not_parse_leaves_what_it_said_before_in_force() {
    let scene = Scene::with_files(&[("web.yaml", &yaml(8080, ""))]);
    put_pods(&scene);
    check::dial(&scene.client, &tcp("10.96.0.10:8080"));

    let seen = scene.shunt.lines_so_far();
    scene.shunt.write("web.yaml", "apiVersion: v1\nkind: [Service\n").expect("a bad file");
    complaint(&scene, seen, "web.yaml");
    check::dial(&scene.client, &tcp("10.96.0.10:8080"));

    let seen = scene.shunt.lines_so_far();
    scene.shunt.write("web.yaml", &yaml(9090, "")).expect("a good file");
    scene.shunt.wait_for_line(seen, |line| line.contains("applied generation=")).expect("it is in force");
    check::dial(&scene.client, &tcp("10.96.0.10:9090"));
    check::refused(&scene.client, &tcp("10.96.0.10:8080"), "ECONNREFUSED");
}

#[test]
fn an_object_that_does_not_validate_is_named_with_its_field_and_the_rest_goes_on() {
    let scene = Scene::with_files(&[("web.yaml", &yaml(8080, ""))]);
    put_pods(&scene);
    let seen = scene.shunt.lines_so_far();
    let bad = yaml(8080, "      nodePort: 80\n  type: NodePort\n").replace("10.96.0.10", "10.96.0.66");
    scene.shunt.write("bad.yaml", &bad.replace("name: web", "name: bad")).expect("a bad file");
    let line = complaint(&scene, seen, "bad.yaml");
    for word in ["default/bad", "nodePort", "30000-32767"] {
        assert!(line.contains(word), "{word} is not in: {line}");
    }
    check::dial(&scene.client, &tcp("10.96.0.10:8080"));

    let seen = scene.shunt.lines_so_far();
    let more = yaml(81, "").replace("10.96.0.10", "10.96.0.11").replace("name: web", "name: more");
    scene.shunt.write("more.yaml", &more).expect("a good file");
    scene.shunt.wait_for_line(seen, |line| line.contains("applied generation=")).expect("it is in force");
    assert_eq!(check::dial(&scene.client, &tcp("10.96.0.11:81")).peer_name, Some(address("10.96.0.11:81")));
}

#[test]
fn an_allocated_address_and_node_port_serve_and_are_kept_over_a_restart() {
    let node_port = serde_json::json!("NodePort");
    let scene = Scene::serving(&[
        &web("middle").port(80).with("type", node_port.clone()),
        &web("other").port(80).with("type", node_port.clone()),
    ]);
    let before = ways_in(&scene, &["middle", "other"]);
    assert_eq!(before.len(), 4, "{before:?}");
    for (_, target) in &before {
        check::dial(&scene.node, &tcp(target));
    }
    // One whose name comes first must not push the others aside.
    scene.apply(&[&web("a-first").port(80).with("type", node_port)]);
    let scene = scene.restart(lb_tests::Shunt::stop, |_, _| {});
    assert_eq!(ways_in(&scene, &["middle", "other"]), before);
    for (_, target) in &before {
        check::dial(&scene.node, &tcp(target));
    }
}

/// Name and address of each ClusterIP, and of each NodePort on the node's first address.
#[track_caller]
fn ways_in(scene: &Scene, names: &[&str]) -> Vec<(String, String)> {
    let rows = scene.shunt.services_json().unwrap_or_else(|error| panic!("{error:#}"));
    let mut ways = Vec::new();
    for row in rows.as_array().expect("rows") {
        let name = row["name"].as_str().expect("a name");
        for way in row["frontends"].as_array().expect("frontends") {
            let target = way["address"].as_str().expect("an address");
            let is_first = way["kind"] == "cluster" || target.starts_with("192.168.49.11:");
            if names.contains(&name) && is_first {
                ways.push((name.to_owned(), target.to_owned()));
            }
        }
    }
    ways.sort();
    ways
}
