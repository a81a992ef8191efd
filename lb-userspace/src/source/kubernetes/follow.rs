//! Follows one kind of object: a list, then a watch from where the list was, and again where that breaks.
//!
//! - **When to list again.** A connection that breaks is taken up where it was. An answer that can't be
//!   understood, or an error in place of an event, may have been about a change that nobody will tell again:
//!   the kind is listed anew.
//! - **How to list.** Streaming lists (Kubernetes 1.34 on; they come from the server's cache, and a page at a
//!   time never weighs on etcd) are asked for first. A server that refuses them is asked for pages; where two
//!   lists in a row don't come to their end, the next is asked for in the other way.
//! - **How new a list is.** As new as there is: neither way names a version, and never «any»
//!   (`resourceVersion=0`), which a server whose cache is behind answers with what was.
//! - **Lists that are hard to believe.** There is no cluster without the Service `default/kubernetes` and its
//!   slice, so a list of none is a server's mistake, however often it says so. A list that has nothing any more,
//!   or fewer than half of what was known and ten objects less, may be one too (an API server on an etcd
//!   that is new, or restored in part): it is believed when the next one says the same. What was known stays
//!   meanwhile, and the next list is asked for after a while, and from another server where there is one. What a
//!   watch says to be deleted is not doubted.
//! - **Waits** between tries are [`Backoff`]'s. They begin anew when a watch has lasted as long as the longest of
//!   them; until then whatever ends counts as a failure, be it ever so clean: a server that is asked in vain, or
//!   lists and can't be watched, is asked a few times a minute. What is wrong is told until then too.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::{Backoff, spread};
use super::doubt::Known;
use super::end::{End, Unwanted};
use super::object::{Kind, MOST_OF_A_MESSAGE, Seen};
use super::picture::Heard;
use super::servers::{Cluster, InUse};
use crate::text::cut;

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// After how long a kind that a server doesn't have is asked for again: the server may be upgraded.
const ABSENT: Duration = Duration::from_secs(300);

/// How long one watch lasts; less by chance, so that not all end at once.
const WATCH: Duration = Duration::from_secs(290);

/// Objects of a page. What a page is read with is memory for as long as it takes.
const PAGE: u32 = 250;

/// After so many lists in a row that don't come to their end, lists are asked for in the other way.
const OTHER_WAY: u32 = 2;

/// What marks the end of a streaming list.
const END_OF_LIST: &str = "k8s.io/initial-events-end";

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
    /// It can't be known how things are now; this is why. Ends with [`News::Well`].
    Failing(String),
    /// It is known how things are, and has been for a while.
    Well,
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
    pub(super) times: Times,
}

/// How long is waited.
#[derive(Debug, Clone)]
pub struct Times {
    /// After how long a list that is not believed is asked for again, less a random half.
    pub ask_again: Duration,
    /// How long a list that is under way may bring nothing.
    pub progress: Duration,
    /// The longest wait between two tries, less a random half; a watch that has lasted so long has made good for
    /// the failures before it.
    pub longest_wait: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            ask_again: Duration::from_secs(10),
            progress: Duration::from_secs(45),
            longest_wait: Duration::from_secs(15),
        }
    }
}

/// What a watch brings.
type Events<T> = BoxStream<'static, kube::Result<WatchEvent<Seen<T>>>>;

/// Follows until the receiver is dropped.
pub(super) async fn follow<T: Kind>(
    cluster: Cluster,
    following: Following,
    heard: fn(News<T>) -> Heard,
    sender: mpsc::Sender<Heard>,
) {
    let backoff = Backoff::new(FIRST_WAIT, following.times.longest_wait);
    let mut follower = Follower {
        cluster,
        following,
        heard,
        sender,
        backoff,
        version: None,
        streams: true,
        in_vain: 0,
        known: Known::default(),
        failures: 0,
        is_failing: false,
    };
    while follower.go_on().await.is_ok() {}
}

struct Follower<T> {
    cluster: Cluster,
    following: Following,
    heard: fn(News<T>) -> Heard,
    sender: mpsc::Sender<Heard>,
    backoff: Backoff,
    /// Where the next watch goes on; `None` where a list comes first.
    version: Option<String>,
    /// Lists are asked for as streams.
    streams: bool,
    /// So many lists in a row didn't come to their end.
    in_vain: u32,
    known: Known,
    /// So much has ended since a watch lasted.
    failures: u32,
    /// Something was told to be wrong.
    is_failing: bool,
}

