//! An API server that fails: nothing that is there is ever said to be gone.

use std::time::Duration;

use lb_tests::apiserver::{ApiServer, Fault, Features};
use lb_userspace::source::kubernetes::{Access, Options, Times};

use crate::followed::{Followed, options, patient, put, remove, server_with};

/// Follows ten Services. Then the server is away, one goes and one comes, it forgets that, and when it is
/// there again, it fails so for a while.
#[track_caller]
fn survive(fault: &Fault, features: Features) {
    let server = ApiServer::start().unwrap();
    server.set_features(features);
    put(&server, 1..=10);
    let mut followed = Followed::start(&[&server], options());
    server.leave().unwrap();
    remove(&server, 5);
    put(&server, [11]);
    server.compact();
    // Each of the four kinds asks where it was, and then for a list.
    server.fail_times(8, fault.clone());
    let before = server.requests().len();
    server.come_back().unwrap();
    server.wait_for(|requests| requests.len() >= before + 8).unwrap();
    followed.until("as it is now", |followed| {
        let names = followed.names();
        names.len() == 10
            && names.contains(&"web-011".to_owned())
            && followed.endpoints("web-011") == ["10.1.0.11"]
            && followed.endpoints("web-005").is_empty()
    });
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
    let gone: Vec<_> = followed.gone.iter().map(|name| name.name.as_str()).collect();
    assert_eq!(gone, ["web-005", "web-005-a"], "{fault:?}");
}

#[track_caller]
fn survive_both_ways(fault: &Fault) {
    survive(fault, Features::default());
    survive(fault, Features { streaming_lists: false, page: 4, ..Features::default() });
}

#[test]
fn errors_of_the_server_are_survived() {
    for code in [401, 403, 429, 500, 503, 504] {
        survive(&Fault::Status(code), Features::default());
    }
    survive(&Fault::Status(503), Features { streaming_lists: false, ..Features::default() });
}

#[test]
fn slowness_is_survived() {
    survive_both_ways(&Fault::Slow(Duration::from_millis(300)));
}

#[test]
fn connections_that_are_cut_are_survived() {
    survive_both_ways(&Fault::Cut);
}

#[test]
fn garbage_is_survived() {
    survive_both_ways(&Fault::Garbage);
}

#[test]
fn lists_that_break_off_are_survived() {
    survive_both_ways(&Fault::Truncated);
}

#[test]
fn lists_that_are_empty_by_mistake_are_survived() {
    let server = server_with(10);
    let mut followed = Followed::start(&[&server], patient());
    for streaming_lists in [true, false] {
        server.set_features(Features { streaming_lists, ..Features::default() });
        server.fail(Fault::Empty);
        server.leave().unwrap();
        put(&server, [1]);
        server.compact();
        server.come_back().unwrap();
        followed.until("both are disbelieved", |followed| {
            ["Service objects: the list has none", "EndpointSlice objects: the list has none"]
                .iter()
                .all(|what| followed.problems.iter().any(|problem| problem.message.starts_with(what)))
        });
        server.heal();
        put(&server, [11]);
        followed.until("nothing is wrong", |followed| {
            followed.names().len() == 11 && followed.problems.is_empty()
        });
        remove(&server, 11);
        followed.until("it follows", |followed| {
            followed.names().len() == 10 && followed.endpoints("web-011").is_empty()
        });
        let gone: Vec<_> = followed.gone.iter().map(|name| name.name.as_str()).collect();
        assert_eq!(gone, ["web-011", "web-011-a"]);
    }
}

#[test]
fn a_list_that_stays_empty_is_never_believed() {
    let server = server_with(3);
    let mut followed = Followed::start(&[&server], options());
    server.fail(Fault::Empty);
    server.leave().unwrap();
    put(&server, [1]);
    server.compact();
    server.come_back().unwrap();
    followed.until("it is said", |followed| !followed.problems.is_empty());
    // Each of the two kinds is listed by one request at a time, and is listed again and again.
    let before = server.requests().len();
    server.wait_for(|requests| requests.len() >= before + 20).unwrap();
    server.heal();
    followed.until("nothing is wrong", |followed| followed.problems.is_empty());
    assert_eq!(followed.names().len(), 3);
    assert!(followed.gone.is_empty(), "{:?}", followed.gone);
}

