//! Events on objects: what [`crate::notice`] has to tell, posted to the API.
//!
//! An event is of little weight, and never in the way of what is:
//!
//! - **How many** is bounded, of an object and of all, however many conditions there are: see [`limit`].
//! - **One for all nodes.** What every node finds (an address that two Services claim, a bad field) has a name made
//!   from what it says, so that the first node's is there when the others come: they are told 409, and are done.
//! - **A failure** says nothing of the server for other requests. It is tried again a few times, then given up and
//!   counted.
//! - **What returns** within the hour is counted in the event that there is (`series`): all else in an event can't
//!   be changed.

mod event;
mod limit;
mod written;

use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use jiff::Timestamp;
use kube::client::Body;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use self::event::Draft;
use self::limit::Limits;
use self::written::Written;
use super::backoff::Backoff;
use super::servers::{Cluster, describe};
use crate::notice::{Fate, Fates, Notice, count};

/// So often an event is tried.
const TRIES: usize = 4;

/// The first wait between two tries, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a server may take for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts what is heard until nobody tells anything any more.
pub async fn publish(cluster: Cluster, node: String, mut heard: mpsc::Receiver<Notice>, fates: Fates) {
    let mut publisher = Publisher {
        cluster,
        node,
        began: Timestamp::now(),
        limits: Limits::default(),
        written: Written::default(),
    };
    while let Some(notice) = heard.recv().await {
        let fate = publisher.tell(notice).await;
        count(&fates, fate);
    }
}

struct Publisher {
    cluster: Cluster,
    node: String,
    /// What tells events of this node from those that it told before it was started anew.
    began: Timestamp,
    limits: Limits,
    written: Written,
}

/// Why an event was not taken.
enum Failure {
    /// It would not be taken the next time either.
    Final(StatusCode),
    /// It may be.
    Passing(String),
}

impl Publisher {
    async fn tell(&mut self, notice: Notice) -> Fate {
        let now = Instant::now();
        if !self.limits.may(&notice.about, now) {
            return Fate::Limited;
        }
        let draft = Draft::new(notice, &self.node, self.began);
        let Some(paths) = draft.paths() else { return Fate::GivenUp };
        if let Some(times) = self.written.again(&draft.name, now) {
            let series = draft.series(times, Timestamp::now()).to_string();
            match self.send(Method::PATCH, &paths.object, &series).await {
                Ok(_) => return Fate::Told,
                // It is too old, and the server has forgotten it.
                Err(Failure::Final(StatusCode::NOT_FOUND)) => self.written.forget(&draft.name),
                Err(failure) => return given_up(&draft, &failure),
            }
        }
        match self.send(Method::POST, &paths.all, &draft.event(Timestamp::now()).to_string()).await {
            Ok(_) => {
                self.written.add(draft.name, now);
                Fate::Told
            }
            Err(Failure::Final(StatusCode::CONFLICT)) => Fate::Known,
            Err(failure) => given_up(&draft, &failure),
        }
    }

    /// Sends it until it is taken, or refused for good, or was tried often enough.
    async fn send(&self, method: Method, path: &str, text: &str) -> Result<StatusCode, Failure> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut tries = 1;
        loop {
            match self.send_once(method.clone(), path, text).await {
                Err(Failure::Passing(_)) if tries < TRIES => sleep(backoff.wait()).await,
                end => return end,
            }
            tries += 1;
        }
    }

    async fn send_once(&self, method: Method, path: &str, text: &str) -> Result<StatusCode, Failure> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(Body::from(text.as_bytes().to_vec()));
        let request = request.map_err(|error| Failure::Passing(error.to_string()))?;
        let sent = async {
            let answer = self.cluster.send_lightly(request).await?;
            let status = answer.status();
            // Read to its end, so that the connection can be used again.
            answer.into_body().collect_bytes().await.map(|_| status)
        };
        match timeout(PATIENCE, sent).await {
            Err(_) => Err(Failure::Passing(format!("no answer within {PATIENCE:?}"))),
            Ok(Err(error)) => Err(Failure::Passing(describe(&error))),
            Ok(Ok(status)) if status.is_success() => Ok(status),
            Ok(Ok(status)) if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Err(Failure::Passing(format!("it answers {status}")))
            }
            Ok(Ok(status)) => Err(Failure::Final(status)),
        }
    }
}

fn given_up(draft: &Draft, failure: &Failure) -> Fate {
    let why = match failure {
        Failure::Final(StatusCode::FORBIDDEN) => "it is forbidden: see the role in deploy/".to_owned(),
        Failure::Final(status) => format!("it answers {status}"),
        Failure::Passing(why) => why.clone(),
    };
    tracing::debug!("no event on {}: {why}", draft.notice.about);
    Fate::GivenUp
}
