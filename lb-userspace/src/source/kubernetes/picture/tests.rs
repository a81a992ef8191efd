use serde_json::{Value, json};

use super::*;
use crate::model::{NodeObject, World};
use crate::source::kubernetes::object::Seen;

fn service(value: &Value) -> Heard {
    Heard::Service(News::Is(Box::new(serde_json::from_value::<Seen<Service>>(value.clone()).unwrap())))
}

fn named(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]},
    })
}

/// A picture with these Services, told.
fn told(names: &[&str]) -> (Picture, World) {
    let (mut picture, mut world) = (Picture::default(), World::default());
    list(&mut picture, names);
    [Heard::Slice(News::Listing), Heard::Slice(News::Listed), Heard::Node(News::Absent)]
        .into_iter()
        .for_each(|heard| picture.hear(heard));
    take(&mut picture, &mut world);
    (picture, world)
}

fn list(picture: &mut Picture, names: &[&str]) {
    picture.hear(Heard::Service(News::Listing));
    names.iter().for_each(|name| picture.hear(service(&named(name))));
    picture.hear(Heard::Service(News::Listed));
}

fn take(picture: &mut Picture, world: &mut World) -> Option<SourceEvent> {
    let event = picture.event();
    for change in event.iter().flat_map(|event| &event.changes) {
        world.apply(change.clone());
    }
    event
}

fn names(world: &World) -> Vec<&str> {
    world.services().map(|service| service.name.name.as_str()).collect()
}

#[test]
fn syn_01_the_first_event_waits_for_both_kinds_and_a_little_for_the_node() {
    let mut picture = Picture::default();
    list(&mut picture, &["a"]);
    assert!(!picture.has_news());
    picture.hear(Heard::Slice(News::Listing));
    picture.hear(Heard::Slice(News::Listed));
    assert!(!picture.has_news() && picture.waits_for_node());
    picture.stop_waiting_for_node();
    let event = picture.event().unwrap();
    assert_eq!((event.first, event.changes.len()), (true, 1));
    picture.hear(service(&named("b")));
    assert!(!picture.event().unwrap().first, "there is one first event");
}

#[test]
fn while_a_list_is_under_way_and_when_it_is_given_up_nothing_is_gone() {
    let (mut picture, mut world) = told(&["a", "b", "c"]);
    picture.hear(Heard::Service(News::Listing));
    picture.hear(service(&named("a")));
    picture.hear(Heard::Service(News::Failing("it broke off".to_owned())));
    let event = take(&mut picture, &mut world).unwrap();
    assert_eq!((names(&world), event.problems.len()), (vec!["a", "b", "c"], 1));
    list(&mut picture, &["b", "d"]);
    let event = take(&mut picture, &mut world).unwrap();
    assert_eq!((names(&world), event.problems.len()), (vec!["b", "d"], 1), "it may fail again at once");
    picture.hear(Heard::Service(News::Well));
    assert_eq!(take(&mut picture, &mut world).unwrap().problems, []);
}

#[test]
fn what_only_a_list_had_that_was_given_up_is_gone_when_the_next_one_lacks_it() {
    let (mut picture, mut world) = told(&["a"]);
    picture.hear(Heard::Service(News::Listing));
    picture.hear(service(&named("short-lived")));
    list(&mut picture, &["a"]);
    take(&mut picture, &mut world);
    assert_eq!(names(&world), ["a"]);
}

#[test]
fn a_list_with_an_object_without_a_name_takes_nothing_away() {
    let (mut picture, mut world) = told(&["a", "b"]);
    picture.hear(Heard::Service(News::Listing));
    picture.hear(service(&json!({"metadata": {}, "spec": {}})));
    picture.hear(service(&named("b")));
    picture.hear(Heard::Service(News::Listed));
    take(&mut picture, &mut world);
    assert_eq!(names(&world), ["a", "b"]);
    list(&mut picture, &["b"]);
    take(&mut picture, &mut world);
    assert_eq!(names(&world), ["b"], "the next list is believed");
}

#[test]
fn an_object_that_cannot_be_read_is_there_as_it_was() {
    let (mut picture, mut world) = told(&["a"]);
    let before = world.clone();
    let mut wrong = named("a");
    wrong["spec"]["ports"] = json!("many");
    picture.hear(service(&wrong));
    let event = take(&mut picture, &mut world).unwrap();
    assert_eq!(event.problems[0].field.as_deref(), Some("spec.ports"));
    picture.hear(Heard::Service(News::Listing));
    picture.hear(service(&wrong));
    picture.hear(Heard::Service(News::Listed));
    take(&mut picture, &mut world);
    assert_eq!(world, before);
}

#[test]
fn of_very_many_problems_some_are_told_and_the_rest_is_counted() {
    let (mut picture, mut world) = told(&[]);
    let number = |number: usize| format!("web-{number:04}");
    for spec in ["garbage", "rubbish"] {
        for name in (0..1000).map(number) {
            picture.hear(service(&json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})));
        }
        picture.hear(Heard::Slice(News::Failing("it is away".to_owned())));
        let problems = take(&mut picture, &mut world).unwrap().problems;
        assert_eq!(problems.len(), MOST_PROBLEMS + 2, "{problems:?}");
        assert_eq!(problems.last().unwrap().message, "900 more objects can't be read");
        assert!(problems.iter().any(|problem| problem.message.contains("it is away")));
    }
    (0..990).map(number).for_each(|name| picture.hear(service(&named(&name))));
    let problems = take(&mut picture, &mut world).unwrap().problems;
    assert_eq!(problems.len(), 2);
    assert_eq!(problems.last().unwrap().message, "10 more objects can't be read");
    (990..1000).map(number).for_each(|name| picture.hear(service(&named(&name))));
    picture.hear(Heard::Slice(News::Well));
    assert_eq!(take(&mut picture, &mut world).unwrap().problems, []);
}

