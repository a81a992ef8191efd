//! Who we are to an API server, and how we know that it is one.

use std::fs;
use std::path::Path;

use lb_tests::apiserver::ApiServer;
use lb_userspace::source::kubernetes::{Access, ConnectError, connect};

use crate::followed::{Followed, options, put};

/// The files of a service account.
fn service_account(token: &str, authority: Option<&str>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("token"), token).unwrap();
    if let Some(authority) = authority {
        fs::write(dir.path().join("ca.crt"), authority).unwrap();
    }
    dir
}

fn access(server: &ApiServer, service_account: &Path) -> Access {
    Access {
        servers: vec![server.url().parse().unwrap()],
        service_account: Some(service_account.to_owned()),
        ..Access::default()
    }
}

fn kubeconfig(server: &str, authority: &Path, user: &str) -> String {
    let authority = authority.display();
    format!(
        "apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: proxy}}}}]
clusters: [{{name: here, cluster: {{server: \"{server}\", certificate-authority: {authority}}}}}]
users: [{{name: proxy, user: {user}}}]
"
    )
}

#[test]
fn the_service_account_says_who_we_are_and_whom_to_trust() {
    let server = ApiServer::start_with_tls().unwrap();
    put(&server, [1]);
    let files = service_account("first-token", server.authority());
    let mut followed = Followed::reach(access(&server, files.path()), options());
    followed.until("the first picture", |followed| followed.names() == ["web-001"]);
    for request in server.requests() {
        assert_eq!(request.authorization.as_deref(), Some("Bearer first-token"));
    }
}

#[test]
fn a_server_that_another_authority_vouches_for_is_not_talked_to() {
    let (server, other) = (ApiServer::start_with_tls().unwrap(), ApiServer::start_with_tls().unwrap());
    let files = service_account("token", other.authority());
    let mut followed = Followed::reach(access(&server, files.path()), options());
    followed.until("it is said", |followed| !followed.problems.is_empty());
    let problem = followed.problems[0].to_string();
    assert!(problem.contains("certificate"), "{problem}");
    assert_eq!(server.requests(), []);
}

#[test]
fn a_token_is_not_sent_where_everybody_can_read_it() {
    let server = ApiServer::start().unwrap();
    put(&server, [1]);
    let files = service_account("token", None);
    let mut followed = Followed::reach(access(&server, files.path()), options());
    followed.until("the first picture", |followed| followed.names() == ["web-001"]);
    assert!(server.requests().iter().all(|request| request.authorization.is_none()));
}

#[test]
fn a_kubeconfig_names_the_server_and_the_user_and_servers_named_beside_it_come_first() {
    let server = ApiServer::start_with_tls().unwrap();
    put(&server, [1]);
    let dir = service_account("", server.authority());
    let (path, authority) = (dir.path().join("kubeconfig"), dir.path().join("ca.crt"));
    for (named, servers) in
        [(server.url(), vec![]), ("https://192.0.2.1:6443".to_owned(), vec![server.url().parse().unwrap()])]
    {
        fs::write(&path, kubeconfig(&named, &authority, "{token: of-the-kubeconfig}")).unwrap();
        let access = Access { kubeconfig: Some(path.clone()), servers, ..Access::default() };
        let mut followed = Followed::reach(access, options());
        followed.until("the first picture", |followed| followed.names() == ["web-001"]);
    }
    for request in server.requests() {
        assert_eq!(request.authorization.as_deref(), Some("Bearer of-the-kubeconfig"));
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refusal = |access: Access| {
        let error = runtime.block_on(connect(&access)).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        (format!("{error}: {cause}"), error)
    };
    let absent = Access { kubeconfig: Some("/nowhere/kubeconfig".into()), ..Access::default() };
    let (text, error) = refusal(absent);
    assert!(matches!(error, ConnectError::Kubeconfig { .. }));
    assert!(text.contains("/nowhere/kubeconfig") && text.contains("No such file"), "{text}");
    for url in ["ftp://192.0.2.1", "192.0.2.1:6443", "/path"] {
        let access = Access { servers: vec![url.parse().unwrap()], ..Access::default() };
        let (text, error) = refusal(access);
        assert!(matches!(error, ConnectError::Server(_)), "{url}: {text}");
        assert!(text.contains(url) && text.contains("https://"), "{text}");
    }
}
