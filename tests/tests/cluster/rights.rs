//! RBAC-01: the role of `deploy/` against what is asked for, in both directions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lb_tests::apiserver::{Features, Request};
use lb_tests::manifest::service;
use lb_tests::{Options, Shunt};
use serde_json::Value;

use crate::served::Scene;

/// A verb, a resource with its subresource, and a group.
type Right = (String, String, String);

/// What a request needs.
fn needed(request: &Request) -> Right {
    let mut parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let group = if parts[0] == "apis" { parts.remove(1) } else { "" };
    let mut rest = &parts[2..];
    if rest[0] == "namespaces" && rest.len() > 2 {
        rest = &rest[2..];
    }
    let resource = rest.iter().step_by(2).copied().collect::<Vec<_>>().join("/");
    (request.verb.to_owned(), resource, group.to_owned())
}

/// What a role grants.
fn granted(file: &str) -> BTreeSet<Right> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let role: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        assert!(rule.get("resourceNames").is_none() && rule.get("nonResourceURLs").is_none(), "{rule}");
        for (group, resource) in texts(rule, "apiGroups")
            .iter()
            .flat_map(|group| texts(rule, "resources").into_iter().map(move |resource| (group, resource)))
        {
            rights
                .extend(texts(rule, "verbs").into_iter().map(|verb| (verb, resource.clone(), group.clone())));
        }
    }
    rights
}

/// An event is written, and counted when what it tells returns.
fn be_told_twice(scene: &Scene) {
    let right = service("flawed").port(80).cluster_ip("10.96.4.3");
    let flawed = right.clone().external_ips(&["nonsense"]);
    let has = |verb: &str, requests: &[Request]| {
        requests.iter().filter(|request| request.verb == verb && request.path.contains("/events")).count()
    };
    let before = has("create", &scene.api.requests());
    scene.api.put(&[&flawed]).unwrap();
    scene.api.wait_for(|requests| has("create", requests) > before).unwrap();
    scene.api.put(&[&right]).unwrap();
    scene.api.put(&[&flawed]).unwrap();
    scene.api.wait_for(|requests| has("patch", requests) > 0).unwrap();
}

#[test]
fn rbac_01_the_role_grants_what_is_asked_for_and_nothing_else() {
    let scene = Scene::set();
    // Streaming lists, and pages where there are none; a server that comes and goes.
    for (streaming_lists, port) in [(true, 81), (false, 82)] {
        scene.api.set_features(Features { streaming_lists, ..Features::default() });
        let shunt = Shunt::follow(&scene.node, &Options::default(), &scene.api.url()).unwrap();
        shunt.wait_until_complete().unwrap();
        if streaming_lists {
            // The event that it begins is not to be taken for another one.
            scene.api.wait_for(|requests| requests.iter().any(|request| request.verb == "create")).unwrap();
            be_told_twice(&scene);
        }
        let seen = shunt.lines_so_far();
        scene.api.leave().unwrap();
        scene.api.put(&[&service("late").port(port).cluster_ip("10.96.4.4")]).unwrap();
        scene.api.compact();
        scene.api.come_back().unwrap();
        shunt.wait_for_line(seen, |line| line.contains("applied generation=")).unwrap();
        shunt.stop().unwrap();
    }
    let asked: BTreeSet<Right> = scene.api.requests().iter().map(needed).collect();
    for file in ["base/cluster-role.yaml", "helm/shunt/templates/cluster-role.yaml"] {
        assert_eq!(granted(file), asked, "{file}");
    }
}
