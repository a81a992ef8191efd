//! Watches: what happened, a line each, and what happens from then on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::answer::{BreakOff, Refusal, most, status};
use super::resource::{Resource, Target};
use super::selector::Selector;
use super::state::{Fault, Shared};
use super::store::Entry;

/// Lines are sent in parts of about so many bytes.
const PART: usize = 64 * 1024;

/// A watch that was accepted.
pub(super) struct Watch {
    shared: Arc<Shared>,
    id: u64,
    resource: Resource,
    namespace: Option<String>,
    selector: Selector,
    /// What happened up to this version was told.
    version: u64,
    /// Lines to begin with.
    first: Vec<String>,
    /// How many of the lines and bookmarks that are sent on every watch were.
    lines: usize,
    bookmarks: usize,
    /// How many times all watches were ended before this one began.
    ends_before: usize,
    wants_bookmarks: bool,
    ends: Option<Instant>,
    /// What it begins with is sent in half. Then it ends, or where it stalls, is silent.
    breaks_off: bool,
    stalls: bool,
    /// It began with what the server had before, and tells nothing newer as long as the server doesn't.
    is_stale: bool,
}

impl Watch {
    /// Whether the query can be followed, and from where.
    pub(super) fn new(
        shared: &Arc<Shared>,
        target: &Target,
        selector: Selector,
        query: &BTreeMap<String, String>,
        fault: Option<Fault>,
    ) -> Result<Self, Refusal> {
        let parameter = |name| query.get(name).map(String::as_str);
        let is_set = |name| parameter(name) == Some("true");
        let mut state = shared.read();
        let now = state.store.version();
        let version: u64 = match parameter("resourceVersion").filter(|text| !text.is_empty()) {
            Some(text) => text.parse().map_err(|_| Refusal(400, format!("Invalid value: {text:?}")))?,
            None => 0,
        };
        let streams_list = is_set("sendInitialEvents");
        let stalls = streams_list && fault == Some(Fault::Stalled);
        if streams_list && !state.features.streaming_lists {
            let message = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch";
            return Err(Refusal(422, message.to_owned()));
        }
        if streams_list && parameter("resourceVersionMatch") != Some("NotOlderThan") {
            let message = "resourceVersionMatch: Forbidden: sendInitialEvents requires NotOlderThan";
            return Err(Refusal(422, message.to_owned()));
        }
        if version > now {
            return Err(Refusal(504, format!("Too large resource version: {version}, current: {now}")));
        }
        state.watches += 1;
        let mut watch = Self {
            shared: Arc::clone(shared),
            id: state.watches,
            resource: target.resource,
            namespace: target.namespace.clone(),
            selector,
            version,
            first: Vec::new(),
            lines: state.lines.len(),
            bookmarks: state.bookmarks,
            ends_before: state.ends,
            wants_bookmarks: is_set("allowWatchBookmarks"),
            ends: parameter("timeoutSeconds")
                .and_then(|text| text.parse().ok())
                .map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            breaks_off: stalls || fault == Some(Fault::Truncated),
            stalls,
            is_stale: parameter("resourceVersion") == Some("0") && state.stale.is_some(),
        };
        if version == 0 || streams_list {
            let store = state.stale.as_ref().filter(|_| watch.is_stale).unwrap_or(&state.store);
            let mut objects = store.all(watch.resource, watch.namespace.as_deref());
            objects.retain(|object| watch.selector.selects(object));
            objects.truncate(most(fault.as_ref()));
            watch.first = objects.iter().map(|object| line("ADDED", object)).collect();
            watch.version = store.version();
        } else if !state.store.remembers(version) {
            let gone = Refusal(410, format!("too old resource version: {version} ({now})"));
            watch.first = vec![line("ERROR", &status(&gone))];
            watch.ends = Some(Instant::now());
        }
        if streams_list && fault != Some(Fault::ShortLists) {
            watch.first.push(watch.bookmark(&json!({ "k8s.io/initial-events-end": "true" })));
        }
        match fault {
            Some(Fault::SpoiledWatches) => watch.first.push("no JSON\n".to_owned()),
            Some(Fault::ShortLists) if streams_list => watch.ends = Some(Instant::now()),
            Some(Fault::ShortWatches) => watch.ends = Some(Instant::now()),
            _ => {}
        }
        state.told.insert(watch.id, (version.min(watch.version), watch.bookmarks));
        Ok(watch)
    }

