//! Follows one kind of object: a list, then a watch from where the list was, and again where that breaks.
//!
//! The protocol is `kube`'s [`watcher()`]: resource versions, bookmarks, pages, streaming lists. What it leaves
//! open is decided here:
//!
//! - **When to list again.** A connection that breaks is taken up where it was. An answer that can't be
//!   understood, or an error in place of an event, may have been about a change that nobody will tell again:
//!   the kind is listed anew.
//! - **Streaming lists** (Kubernetes 1.34 on; they come from the server's cache, a page at a time never
//!   weighs on etcd) are asked for first. A server that refuses them, or never ends one, is asked for pages.
//! - **Empty lists.** There is no cluster without the Service `default/kubernetes` and its slice, so a list
//!   of none is a server's mistake, however often it says so. What was known stays, and the list is asked for
//!   again after a wait, and from another server where there is one.
//! - **Waits** between tries are [`Backoff`]'s.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::{Backoff, spread};
use super::object::{Kind, Seen};
use super::picture::Heard;
use super::servers::{Cluster, InUse, describe};

/// The first wait after a failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// After how long without a failure the next one is a first one: a watch that goes on says nothing of it.
const FORGIVEN: Duration = Duration::from_secs(60);

/// After how long a kind that a server doesn't have is asked for again: the server may be upgraded.
const ABSENT: Duration = Duration::from_secs(300);

/// How long a list that is under way may bring nothing.
const PROGRESS: Duration = Duration::from_secs(45);

/// How long one watch lasts, in seconds; less by chance, so that not all end at once.
const WATCH: Duration = Duration::from_secs(290);

/// What is heard of a kind.
#[derive(Debug)]
pub(super) enum News<T> {
    /// A list begins.
    Listing,
    /// An object of the list, or one that is new or changed.
    Is(Box<Seen<T>>),
    /// An object is no more.
    Gone(Box<Seen<T>>),
    /// The list was complete: what wasn't in it is no more.
    Listed,
    /// It can't be known how things are now; this is why. Ends with [`News::Listed`].
    Failing(String),
    /// The server has no such kind.
    Absent,
}

/// Which objects of a kind, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Following {
    /// `labelSelector`
    pub(super) labels: Option<&'static str>,
    /// `fieldSelector`
    pub(super) fields: Option<String>,
    /// After how long an empty list is asked for again.
    pub(super) ask_again_after: Duration,
}

/// The receiver is gone.
struct Unwanted;

/// Follows until the receiver is dropped.
pub(super) async fn follow<T: Kind>(
    cluster: Cluster,
    following: Following,
    heard: fn(News<T>) -> Heard,
    sender: mpsc::Sender<Heard>,
) {
    let mut follower = Follower {
        cluster,
        following,
        heard,
        sender,
        backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        stumbled: None,
        streams: true,
    };
    while follower.list_and_watch().await.is_ok() {}
}

struct Follower<T> {
    cluster: Cluster,
    following: Following,
    heard: fn(News<T>) -> Heard,
    sender: mpsc::Sender<Heard>,
    backoff: Backoff,
    /// When something failed last.
    stumbled: Option<Instant>,
    /// The server is asked for streaming lists.
    streams: bool,
}

impl<T: Kind> Follower<T> {
    /// Lists and watches until the kind is to be listed anew by another watcher.
    async fn list_and_watch(&mut self) -> Result<(), Unwanted> {
        let server = self.cluster.in_use();
        let api = Api::<Seen<T>>::all(self.cluster.client());
        let mut events = pin!(watcher(api, self.config()));
        let (mut is_listed, mut count) = (false, 0_usize);
        loop {
            match next(&mut events, is_listed).await {
                Some(Ok(Event::Init)) => {
                    (is_listed, count) = (false, 0);
                    self.tell(News::Listing).await?;
                }
                Some(Ok(Event::InitApply(object))) => {
                    count += 1;
                    self.tell(News::Is(Box::new(object))).await?;
                }
                Some(Ok(Event::InitDone)) => {
                    if count == 0 && T::IS_NEVER_EMPTY {
                        return self.disbelieve(server).await;
                    }
                    is_listed = true;
                    self.backoff.reset();
                    self.tell(News::Listed).await?;
                }
                Some(Ok(Event::Apply(object))) => {
                    self.backoff.reset();
                    self.tell(News::Is(Box::new(object))).await?;
                }
                Some(Ok(Event::Delete(object))) => {
                    self.backoff.reset();
                    self.tell(News::Gone(Box::new(object))).await?;
                }
                Some(Err(error)) => {
                    if self.stumble(&error, is_listed).await? == Next::List {
                        return Ok(());
                    }
                }
                None => return self.give_up_list(server).await,
            }
        }
    }

