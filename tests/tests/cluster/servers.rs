//! Several API servers of one cluster.

use lb_tests::apiserver::{ApiServer, Fault};

use crate::followed::{Followed, options, put, remove};

/// Two servers with the same content: as with one etcd behind them, their versions are the same.
#[track_caller]
fn two() -> [ApiServer; 2] {
    let servers = [ApiServer::start().unwrap(), ApiServer::start().unwrap()];
    servers.iter().for_each(|server| put(server, 1..=3));
    servers
}

#[test]
fn the_next_server_is_asked_where_one_is_away_and_kept() {
    let [first, second] = two();
    first.leave().unwrap();
    let mut followed = Followed::start(&[&first, &second], options());
    assert_eq!(followed.problems, [], "one that answers is enough");
    first.come_back().unwrap();
    second.cut().unwrap();
    put(&second, [4]);
    followed.until("by the second", |followed| followed.names().len() == 4);
    assert_eq!(first.requests(), [], "the second still answers");
}

#[test]
fn a_watch_goes_on_at_another_server_where_it_was() {
    let [first, second] = two();
    let mut followed = Followed::start(&[&first, &second], options());
    assert_eq!(second.requests(), []);
    for server in [&first, &second] {
        put(server, [4]);
        remove(server, 1);
    }
    first.leave().unwrap();
    let names = ["web-002", "web-003", "web-004"];
    followed.until("as it is now", |followed| followed.names() == names);
    second.wait_for(|requests| requests.len() >= 4).unwrap();
    put(&second, [5]);
    followed.until("by the second", |followed| followed.names().len() == 4);
    assert!(second.requests().iter().all(|request| request.parameter("sendInitialEvents").is_none()));
    second.leave().unwrap();
    first.come_back().unwrap();
    put(&first, [5]);
    put(&first, [6]);
    followed.until("by the first again", |followed| followed.names().len() == 5);
}

#[test]
fn a_server_that_answers_and_cannot_serve_is_left() {
    for code in [500, 502, 503, 504] {
        let [first, second] = two();
        first.fail(Fault::Status(code));
        let followed = Followed::start(&[&first, &second], options());
        assert_eq!(followed.names().len(), 3);
        assert_eq!(followed.problems, []);
    }
}

#[test]
fn an_empty_list_of_one_server_is_checked_with_another() {
    let [first, second] = two();
    first.fail(Fault::Empty);
    let mut followed = Followed::begin(&[&first, &second], options());
    followed.until("the first picture", |followed| followed.names().len() == 3);
    assert!(followed.gone.is_empty());
}
