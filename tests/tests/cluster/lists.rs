//! How the picture comes about: streams, pages, resumption.

use std::time::{Duration, Instant};

use lb_tests::apiserver::{ApiServer, Fault, Features, Request};
use lb_tests::manifest::Manifest;
use lb_userspace::model::ObjectName;
use lb_userspace::source::kubernetes::Options;

use crate::followed::{Followed, numbered, options, put, remove, server_with};

const SERVICES: &str = "/api/v1/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

fn of<'a>(requests: &'a [Request], verb: &str, path: &str) -> Vec<&'a Request> {
    requests.iter().filter(|request| request.verb == verb && request.path == path).collect()
}

#[test]
fn syn_01_the_first_event_holds_every_service_and_every_slice() {
    for streaming_lists in [true, false] {
        let server = ApiServer::start().unwrap();
        server.set_features(Features { streaming_lists, ..Features::default() });
        put(&server, 1..=30);
        let followed = Followed::start(&[&server], options());
        assert_eq!(followed.count, 1);
        assert_eq!(followed.names().len(), 30);
        for number in 1..=30_u8 {
            assert_eq!(followed.endpoints(&format!("web-{number:03}")), [format!("10.1.0.{number}")]);
        }
        assert_eq!(followed.problems, []);
    }
}

#[test]
fn syn_01_nothing_is_said_while_one_of_both_kinds_is_not_listed() {
    let server = server_with(1);
    server.fail_for("EndpointSlice", Fault::Status(403));
    let mut followed = Followed::begin(&[&server], options());
    let event = followed.next();
    assert_eq!((event.first, event.changes.len()), (false, 0));
    assert!(event.problems.iter().any(|problem| problem.to_string().contains("EndpointSlice")), "{event:?}");
    server.heal();
    followed.until("both kinds are there", |followed| followed.names() == ["web-001"]);
    assert!(followed.gone.is_empty());
}

#[test]
fn what_is_asked_for_is_what_kube_proxy_asks_for() {
    let server = server_with(1);
    let _followed = Followed::start(&[&server], options());
    let requests = server.requests();
    let services = of(&requests, "watch", SERVICES)[0];
    assert_eq!(services.parameter("labelSelector"), Some("!service.kubernetes.io/service-proxy-name"));
    assert_eq!(services.parameter("fieldSelector"), Some("spec.clusterIP!=None"));
    assert_eq!(services.parameter("allowWatchBookmarks"), Some("true"));
    assert_eq!(services.parameter("sendInitialEvents"), Some("true"));
    assert_eq!(services.parameter("resourceVersion"), Some(""), "as new as there is, not any");
    let slices = of(&requests, "watch", SLICES)[0];
    assert_eq!(slices.parameter("labelSelector"), Some("!service.kubernetes.io/headless"));
    assert_eq!(slices.parameter("fieldSelector"), None);
    let nodes = of(&requests, "watch", "/api/v1/nodes")[0];
    assert_eq!(nodes.parameter("fieldSelector"), Some("metadata.name=node-1"));
    let allowed = [SERVICES, SLICES, "/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs"];
    for request in &requests {
        assert!(["list", "watch"].contains(&request.verb), "{request:?}");
        assert!(allowed.contains(&request.path.as_str()), "{request:?}");
    }
}