#[test]
fn of_several_changes_between_two_events_the_last_is_told() {
    let (mut picture, mut world) = told(&["a"]);
    let mut other = named("a");
    for port in [81, 82, 83] {
        other["spec"]["ports"][0]["port"] = json!(port);
        picture.hear(service(&other));
    }
    let event = take(&mut picture, &mut world).unwrap();
    assert_eq!(event.changes.len(), 1);
    let ports: Vec<u16> = world.services().flat_map(|service| &service.ports).map(|port| port.port).collect();
    assert_eq!(ports, [83]);
}

#[test]
fn trouble_is_a_problem_as_long_as_it_lasts() {
    let (mut picture, mut world) = told(&["a"]);
    picture.hear(Heard::Trouble(Some("https://192.0.2.1: connection refused".to_owned())));
    let event = take(&mut picture, &mut world).unwrap();
    assert_eq!(event.problems[0].to_string(), "Kubernetes API: https://192.0.2.1: connection refused");
    picture.hear(Heard::Trouble(None));
    assert_eq!(take(&mut picture, &mut world).unwrap().problems, []);
    assert!(!picture.has_news());
}

#[test]
fn hlz_04_a_node_is_told_to_leave_by_its_taint_and_is_as_it_was_when_it_is_no_more() {
    let (mut picture, mut world) = told(&["a"]);
    let node = |taint: &str| {
        let spec = json!({"taints": [{"key": taint, "effect": "NoSchedule"}]});
        let node = json!({"metadata": {"name": "n1"}, "spec": spec});
        Box::new(serde_json::from_value::<Seen<Node>>(node).unwrap())
    };
    let mut hear = |news| {
        picture.hear(Heard::Node(news));
        take(&mut picture, &mut world);
        world.node().map(|node| node.is_leaving)
    };
    assert_eq!(hear(News::Listed), None);
    assert_eq!(hear(News::Is(node("another"))), Some(false));
    assert_eq!(hear(News::Is(node(translate::TO_BE_DELETED))), Some(true));
    assert_eq!(hear(News::Gone(node("another"))), Some(true));
}

#[test]
fn cfg_dl_the_pod_cidrs_of_the_node_are_told_when_they_change_and_stay_when_it_is_gone() {
    let (mut picture, mut world) = told(&["a"]);
    let node = |cidrs: &[&str]| {
        let node = json!({"metadata": {"name": "demo"}, "spec": {"podCIDRs": cidrs}});
        Heard::Node(News::Is(Box::new(serde_json::from_value::<Seen<Node>>(node).unwrap())))
    };
    let both = ["10.244.1.0/24", "fd00:10:244:1::/64"];
    let networks = both.map(|text| text.parse::<IpNet>().unwrap());
    picture.hear(node(&both));
    let event = take(&mut picture, &mut world).unwrap();
    assert_eq!(
        event.changes,
        [Change::Node(NodeObject { pod_cidrs: networks.to_vec(), ..NodeObject::default() })]
    );
    picture.hear(node(&both));
    assert_eq!(take(&mut picture, &mut world), None);
    picture.hear(Heard::Node(News::Absent));
    assert_eq!(take(&mut picture, &mut world), None);
    assert_eq!(world.node().unwrap().pod_cidrs, networks);
}

#[test]
fn every_update_of_endpoints_says_when_it_was_made_until_they_are_gone_eps_15() {
    let (mut picture, mut world) = told(&["a"]);
    let times = ["2026-01-02T03:04:05.000000006Z", "2026-01-02T03:04:07Z"];
    for (port, time) in [(1, times[0]), (2, "yesterday"), (3, times[1])] {
        picture.hear(Heard::Slice(News::Is(slice(port, time))));
    }
    let told = take(&mut picture, &mut world).unwrap().triggers;
    assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), times);
    picture.hear(Heard::Slice(News::Is(slice(4, times[0]))));
    picture.hear(Heard::Slice(News::Gone(slice(4, times[1]))));
    assert_eq!(take(&mut picture, &mut world).unwrap().triggers, []);
}

#[test]
fn a_list_that_says_what_is_known_is_no_news_eps_15() {
    let (mut picture, mut world) = told(&["a", "b"]);
    let times = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:07Z"];
    picture.hear(Heard::Slice(News::Is(slice(80, times[0]))));
    take(&mut picture, &mut world);
    for time in times {
        list(&mut picture, &["a", "b"]);
        picture.hear(Heard::Slice(News::Listing));
        picture.hear(Heard::Slice(News::Is(slice(80, time))));
        picture.hear(Heard::Slice(News::Listed));
        assert_eq!(take(&mut picture, &mut world), None);
    }
    list(&mut picture, &["b"]);
    assert_eq!(take(&mut picture, &mut world).unwrap().changes.len(), 1);
}

/// A slice of `a`, and when it was told to change.
fn slice(port: u16, time: &str) -> Box<Seen<EndpointSlice>> {
    let metadata = json!({
        "name": "a-1", "namespace": "default",
        "labels": {translate::SERVICE_NAME: "a"}, "annotations": {translate::TRIGGER_TIME: time},
    });
    let ports = json!([{"name": "", "port": port}]);
    let slice = json!({"metadata": metadata, "addressType": "IPv4", "endpoints": [], "ports": ports});
    Box::new(serde_json::from_value(slice).unwrap())
}
