//! How often a server that fails is asked: what it does may cost it no more than a list now and then.

use std::time::{Duration, Instant};

use lb_tests::apiserver::{ApiServer, Fault};
use lb_userspace::source::kubernetes::Options;

use crate::followed::{Followed, options, put, server_with};

/// Waits as `shunt run` does.
fn unhurried() -> Options {
    Options::new("node-1")
}

/// How many requests there are while a while passes.
fn requests_in(server: &ApiServer, time: Duration) -> usize {
    let before = server.requests().len();
    std::thread::sleep(time);
    server.requests().len() - before
}

#[test]
fn streamed_lists_that_end_early_are_told_and_after_two_of_them_pages_are_asked_for() {
    let server = server_with(3);
    server.fail(Fault::ShortLists);
    let mut followed = Followed::begin(&[&server], unhurried());
    followed.until("it is said", |followed| {
        followed.problems.iter().any(|problem| problem.to_string().contains("Service objects: the list"))
    });
    followed.until("by pages", |followed| followed.names().len() == 3);
    // Of each of the four kinds two streams, a page, and the watch from there on.
    let requests = server.requests().len();
    assert!(requests <= 16, "{requests} requests");
}

#[test]
fn watches_that_fail_as_soon_as_they_have_begun_are_told_and_are_no_flood() {
    for fault in [Fault::ShortWatches, Fault::SpoiledWatches, Fault::NoWatch] {
        let server = server_with(3);
        let mut followed = Followed::start(&[&server], unhurried());
        server.fail(fault.clone());
        server.end_watches();
        let requests = requests_in(&server, Duration::from_secs(3));
        // Five waits of each of the four kinds, and a list and a watch for each.
        assert!(requests <= 60, "{fault:?}: {requests} requests in 3 s");
        followed.until("it is said", |followed| {
            followed.problems.iter().any(|problem| problem.to_string().contains("Service objects: "))
        });
        assert!(followed.gone.is_empty(), "{fault:?}");
    }
}

#[test]
fn where_watching_is_forbidden_lists_tell_what_changes() {
    let server = server_with(3);
    server.fail(Fault::NoWatch);
    let mut followed = Followed::begin(&[&server], options());
    followed.until("the first picture", |followed| followed.names().len() == 3);
    put(&server, [4]);
    server.remove("Service", "default", "web-001").unwrap();
    followed.until("as it is now", |followed| followed.names() == ["web-002", "web-003", "web-004"]);
    server.heal();
    followed.until("nothing is wrong any more", |followed| followed.problems.is_empty());
}

#[test]
fn a_server_that_ends_every_watch_at_once_is_not_flooded() {
    let server = server_with(1);
    let _followed = Followed::start(&[&server], unhurried());
    let before = server.requests().len();
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        server.end_watches();
        std::thread::sleep(Duration::from_micros(200));
    }
    let requests = server.requests().len() - before;
    assert!(requests <= 40, "{requests} requests in 2 s");
}