#[test]
fn an_empty_first_list_is_not_believed_for_the_kernel_may_serve_from_before() {
    let server = server_with(3);
    server.fail_times(20, Fault::Empty);
    let mut followed = Followed::begin(&[&server], options());
    followed.until("the first picture", |followed| !followed.names().is_empty());
    assert_eq!(followed.names().len(), 3);
}

#[test]
fn a_server_that_is_away_for_long_is_found_again_and_said_to_be_away() {
    let server = server_with(3);
    let mut followed = Followed::start(&[&server], options());
    server.leave().unwrap();
    followed.until("it is said", |followed| !followed.problems.is_empty());
    let problem = followed.problems[0].to_string();
    assert!(problem.contains(&server.url()) && problem.contains("refused"), "{problem}");
    put(&server, [4]);
    remove(&server, 1);
    server.come_back().unwrap();
    followed.until("as it is now", |followed| followed.names() == ["web-002", "web-003", "web-004"]);
    followed.until("nothing is wrong", |followed| followed.problems.is_empty());
}

#[test]
fn a_server_that_is_away_at_first_is_waited_for() {
    let server = server_with(3);
    server.leave().unwrap();
    let mut followed = Followed::begin(&[&server], options());
    let event = followed.next();
    assert_eq!((event.first, event.changes.len(), event.problems.len()), (false, 0, 1));
    server.come_back().unwrap();
    followed.until("the first picture", |followed| followed.names().len() == 3);
}

#[test]
fn a_server_that_accepts_and_never_answers_is_left_for_another() {
    let servers = [server_with(3), server_with(3)];
    let [silent, other] = &servers;
    silent.fail(Fault::Silent);
    let mut followed = Followed::reach(impatient(&[silent, other]), options());
    followed.until("the first picture", |followed| followed.names().len() == 3);
    assert_eq!(followed.problems, [], "one that answers is enough");
}

#[test]
fn a_server_that_accepts_and_never_answers_is_said_to_and_asked_again() {
    let server = server_with(3);
    server.fail(Fault::Silent);
    let mut followed = Followed::reach(impatient(&[&server]), options());
    followed.until("it is said", |followed| {
        followed.problems.iter().any(|problem| problem.to_string().contains("no answer within"))
    });
    server.heal();
    followed.until("the first picture", |followed| followed.names().len() == 3);
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
}

#[test]
fn lists_that_stop_in_the_middle_are_given_up_and_asked_for_in_the_other_way() {
    let server = server_with(3);
    server.fail(Fault::Stalled);
    let times = Times { progress: Duration::from_millis(300), ..options().times };
    let mut followed = Followed::begin(&[&server], Options { times, ..options() });
    followed.until("it is said", |followed| {
        followed.problems.iter().any(|problem| problem.to_string().contains("brought nothing"))
    });
    followed.until("by pages", |followed| followed.names().len() == 3);
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
}

/// Servers of which none is given long to answer.
fn impatient(servers: &[&ApiServer]) -> Access {
    let servers = servers.iter().map(|server| server.url().parse().unwrap()).collect();
    Access { servers, patience: Some(Duration::from_millis(300)), ..Access::default() }
}

#[test]
fn a_line_of_garbage_in_a_watch_loses_no_change() {
    let server = server_with(3);
    let mut followed = Followed::start(&[&server], options());
    for line in [
        "not json at all",
        "{\"type\":\"MODIFIED\",\"object\":[]}",
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"message\":\"etcd\"}}",
    ] {
        let lists = |server: &ApiServer| {
            let requests = server.requests();
            requests.iter().filter(|request| request.parameter("sendInitialEvents").is_some()).count()
        };
        let before = lists(&server);
        server.say(line);
        server.wait_for(|_| lists(&server) >= before + 4).unwrap();
    }
    put(&server, [4]);
    remove(&server, 1);
    followed.until("as it is now", |followed| followed.names() == ["web-002", "web-003", "web-004"]);
    followed.until("nothing is wrong", |followed| followed.problems.is_empty());
    assert!(followed.gone.iter().all(|name| name.name.starts_with("web-001")), "{:?}", followed.gone);
}
