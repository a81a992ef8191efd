//! Lists that are complete and hard to believe, and servers that are behind.

use lb_tests::apiserver::{ApiServer, Fault, Features};
use serde_json::json;

use crate::followed::{Followed, options, patient, put, remove, server_with};

/// The server forgets what happened: who asks for it is to list anew.
fn forget(server: &ApiServer) {
    server.put(&[&json!({ "kind": "Node", "metadata": { "name": "node-of-no-account" } })]).unwrap();
    server.compact();
}

/// All is listed anew.
fn make_list_anew(server: &ApiServer) {
    server.leave().unwrap();
    forget(server);
    server.come_back().unwrap();
}

fn lists(server: &ApiServer) -> usize {
    let requests = server.requests();
    requests.iter().filter(|request| request.parameter("sendInitialEvents").is_some()).count()
}

fn says(followed: &Followed, what: &str) -> bool {
    followed.problems.iter().any(|problem| problem.to_string().contains(what))
}

#[test]
fn a_list_that_lacks_most_of_what_was_known_is_not_believed_the_first_time() {
    let server = server_with(30);
    let mut followed = Followed::start(&[&server], patient());
    server.fail(Fault::Few(2));
    make_list_anew(&server);
    for kind in ["Service", "EndpointSlice"] {
        let doubt = format!("{kind} objects: the list has 2 where 31 were known");
        followed.until("it is doubted", |followed| says(followed, &doubt));
    }
    server.heal();
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
    assert_eq!(followed.names().len(), 30);
    assert!(followed.gone.is_empty(), "{:?}", followed.gone);
}

#[test]
fn a_list_that_lacks_most_of_what_was_known_is_believed_the_second_time() {
    let server = server_with(30);
    let mut followed = Followed::start(&[&server], options());
    server.leave().unwrap();
    (2..=30).for_each(|number| remove(&server, number));
    server.compact();
    server.come_back().unwrap();
    followed.until("it is doubted", |followed| says(followed, "the list has 2 where 31 were known"));
    followed.until("it is believed", |followed| followed.names() == ["web-001"]);
    followed.until("so are its endpoints", |followed| followed.endpoints("web-030").is_empty());
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
}

#[test]
fn what_a_watch_says_to_be_deleted_is_believed_at_once_however_much_it_is() {
    let server = server_with(30);
    let mut followed = Followed::start(&[&server], options());
    let before = lists(&server);
    (2..=30).for_each(|number| remove(&server, number));
    followed.until("it is believed", |followed| followed.names() == ["web-001"]);
    assert_eq!((lists(&server), followed.problems.len()), (before, 0));
    // What a list is compared with is what is known now.
    make_list_anew(&server);
    put(&server, [2]);
    followed.until("by the new watch", |followed| followed.names().len() == 2);
    server.wait_for(|_| lists(&server) >= before + 4).unwrap();
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
    assert_eq!(lists(&server), before + 4, "each kind once");
}

#[test]
fn a_list_that_lacks_most_of_what_was_known_is_checked_with_another_server() {
    let servers = [ApiServer::start().unwrap(), ApiServer::start().unwrap()];
    servers.iter().for_each(|server| put(server, 1..=30));
    let [first, second] = &servers;
    let mut followed = Followed::start(&[first, second], options());
    assert_eq!(second.requests(), []);
    first.fail(Fault::Few(2));
    forget(first);
    forget(second);
    first.end_watches();
    put(second, [31]);
    followed.until("by the second", |followed| followed.names().len() == 31);
    assert!(followed.gone.is_empty(), "{:?}", followed.gone);
}

#[test]
fn cip_05_networks_stay_until_a_second_answer_says_that_there_are_none() {
    let server = server_with(1);
    let cidr =
        json!({ "kind": "ServiceCIDR", "metadata": { "name": "a" }, "spec": { "cidrs": ["10.96.0.0/16"] } });
    server.put(&[&cidr]).unwrap();
    let mut followed = Followed::start(&[&server], patient());
    let known = Some(vec!["10.96.0.0/16".to_owned()]);
    followed.until("the network", |followed| followed.service_cidrs == known);
    let have = |service_cidrs| server.set_features(Features { service_cidrs, ..Features::default() });
    have(false);
    make_list_anew(&server);
    followed.until("it is doubted", |followed| says(followed, "ServiceCIDR objects: "));
    assert_eq!(followed.service_cidrs, known);
    have(true);
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
    assert_eq!(followed.service_cidrs, known);
    have(false);
    make_list_anew(&server);
    followed.until("it is believed", |followed| followed.service_cidrs == Some(vec![]));
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
}

#[test]
fn a_server_whose_cache_is_behind_takes_nothing_away() {
    let server = server_with(3);
    let mut followed = Followed::start(&[&server], options());
    server.stand_still();
    put(&server, [4]);
    remove(&server, 1);
    let now = ["web-002", "web-003", "web-004"];
    followed.until("as it is now", |followed| followed.names() == now);
    let before = lists(&server);
    make_list_anew(&server);
    server.wait_for(|_| lists(&server) >= before + 4).unwrap();
    put(&server, [5]);
    followed.until("what is new", |followed| followed.names().contains(&"web-005".to_owned()));
    assert!(followed.gone.iter().all(|name| name.name.starts_with("web-001")), "{:?}", followed.gone);
    let any_version = |version: Option<&str>| version == Some("0");
    assert!(server.requests().iter().all(|request| !any_version(request.parameter("resourceVersion"))));
}
