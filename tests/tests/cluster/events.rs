//! Events on the objects concerned.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lb_tests::apiserver::{ApiServer, Fault};
use lb_tests::manifest::{Manifest, Service, service};
use lb_tests::{Inside, Options, Shunt};
use lb_userspace::notice::Fate;
use lb_userspace::source::kubernetes;
use serde_json::Value;

use crate::followed::{Followed, options, put, server_with};
use crate::served::Scene;

/// A Service with a field that can't be used.
fn flawed(name: &str) -> Service {
    service(name).port(80).cluster_ip("10.96.2.1").external_ips(&["192.0.2.7", "nonsense"])
}

/// The same without it.
fn right(name: &str) -> Service {
    service(name).port(80).cluster_ip("10.96.2.1").external_ips(&["192.0.2.7"])
}

/// The events on an object by the kind and name.
fn events_on(server: &ApiServer, kind: &str, name: &str) -> Vec<Value> {
    let mut events = server.objects("Event").unwrap();
    events.retain(|event| event["regarding"]["kind"] == kind && event["regarding"]["name"] == name);
    events
}

/// Waits for events on an object to be as wanted.
#[track_caller]
fn wait_for_events(
    server: &ApiServer,
    kind: &str,
    name: &str,
    wanted: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let events = events_on(server, kind, name);
        if wanted(&events) {
            return events;
        }
        assert!(Instant::now() < deadline, "events on {kind} {name}: {events:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn asked(server: &ApiServer, verb: &str) -> usize {
    let requests = server.requests();
    requests.iter().filter(|request| request.verb == verb && request.path.contains("/events")).count()
}

#[test]
fn a_field_that_is_left_out_is_told_on_its_service_once_and_again_when_it_returns() {
    let server = server_with(1);
    server.put(&[&flawed("shop")]).unwrap();
    let followed = Followed::start(&[&server], options());
    followed.wait_for_notices(Fate::Told, 1);
    let [event] = &events_on(&server, "Service", "shop")[..] else { panic!("one event") };
    let services = server.objects("Service").unwrap();
    let shop = services.iter().find(|object| object["metadata"]["name"] == "shop").unwrap();
    assert_eq!(event["regarding"]["uid"], shop["metadata"]["uid"]);
    assert_eq!((&event["reason"], &event["type"]), (&Value::from("FieldIgnored"), &Value::from("Warning")));
    assert_eq!(event["note"], "left out: spec.externalIPs[1]: \"nonsense\" is not an address");
    assert_eq!(event["reportingController"], "shunt");
    assert_eq!(event["reportingInstance"], "node-1");

    // It changes, and is listed anew: the field is no news.
    server.put(&[&flawed("shop").port(81)]).unwrap();
    server.leave().unwrap();
    server.compact();
    server.put(&[&flawed("another").cluster_ip("10.96.2.2")]).unwrap();
    server.come_back().unwrap();
    wait_for_events(&server, "Service", "another", |events| events.len() == 1);
    followed.wait_for_notices(Fate::Told, 2);

    server.put(&[&right("shop")]).unwrap();
    server.put(&[&flawed("shop")]).unwrap();
    let events = wait_for_events(&server, "Service", "shop", |events| !events[0]["series"].is_null());
    assert_eq!((events.len(), &events[0]["series"]["count"]), (1, &Value::from(2)));
}

#[test]
fn an_object_that_cannot_be_read_and_a_bad_address_of_a_slice_are_told_on_them() {
    let server = server_with(1);
    let mut unreadable = right("shop").to_value();
    unreadable["spec"]["ports"] = "many".into();
    let mut slice = lb_tests::slice("web-001", "b").port("", 80).endpoint([10, 1, 0, 9], "node-1").to_value();
    slice["endpoints"][0]["addresses"][0] = "10.1.0".into();
    let _followed = Followed::start(&[&server], options());
    server.put(&[&unreadable, &slice]).unwrap();
    let events = wait_for_events(&server, "Service", "shop", |events| events.len() == 1);
    assert_eq!(events[0]["reason"], "Unreadable");
    assert!(events[0]["note"].as_str().unwrap().contains("spec.ports"), "{events:?}");
    let events = wait_for_events(&server, "EndpointSlice", "web-001-b", |events| events.len() == 1);
    assert_eq!(events[0]["regarding"]["apiVersion"], "discovery.k8s.io/v1");
    assert!(events[0]["note"].as_str().unwrap().contains("endpoints[0].addresses[0]"), "{events:?}");
}

#[test]
fn what_every_node_finds_is_one_event() {
    let server = server_with(1);
    server.put(&[&flawed("shop")]).unwrap();
    let first = Followed::start(&[&server], options());
    first.wait_for_notices(Fate::Told, 1);
    let second = kubernetes::Options { node_name: "node-2".to_owned(), ..options() };
    let second = Followed::start(&[&server], second);
    second.wait_for_notices(Fate::Known, 1);
    assert_eq!(events_on(&server, "Service", "shop").len(), 1);
}

#[test]
fn an_event_that_is_not_taken_is_tried_a_few_times_and_nothing_else_suffers() {
    let server = server_with(1);
    server.put(&[&flawed("shop")]).unwrap();
    server.fail_for("Event", Fault::Status(500));
    let mut followed = Followed::start(&[&server], options());
    put(&server, [2]);
    followed.until("Services come in meanwhile", |followed| followed.names().len() == 3);
    assert!(asked(&server, "create") < 4, "the next tries are after waits, and nothing waits for them");
    followed.wait_for_notices(Fate::GivenUp, 1);
    assert_eq!(asked(&server, "create"), 4);
    assert_eq!(followed.problems, []);
    // Who may not write events is not asked again.
    server.fail_for("Event", Fault::Status(403));
    server.put(&[&flawed("mall").cluster_ip("10.96.2.2")]).unwrap();
    followed.wait_for_notices(Fate::GivenUp, 2);
    assert_eq!(asked(&server, "create"), 5);
    server.heal();
    server.put(&[&flawed("kiosk").cluster_ip("10.96.2.3")]).unwrap();
    wait_for_events(&server, "Service", "kiosk", |events| events.len() == 1);
}

#[test]
fn a_stream_of_bad_objects_is_no_stream_of_events() {
    let server = server_with(1);
    let began = Instant::now();
    let mut followed = Followed::start(&[&server], options());
    for name in 0..1000_u16 {
        server.put(&[&flawed(&format!("shop-{name}"))]).unwrap();
    }
    put(&server, [2]);
    followed.until("all is known", |followed| followed.names().len() == 1002);
    // One event comes back in two seconds: what was let through is what may be told at once, and a few.
    let deadline = Instant::now() + Duration::from_secs(60);
    while asked(&server, "create") < 50 {
        assert!(Instant::now() < deadline, "{} events", asked(&server, "create"));
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = asked(&server, "create") as u64;
    assert!(asked <= 51 + began.elapsed().as_secs() / 2, "{asked} events in {:?}", began.elapsed());
}

/// SVC-14, EVT-01
#[test]
fn a_service_that_goes_without_its_address_is_told_who_has_it_and_the_node_that_it_is_served() {
    let scene = Scene::set();
    let shunt = scene.started();
    let claim = |name: &str| service(name).port(443).cluster_ip("10.96.3.1").external_ips(&["203.0.113.50"]);
    scene.api.put(&[&claim("elder")]).unwrap();
    scene.api.put(&[&claim("younger").cluster_ip("10.96.3.2")]).unwrap();
    let events = wait_for_events(&scene.api, "Service", "younger", |events| !events.is_empty());
    assert_eq!(events[0]["reason"], "AddressConflict");
    assert_eq!(events[0]["related"]["name"], "elder");
    assert!(events[0]["note"].as_str().unwrap().contains("203.0.113.50:443"), "{events:?}");
    assert_eq!(events_on(&scene.api, "Service", "elder").len(), 0);
    let node = scene.node.place().name();
    let starting = wait_for_events(&scene.api, "Node", node, |events| !events.is_empty());
    assert_eq!((&starting[0]["reason"], &starting[0]["type"]), (&"Starting".into(), &"Normal".into()));

    scene.api.remove("Service", "default", "elder").unwrap();
    // Of one age, the first by name has it.
    scene.api.put(&[&claim("youngest").cluster_ip("10.96.3.3")]).unwrap();
    wait_for_events(&scene.api, "Service", "youngest", |events| !events.is_empty());
    assert_eq!(events_on(&scene.api, "Service", "younger").len(), 1);
    shunt.stop().unwrap();
}

/// HCN-07
#[test]
fn a_health_check_node_port_that_is_taken_is_told_on_its_service() {
    let scene = Scene::set();
    let taken = SocketAddr::new(scene.node.v4().into(), 32_101);
    let _listener = scene.node.place().listen(taken).unwrap();
    let web = service("mall").port(80).cluster_ip("10.96.3.1").load_balancer_ip("203.0.113.9");
    let web = web.external_local().with("healthCheckNodePort", 32_101.into());
    scene.api.put(&[&web]).unwrap();
    let shunt = Shunt::follow(&scene.node, &Options::default(), &scene.api.url()).unwrap();
    let events = wait_for_events(&scene.api, "Service", "mall", |events| !events.is_empty());
    assert_eq!(events[0]["reason"], "FailedToStartServiceHealthcheck");
    assert_eq!(events[0]["action"], "Listen");
    assert!(events[0]["note"].as_str().unwrap().contains("32101"), "{events:?}");
    let services = scene.api.objects("Service").unwrap();
    let mall = services.iter().find(|object| object["metadata"]["name"] == "mall").unwrap();
    assert_eq!(events[0]["regarding"]["uid"], mall["metadata"]["uid"]);
    shunt.stop().unwrap();
}