impl<T: Kind> Follower<T> {
    /// Lists where that is to be done and watches, until either ends; then waits for as long as that asks for.
    async fn go_on(&mut self) -> Result<(), Unwanted> {
        let server = self.cluster.in_use();
        let was_listing = self.version.is_none();
        let Err(end) = self.list_and_watch().await;
        tracing::debug!("{}: {end:?}", T::KIND);
        if was_listing && self.version.is_none() && end.is_of_the_list() {
            self.note_list_in_vain();
        }
        if end.is_of_the_server() {
            self.cluster.leave(server);
        }
        if end.asks_for_list() {
            self.version = None;
        }
        let wait = match end {
            End::Unwanted => return Err(Unwanted),
            End::NoStreams => {
                self.streams = false;
                return Ok(());
            }
            End::Absent => self.note_absence(server).await?,
            End::Doubted(why) => {
                self.tell_failing(why).await?;
                spread(self.following.times.ask_again)
            }
            End::Broken(why) | End::Lost(why) => {
                self.tell_failing(why).await?;
                self.next_wait()
            }
            End::Forgotten => self.next_wait(),
            End::Resumable(why) => {
                let wait = self.next_wait();
                // That no server answers at all is told elsewhere.
                if self.failures > 1 && self.cluster.trouble().borrow().is_none() {
                    self.tell_failing(why).await?;
                }
                wait
            }
        };
        self.wait(wait).await
    }

    async fn list_and_watch(&mut self) -> Result<Infallible, End> {
        if self.version.is_none() && self.streams {
            let events = self.stream().await?;
            return self.hear(events).await;
        }
        if self.version.is_none() {
            self.pages().await?;
        }
        let events = self.open(self.version.as_deref().unwrap_or_default(), false).await?;
        self.hear(events).await
    }

    /// Lists by a stream, and returns what follows the list.
    async fn stream(&mut self) -> Result<Events<T>, End> {
        let mut events = self.open("", true).await?;
        self.tell(News::Listing).await?;
        let mut count = 0;
        loop {
            match timeout(self.following.times.progress, events.next()).await {
                Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => {
                    count += 1;
                    self.tell(News::Is(Box::new(object))).await?;
                }
                Ok(Some(Ok(WatchEvent::Bookmark(mark)))) => {
                    if mark.metadata.annotations.contains_key(END_OF_LIST) {
                        self.end_list(count, Some(mark.metadata.resource_version)).await?;
                        return Ok(events);
                    }
                }
                Ok(Some(Ok(WatchEvent::Deleted(_)))) => {
                    return Err(End::Lost("the list has something that is deleted".to_owned()));
                }
                Ok(Some(Ok(WatchEvent::Error(status)))) => return Err(End::told(&status)),
                Ok(Some(Err(error))) => return Err(End::broke_off_list(&error)),
                Ok(None) => return Err(End::Broken(format!("the list ends after {count}, before its end"))),
                Err(_) => return Err(self.no_progress()),
            }
        }
    }

    /// Lists by pages.
    async fn pages(&mut self) -> Result<(), End> {
        self.tell(News::Listing).await?;
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = self.following.labels.map(str::to_owned);
        params.field_selector.clone_from(&self.following.fields);
        let mut count = 0;
        loop {
            let page = match timeout(self.following.times.progress, self.api().list(&params)).await {
                Ok(page) => page.map_err(|error| End::of_list::<T>(&error))?,
                Err(_) => return Err(self.no_progress()),
            };
            count += page.items.len();
            for object in page.items {
                self.tell(News::Is(Box::new(object))).await?;
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return self.end_list(count, page.metadata.resource_version).await;
            }
        }
    }

    /// A list came to its end, and is of this version.
    async fn end_list(&mut self, count: usize, version: Option<String>) -> Result<(), End> {
        let version = version.filter(|version| !version.is_empty()).ok_or_else(End::without_version)?;
        self.in_vain = 0;
        if count == 0 && T::IS_NEVER_EMPTY {
            let why =
                "the list has none, and every cluster has some: what was known stays, until there is another";
            return Err(End::Doubted(why.to_owned()));
        }
        self.doubt(count, || format!("the list has {count}"))?;
        self.version = Some(version);
        self.tell(News::Listed).await.map_err(End::from)
    }

