//! Health checks of load balancers, probes and metrics, asked for on the node and from outside.

use std::time::{Duration, Instant};

use lb_tests::Inside;

use crate::scene::{Scene, labelled, web};

const PORT: u16 = 32_100;

/// What an address answers, headers and all; nothing where nobody does.
fn ask(place: &impl Inside, address: &str) -> String {
    let url = format!("http://{address}");
    place.place().run("curl", &["-si", "--noproxy", "*", "--max-time", "20", &url]).unwrap_or_default()
}

/// Asks until the answer is as wanted: a health check follows shortly after what it is of.
#[track_caller]
fn ask_until(place: &impl Inside, address: &str, wanted: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask(place, address);
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "{address} answers {answer:?}");
    }
}

fn is(status: u16, weight: usize) -> impl Fn(&str) -> bool {
    move |answer| {
        answer.starts_with(&format!("HTTP/1.1 {status} "))
            && answer.contains(&format!("x-load-balancing-endpoint-weight: {weight}\r\n"))
    }
}

/// HCN-03, HCN-04, HCN-06
#[test]
fn a_health_check_node_port_follows_the_endpoints_of_its_service_on_this_node() {
    let service = || web("web").port(80).node_port(31_000).load_balancer_ip("203.0.113.9");
    let local = || service().external_local().with("healthCheckNodePort", PORT.into());
    let scene = Scene::serving(&[&local()]);
    let client = scene.outside("client-out");
    let address = format!("{}:{PORT}", scene.node.addresses()[0]);
    ask_until(&client, &address, is(200, 3));
    ask_until(&scene.client, &address, is(200, 3));
    scene.apply(&[&labelled(&scene.pods[0]).not_ready()]);
    ask_until(&client, &address, is(200, 2));
    scene.remove_pods(&["pod-a", "pod-b", "pod-c"]);
    let answer = ask_until(&client, &address, is(503, 0));
    assert!(answer.ends_with("\t\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": true\n}"), "{answer}");
    scene.restore_pods(&["pod-b"]);
    ask_until(&client, &address, is(200, 1));
    scene.apply(&[&service()]);
    ask_until(&client, &address, str::is_empty);
    scene.apply(&[&local()]);
    ask_until(&client, &address, is(200, 1));
}

/// HLZ-01, MTS-01
#[test]
fn a_node_says_that_it_is_well_and_what_it_has_done() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let client = scene.outside("client-out");
    let health = format!("{}:10256/healthz", scene.node.addresses()[0]);
    let answer = ask_until(&client, &health, |answer| answer.starts_with("HTTP/1.1 200 OK"));
    assert!(answer.contains("lastUpdated"), "{answer}");
    lb_tests::check::answers(&scene.client, &lb_tests::tcp("10.96.0.10:80").times(5));
    let metrics = ask(&scene.node, "127.0.0.1:10249/metrics");
    assert!(
        metrics.contains("shunt_datapath_total{became=\"served\",what=\"socket-connect\"} 5\n"),
        "{metrics}"
    );
    assert!(metrics.contains("shunt_map_capacity{map=\"FLOWS\"}"), "{metrics}");
    assert!(ask(&scene.node, "127.0.0.1:10249/proxyMode").ends_with("\r\n\r\nebpf"));
}
