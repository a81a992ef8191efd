//! The API servers of a cluster as one client: one of them is used until it fails, then the next.
//!
//! All of them speak for the same etcd, so that a watch goes on at another server where it was, by its
//! resource version.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Uri};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::source::Requests;

/// How long a server may take until it begins to answer. It gives up a list by itself after a minute.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// So many requests may follow each other without a pause: a list of 100,000 objects is 200 pages.
const BURST: u32 = 200;

/// A request beyond those has to wait so long, whoever wants it: no mistake, ours or a server's, becomes a
/// flood.
const INTERVAL: Duration = Duration::from_millis(50);

/// One of the servers.
#[derive(Clone)]
pub(super) struct Server {
    /// What people know it by.
    pub(super) url: String,
    pub(super) client: Client,
}

/// A way to the API of a cluster.
#[derive(Clone)]
pub struct Cluster {
    servers: Arc<Servers>,
    client: Client,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.urls()).finish()
    }
}

impl Cluster {
    /// `servers` is not empty. Each may take so long until it begins to answer.
    pub(super) fn new(servers: Vec<Server>, namespace: String, patience: Duration) -> Self {
        let servers = Arc::new(Servers {
            all: servers,
            patience,
            current: AtomicUsize::new(0),
            free_from: Mutex::new(Instant::now()),
            troubles: Mutex::default(),
            trouble: watch::Sender::new(None),
            requests: Requests::default(),
        });
        let service = Arc::clone(&servers);
        let client =
            Client::new(tower::service_fn(move |request| Arc::clone(&service).send(request)), namespace);
        Self { servers, client }
    }

    /// A client that uses whichever server answers.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Sends what is of little weight: once, by the server in use. That it fails says nothing of the server.
    pub(super) async fn send_lightly(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        sleep_until(self.servers.turn()).await;
        let InUse(current) = self.in_use();
        let server = &self.servers.all[current % self.servers.all.len()];
        let method = request.method().clone();
        let answer = server.client.send(request).await;
        self.servers.count(server, &method, answer.as_ref().ok().map(Response::status));
        answer
    }

    /// What was asked of the servers, counted.
    pub fn requests(&self) -> Requests {
        self.servers.requests.clone()
    }

    /// The servers, in the order in which they are tried.
    pub fn urls(&self) -> Vec<&str> {
        self.servers.all.iter().map(|server| server.url.as_str()).collect()
    }

    /// Why no server answers, while none does.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.servers.trouble.subscribe()
    }

    /// The server in use.
    pub(super) fn in_use(&self) -> InUse {
        InUse(self.servers.current.load(Ordering::Relaxed))
    }

    /// What a server says can't be right: where it is in use still, the next one is from now on.
    pub(super) fn leave(&self, InUse(server): InUse) {
        self.servers.leave(server);
    }
}

/// The server that was in use at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct InUse(usize);

struct Servers {
    all: Vec<Server>,
    patience: Duration,
    current: AtomicUsize,
    /// When a request without a burst before it would have its turn.
    free_from: Mutex<Instant>,
    /// Why what is asked for at a path is not answered.
    troubles: Mutex<BTreeMap<String, String>>,
    trouble: watch::Sender<Option<String>>,
    requests: Requests,
}

impl Servers {
    /// Sends a request to the server in use, and to the others in turn where that one fails. What can't be
    /// sent twice is sent once.
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        sleep_until(self.turn()).await;
        let (parts, body) = request.into_parts();
        let (mut body, mut left) = (Some(body), self.all.len());
        loop {
            let current = self.current.load(Ordering::Relaxed) % self.all.len();
            let server = &self.all[current];
            left -= 1;
            let again = body.as_ref().and_then(Body::try_clone).filter(|_| left > 0);
            let request = Request::from_parts(parts.clone(), body.take().unwrap_or_else(Body::empty));
            let answer = match timeout(self.patience, server.client.send(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(kube::Error::Service(format!("no answer within {:?}", self.patience).into())),
            };
            self.count(server, &parts.method, answer.as_ref().ok().map(Response::status));
            let why = match &answer {
                Ok(given) if !is_of_the_server(given.status()) => {
                    self.say(parts.uri.path(), None);
                    return answer;
                }
                Ok(given) => format!("it answers {}", given.status()),
                Err(error) => describe(error),
            };
            tracing::debug!(server = server.url, "{} {}: {why}", parts.method, parts.uri.path());
            self.leave(current);
            body = again;
            if body.is_none() {
                self.say(parts.uri.path(), Some(format!("{}: {why}", server.url)));
                return answer;
            }
        }
    }

    /// Counts a request as Kubernetes' clients do; one without an answer has a word in place of a status.
    fn count(&self, server: &Server, method: &Method, status: Option<StatusCode>) {
        let code = status.map_or_else(|| "<error>".to_owned(), |status| status.as_str().to_owned());
        let host = server.url.parse::<Uri>().ok().and_then(|url| url.authority().map(ToString::to_string));
        let labels = [("code", code), ("host", host.unwrap_or_default()), ("method", method.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    fn leave(&self, server: usize) {
        let next = (server + 1) % self.all.len();
        // Where another request was faster, its choice stands.
        let _ = self.current.compare_exchange(server, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// When the next request may be sent.
    fn turn(&self) -> Instant {
        let mut free_from = self.free_from.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *free_from = (*free_from).max(now) + INTERVAL;
        (*free_from).checked_sub(INTERVAL * BURST).map_or(now, |turn| turn.max(now))
    }

    /// Notes how it is about a path, and says what there is to say about all of them.
    fn say(&self, path: &str, trouble: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => _ = troubles.insert(path.to_owned(), trouble),
            None => _ = troubles.remove(path),
        }
        let first = troubles.values().next();
        self.trouble.send_if_modified(|known| {
            let is_news = known.as_ref() != first;
            *known = first.cloned();
            is_news
        });
    }
}

/// Whether such an answer is of a server that can't serve, rather than of the request. Too many requests (429)
/// is of a server that can, and wants to be left alone.
fn is_of_the_server(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// An error in a line: the causes that it doesn't name itself are added.
pub(super) fn describe(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("it answers {} {}", status.code, status.message).trim_end().to_owned();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