    /// There are so many objects, as is said: whether that is to be believed.
    fn doubt(&mut self, count: usize, what: impl FnOnce() -> String) -> Result<(), End> {
        self.known.doubts(count).map_or(Ok(()), |known| {
            let what = what();
            let why =
                format!("{what} where {known} were known: what was known stays, until that is said again");
            Err(End::Doubted(why))
        })
    }

    /// Takes in what a watch brings until it ends.
    async fn hear(&mut self, mut events: Events<T>) -> Result<Infallible, End> {
        let (began, mut lasts) = (Instant::now(), false);
        let mut lasting = pin!(sleep(self.following.times.longest_wait));
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = &mut lasting, if !lasts => {
                    lasts = true;
                    self.make_good().await?;
                    continue;
                }
            };
            match event {
                Some(Ok(WatchEvent::Added(object))) => {
                    self.known.add();
                    self.tell_at(News::Is, object).await?;
                }
                Some(Ok(WatchEvent::Modified(object))) => self.tell_at(News::Is, object).await?,
                Some(Ok(WatchEvent::Deleted(object))) => {
                    self.known.remove();
                    self.tell_at(News::Gone, object).await?;
                }
                Some(Ok(WatchEvent::Bookmark(mark))) => {
                    let version = Some(mark.metadata.resource_version).filter(|version| !version.is_empty());
                    self.version = version.or(self.version.take());
                }
                Some(Ok(WatchEvent::Error(status))) => return Err(End::told(&status)),
                Some(Err(error)) => return Err(End::broke_off_watch(&error)),
                None => return Err(End::Resumable(format!("the watch ended after {:?}", began.elapsed()))),
            }
        }
    }

    /// An object of a watch, and where the watch is by it.
    async fn tell_at(&mut self, news: fn(Box<Seen<T>>) -> News<T>, object: Seen<T>) -> Result<(), End> {
        self.version = Some(object.version().ok_or_else(End::without_version)?.to_owned());
        self.tell(news(Box::new(object))).await.map_err(End::from)
    }

    async fn open(&self, version: &str, is_list: bool) -> Result<Events<T>, End> {
        let params = WatchParams {
            label_selector: self.following.labels.map(str::to_owned),
            field_selector: self.following.fields.clone(),
            timeout: u32::try_from(spread(WATCH).as_secs()).ok(),
            bookmarks: true,
            send_initial_events: is_list,
        };
        match self.api().watch(&params, version).await {
            Ok(events) => Ok(events.boxed()),
            Err(error) if is_list => Err(End::of_stream::<T>(&error)),
            Err(error) => Err(End::of_watch::<T>(&error)),
        }
    }

    fn api(&self) -> Api<Seen<T>> {
        Api::all(self.cluster.client())
    }

    fn no_progress(&self) -> End {
        End::Broken(format!("the list brought nothing for {:?}", self.following.times.progress))
    }

    fn note_list_in_vain(&mut self) {
        self.in_vain += 1;
        if self.in_vain >= OTHER_WAY {
            (self.streams, self.in_vain) = (!self.streams, 0);
        }
    }

    /// The server has no such kind: as good as a list of none. How long to wait.
    async fn note_absence(&mut self, server: InUse) -> Result<Duration, Unwanted> {
        match self.doubt(0, || "the server has no such kind".to_owned()) {
            Err(End::Doubted(why)) => {
                self.cluster.leave(server);
                self.tell_failing(why).await?;
                Ok(spread(self.following.times.ask_again))
            }
            _ => {
                self.tell(News::Absent).await?;
                self.make_good().await?;
                Ok(spread(ABSENT))
            }
        }
    }

    /// What failed is over.
    async fn make_good(&mut self) -> Result<(), Unwanted> {
        self.backoff.reset();
        self.failures = 0;
        if std::mem::take(&mut self.is_failing) {
            self.tell(News::Well).await?;
        }
        Ok(())
    }

    fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.wait()
    }

    async fn tell_failing(&mut self, why: String) -> Result<(), Unwanted> {
        self.is_failing = true;
        self.tell(News::Failing(cut(why, MOST_OF_A_MESSAGE))).await
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