    fn config(&self) -> watcher::Config {
        let seconds = u32::try_from(spread(WATCH).as_secs()).unwrap_or(u32::MAX);
        let mut config = watcher::Config::default().timeout(seconds);
        config.label_selector = self.following.labels.map(str::to_owned);
        config.field_selector.clone_from(&self.following.fields);
        if self.streams { config.streaming_lists() } else { config }
    }

    /// Something failed: says so, waits, and decides how to go on.
    async fn stumble(&mut self, error: &watcher::Error, is_listed: bool) -> Result<Next, Unwanted> {
        if self.streams && !is_listed && is_refusal_of_streams(error) {
            tracing::debug!("{}: no streaming lists here, so pages: {error}", T::KIND);
            self.streams = false;
            return Ok(Next::List);
        }
        if is_absence::<T>(error) {
            self.tell(News::Absent).await?;
            self.wait(spread(ABSENT)).await?;
            return Ok(Next::List);
        }
        let next = remedy(error);
        tracing::debug!("{}: {error}; then {next:?}", T::KIND);
        if next == Next::List {
            self.tell(News::Failing(why(error))).await?;
        }
        if self.stumbled.replace(Instant::now()).is_none_or(|before| before.elapsed() > FORGIVEN) {
            self.backoff.reset();
        }
        let wait = self.backoff.wait();
        self.wait(wait).await?;
        Ok(next)
    }

    /// An empty list of what every cluster has: says so, and waits before it is asked for again.
    async fn disbelieve(&mut self, server: InUse) -> Result<(), Unwanted> {
        let why =
            "the list has none, and every cluster has some: what was known stays, until there is another";
        self.tell(News::Failing(why.to_owned())).await?;
        self.cluster.leave(server);
        self.wait(spread(self.following.ask_again_after)).await
    }

    /// A list that doesn't come to its end: the other way of listing may.
    async fn give_up_list(&mut self, server: InUse) -> Result<(), Unwanted> {
        self.streams = !self.streams;
        self.cluster.leave(server);
        self.tell(News::Failing(format!("the list brought nothing for {PROGRESS:?}"))).await
    }

    async fn tell(&self, news: News<T>) -> Result<(), Unwanted> {
        self.sender.send((self.heard)(news)).await.map_err(|_| Unwanted)
    }

    async fn wait(&self, time: Duration) -> Result<(), Unwanted> {
        tokio::select! {
            () = sleep(time) => Ok(()),
            () = self.sender.closed() => Err(Unwanted),
        }
    }
}

/// The next event; `None` where a list brings nothing. A watch may be silent, and is ended by the server or by
/// the watcher.
async fn next<E>(events: &mut (impl Stream<Item = E> + Unpin), is_listed: bool) -> Option<E> {
    if is_listed {
        return events.next().await;
    }
    timeout(PROGRESS, events.next()).await.ok().flatten()
}

/// How to go on after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Where it was: no change can have been lost.
    Resume,
    /// By a new list.
    List,
}

fn remedy(error: &watcher::Error) -> Next {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => match error {
            // Too many requests: nothing was said of the version that was asked for.
            kube::Error::Api(status) if status.code != 429 && status.code < 500 => Next::List,
            kube::Error::Api(_) | kube::Error::HyperError(_) | kube::Error::Service(_) => Next::Resume,
            _ => Next::List,
        },
        watcher::Error::WatchFailed(kube::Error::ReadEvents(_)) => Next::Resume,
        // Gone: every watch is told so that slept for too long, and the watcher lists anew by itself.
        watcher::Error::WatchError(status) if status.code == 410 => Next::Resume,
        watcher::Error::WatchFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::NoResourceVersion => Next::List,
    }
}

/// Bad Request and Unprocessable Entity: what a server says to a query that it doesn't know.
fn is_refusal_of_streams(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if [400, 422].contains(&status.code))
}

/// Not Found of a whole kind. A Service without slices, or a path that is no API, is a failure.
fn is_absence<T: Kind>(error: &watcher::Error) -> bool {
    let is_not_found = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            !T::IS_NEVER_EMPTY && is_not_found(error)
        }
        _ => false,
    }
}

fn why(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => format!("it can't be listed: {}", describe(error)),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            format!("it can't be watched: {}", describe(error))
        }
        watcher::Error::WatchError(status) => {
            format!("the watch ended: {} {}", status.code, status.message)
        }
        watcher::Error::NoResourceVersion => "what is sent has no metadata.resourceVersion".to_owned(),
    }
}