#[test]
fn a_server_without_streaming_lists_is_asked_for_pages() {
    let server = ApiServer::start().unwrap();
    server.set_features(Features { streaming_lists: false, page: 7, ..Features::default() });
    put(&server, 1..=30);
    let followed = Followed::start(&[&server], options());
    assert_eq!(followed.names().len(), 30);
    let requests = server.requests();
    let pages = of(&requests, "list", SERVICES);
    assert_eq!(pages.len(), 5, "31 Services in pages of 7");
    assert!(pages[1..].iter().all(|page| page.parameter("continue").is_some()));
    // It was asked for a stream once, and is believed.
    let streams = |request: &&Request| request.parameter("sendInitialEvents").is_some();
    assert_eq!(of(&requests, "watch", SERVICES).into_iter().filter(streams).count(), 1);
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_was() {
    let server = server_with(3);
    let mut followed = Followed::start(&[&server], options());
    server.cut().unwrap();
    put(&server, [4]);
    followed.until("the fourth", |followed| followed.names().len() == 4);
    let requests = server.requests();
    assert_eq!(of(&requests, "list", SERVICES).len(), 0);
    let last = of(&requests, "watch", SERVICES)[1];
    assert_eq!(last.parameter("sendInitialEvents"), None, "no second list");
    assert_ne!(last.parameter("resourceVersion"), Some("0"));
}

#[test]
fn bookmarks_keep_a_quiet_watch_from_being_listed_again() {
    let server = server_with(3);
    let mut followed = Followed::start(&[&server], options());
    // Versions pass that no Service has; by the bookmark the watch of Services knows of them.
    put(&server, [3, 3, 3]);
    followed.until("an endpoint elsewhere", |followed| followed.names().len() == 3);
    server.bookmark();
    server.wait_until_told().unwrap();
    server.compact();
    server.end_watches();
    put(&server, [4]);
    followed.until("the fourth", |followed| followed.names().len() == 4);
    let requests = server.requests();
    let streams = |request: &&Request| request.parameter("sendInitialEvents").is_some();
    assert_eq!(of(&requests, "watch", SERVICES).into_iter().filter(streams).count(), 1);
}

#[test]
fn what_a_server_has_forgotten_is_listed_anew_and_only_what_is_missing_goes() {
    for streaming_lists in [true, false] {
        let server = server_with(20);
        server.set_features(Features { streaming_lists, page: 7, ..Features::default() });
        let mut followed = Followed::start(&[&server], options());
        server.leave().unwrap();
        remove(&server, 5);
        put(&server, [21]);
        server.compact();
        server.come_back().unwrap();
        let expected = |followed: &Followed| {
            let names = followed.names();
            names.len() == 20
                && !names.contains(&"web-005".to_owned())
                && names.contains(&"web-021".to_owned())
        };
        followed.until("one gone, one new", expected);
        followed.until("its slice is gone too", |followed| followed.endpoints("web-005").is_empty());
        let gone: Vec<_> = followed.gone.iter().map(|name| name.name.as_str()).collect();
        assert_eq!(gone, ["web-005", "web-005-a"]);
    }
}

#[test]
fn a_list_whose_next_page_is_forgotten_begins_again() {
    let server = ApiServer::start().unwrap();
    server.set_features(Features { streaming_lists: false, page: 7, ..Features::default() });
    put(&server, 1..=30);
    server.forget_pages(2);
    let mut followed = Followed::begin(&[&server], options());
    followed.until("the first picture", |followed| followed.names().len() == 30);
    assert_eq!((followed.gone.len(), followed.problems.len()), (0, 0));
}

#[test]
fn min_sync_period_makes_many_changes_one_event() {
    let server = server_with(1);
    let period = Duration::from_millis(300);
    let mut followed = Followed::start(&[&server], Options { min_sync_period: period, ..options() });
    let began = Instant::now();
    for _ in 0..20 {
        put(&server, 1..=50);
    }
    followed
        .until("all", |followed| followed.names().len() == 50 && !followed.endpoints("web-050").is_empty());
    // The first, one at once, and one for each period that has passed.
    let most = 3 + began.elapsed().as_millis() / period.as_millis();
    assert!(followed.count as u128 <= most, "{} events for 2,000 changes", followed.count);
}

#[test]
fn an_object_is_told_as_it_is_in_the_model() {
    let server = server_with(1);
    let followed = Followed::start(&[&server], options());
    let told = followed.world.service(&ObjectName::new("default", "web-001"));
    let (service, _) = numbered(1);
    let object = serde_json::from_value(service.to_value()).unwrap();
    let mut translated = lb_userspace::source::translate::service(&object).unwrap().value;
    translated.created = told.and_then(|service| service.created);
    translated.uid = told.and_then(|service| service.uid);
    assert!(translated.created.is_some() && translated.uid.is_some());
    assert_eq!(told, Some(&translated));
}