    /// Sends until the time is over, or nobody reads.
    pub(super) async fn run(mut self, sender: mpsc::Sender<Result<Bytes, BreakOff>>) {
        let mut ticks = self.shared.ticks();
        let first = std::mem::take(&mut self.first);
        if self.breaks_off {
            let text = first.concat();
            let _ = sender.send(Ok(Bytes::from(text[..text.len() / 2].to_owned()))).await;
            if self.stalls {
                return sender.closed().await;
            }
            let _ = sender.send(Err(BreakOff)).await;
            return;
        }
        let mut lines = first;
        loop {
            for part in parts(&lines) {
                if sender.send(Ok(part)).await.is_err() {
                    return;
                }
            }
            if self.ends.is_some_and(|ends| ends <= Instant::now()) {
                return;
            }
            ticks.mark_unchanged();
            lines = self.news();
            if !lines.is_empty() {
                continue;
            }
            if self.is_over() {
                return;
            }
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                () = sleep_until(self.ends.unwrap_or(far)) => {}
                () = sender.closed() => return,
                changed = ticks.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Notes what was told; whether all watches were ended since this one began.
    fn is_over(&self) -> bool {
        let mut state = self.shared.read();
        state.told.insert(self.id, (self.version, self.bookmarks));
        state.ends > self.ends_before
    }

    /// What happened since the last time.
    fn news(&mut self) -> Vec<String> {
        let shared = Arc::clone(&self.shared);
        let state = shared.read();
        if self.is_stale && state.stale.is_some() {
            return Vec::new();
        }
        if !state.store.remembers(self.version) {
            self.ends = Some(Instant::now());
            let gone = Refusal(410, format!("too old resource version: {}", self.version));
            return vec![line("ERROR", &status(&gone))];
        }
        let entries = state.store.since(self.version, self.resource);
        let mut lines: Vec<String> = entries.iter().filter_map(|entry| self.event(entry)).collect();
        self.version = state.store.version();
        lines.extend(state.lines[self.lines..].iter().map(|line| format!("{line}\n")));
        self.lines = state.lines.len();
        if self.wants_bookmarks && self.bookmarks < state.bookmarks {
            lines.push(self.bookmark(&json!({})));
        }
        self.bookmarks = state.bookmarks;
        lines
    }

    /// What an entry is to whoever sees only what is selected.
    fn event(&self, entry: &Entry) -> Option<String> {
        let is_here = self.namespace.as_ref().is_none_or(|namespace| *namespace == entry.key.1);
        let seen = |object: &Option<Arc<Value>>| {
            object.as_ref().is_some_and(|object| is_here && self.selector.selects(object))
        };
        match (seen(&entry.before), &entry.after) {
            (false, Some(after)) if seen(&entry.after) => Some(line("ADDED", after)),
            (true, Some(after)) if seen(&entry.after) => Some(line("MODIFIED", after)),
            (true, _) => {
                // As it was last selected, with the version at which it no longer was.
                let mut object = (**entry.before.as_ref()?).clone();
                object["metadata"]["resourceVersion"] = json!(entry.version.to_string());
                Some(line("DELETED", &object))
            }
            (false, _) => None,
        }
    }

    fn bookmark(&self, annotations: &Value) -> String {
        let metadata = json!({ "resourceVersion": self.version.to_string(), "annotations": annotations });
        let Resource { kind, api_version, .. } = self.resource;
        line("BOOKMARK", &json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.read().told.remove(&self.id);
    }
}

fn line(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn parts(lines: &[String]) -> Vec<Bytes> {
    let mut parts = vec![String::new()];
    for line in lines {
        match parts.last_mut() {
            Some(part) if part.len() < PART => part.push_str(line),
            _ => parts.push(line.clone()),
        }
    }
    parts.into_iter().filter(|part| !part.is_empty()).map(Bytes::from).collect()
}
