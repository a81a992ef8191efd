//! What the handle and the connections share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::store::Store;

/// What the server does wrong, until it is healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this code, as in 429, 500, 503 and 401.
    Status(u16),
    /// It answers after so long.
    Slow(Duration),
    /// It never answers.
    Silent,
    /// It closes the connection in place of an answer.
    Cut,
    /// It answers 200 with what is no JSON.
    Garbage,
    /// It breaks off in the middle of what it answers.
    Truncated,
    /// Its lists are complete, and have nothing.
    Empty,
    /// Its lists are complete, and have no more than so many objects.
    Few(usize),
    /// Its streaming lists end, as a watch does, before the bookmark that would make them complete.
    ShortLists,
    /// Its streaming lists stop in the middle, and the connection stays.
    Stalled,
    /// Its watches end as soon as they have begun; of a streaming list, when it is complete.
    ShortWatches,
    /// Its watches begin with a line that is no JSON, those of a streaming list after it is complete.
    SpoiledWatches,
    /// It forbids (403) to watch, and so to list by a stream.
    NoWatch,
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// As RBAC names it: get, list, watch, create, patch, delete.
    pub verb: &'static str,
    /// The path without its query.
    pub path: String,
    /// The query, decoded, in its order.
    pub query: Vec<(String, String)>,
    /// `Authorization`
    pub authorization: Option<String>,
}

impl Request {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the server can and can't do, as servers of several versions.
#[derive(Debug, Clone)]
pub struct Features {
    /// Streaming lists (Kubernetes 1.34); without it they are refused with 422.
    pub streaming_lists: bool,
    /// ServiceCIDRs (Kubernetes 1.33); without it there is no such path.
    pub service_cidrs: bool,
    /// The largest page of a list, whatever is asked for.
    pub page: usize,
}

impl Default for Features {
    fn default() -> Self {
        Self { streaming_lists: true, service_cidrs: true, page: 500 }
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) features: Features,
    pub(super) requests: Vec<Request>,
    pub(super) fault: Option<Fault>,
    /// For how many more requests; `None` until it is healed.
    pub(super) fault_count: Option<usize>,
    /// Of which kind only, by its plural.
    pub(super) fault_of: Option<&'static str>,
    /// What it says to whoever asks for any version (`resourceVersion=0`), where that is not how it is now.
    pub(super) stale: Option<Store>,
    /// For how many more pages the server has forgotten the list that they are of.
    pub(super) forgotten_pages: usize,
    /// Lines that are sent on every watch as they are.
    pub(super) lines: Vec<String>,
    /// How many bookmarks were asked for.
    pub(super) bookmarks: usize,
    /// How many times all watches were ended.
    pub(super) ends: usize,
    /// What each watch under way has told: the version, and the bookmarks.
    pub(super) told: BTreeMap<u64, (u64, usize)>,
    pub(super) watches: u64,
}

impl State {
    /// The fault of the next request, of a kind by its plural.
    pub(super) fn take_fault(&mut self, plural: Option<&str>) -> Option<Fault> {
        let is_meant = self.fault_of.is_none() || self.fault_of == plural;
        let fault = self.fault.clone().filter(|_| is_meant)?;
        if let Some(count) = &mut self.fault_count {
            *count -= 1;
            if *count == 0 {
                self.fault = None;
            }
        }
        Some(fault)
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Counts everything that a watch may have to tell.
    ticks: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self { state: Mutex::new(state), ticks: watch::Sender::new(0) }
    }

    pub(super) fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the watches.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.read());
        self.ticks.send_modify(|ticks| *ticks += 1);
        value
    }

    pub(super) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }
}
