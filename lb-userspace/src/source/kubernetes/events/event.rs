//! An event as the API takes it (`events.k8s.io/v1`), and its name: pure.
//!
//! The limits are those of the API server's validation, `pkg/apis/core/validation/events.go`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::notice::Notice;
use crate::source::ObjectRef;

/// `reportingController`
pub(super) const CONTROLLER: &str = "shunt";

/// Bytes of `note` and of `reportingInstance`, at most.
const NOTE: usize = 1024;
const INSTANCE: usize = 128;

/// Bytes of the object's name in the event's: with the hash it is a name still.
const STEM: usize = 200;

/// Where events on objects without a namespace are.
const DEFAULT_NAMESPACE: &str = "default";

/// An event to be told.
#[derive(Debug)]
pub(super) struct Draft {
    /// `metadata.name`: another one for whatever else can't be changed in an event.
    pub(super) name: String,
    pub(super) notice: Notice,
    node: String,
}

/// Where to send it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paths {
    /// All events of the namespace.
    pub(super) all: String,
    /// This one.
    pub(super) object: String,
}

impl Draft {
    /// What a node tells, running since `began`.
    pub(super) fn new(notice: Notice, node: &str, began: Timestamp) -> Self {
        let mut hasher = DefaultHasher::new();
        let Notice { about, uid, reason, note, related } = &notice;
        (&about.kind, uid, reason.name(), note, related).hash(&mut hasher);
        if reason.is_of_this_node() {
            (node, began.as_nanosecond()).hash(&mut hasher);
        }
        let stem = cut(&about.name, STEM).trim_end_matches(['-', '.']);
        let name = format!("{stem}.{:016x}", hasher.finish());
        Self { name, notice, node: cut(node, INSTANCE).to_owned() }
    }

    /// `None` where its name can't be part of a path.
    pub(super) fn paths(&self) -> Option<Paths> {
        let is_plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
                && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        };
        let (namespace, name) = (self.namespace(), &self.name);
        (is_plain(namespace) && is_plain(name)).then(|| {
            let all = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
            Paths { object: format!("{all}/{name}"), all }
        })
    }

    /// The event, as of now.
    pub(super) fn event(&self, now: Timestamp) -> Value {
        let Notice { about, uid, reason, note, related } = &self.notice;
        let mut regarding = reference(about);
        if let Some(uid) = uid {
            regarding["uid"] = json!(uid);
        }
        let mut event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": self.name, "namespace": self.namespace() },
            "eventTime": micros(now),
            "type": if reason.is_warning() { "Warning" } else { "Normal" },
            "reason": reason.name(),
            "action": reason.action(),
            "note": shortened(note),
            "regarding": regarding,
            "reportingController": CONTROLLER,
            "reportingInstance": self.node,
        });
        if let Some(related) = related {
            event["related"] = reference(related);
        }
        event
    }

    /// A merge patch by which it was told so many times.
    pub(super) fn series(&self, times: u32, now: Timestamp) -> Value {
        json!({ "series": { "count": times, "lastObservedTime": micros(now) } })
    }

    fn namespace(&self) -> &str {
        Some(self.notice.about.namespace.as_str())
            .filter(|name| !name.is_empty())
            .unwrap_or(DEFAULT_NAMESPACE)
    }
}

fn reference(object: &ObjectRef) -> Value {
    let version = if object.kind == "EndpointSlice" { "discovery.k8s.io/v1" } else { "v1" };
    let mut reference = json!({ "apiVersion": version, "kind": object.kind, "name": object.name });
    if !object.namespace.is_empty() {
        reference["namespace"] = json!(object.namespace);
    }
    reference
}

/// A `MicroTime`.
fn micros(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// The note, with a mark where it is too long.
fn shortened(note: &str) -> String {
    const MARK: &str = "…";
    if note.len() <= NOTE { note.to_owned() } else { format!("{}{MARK}", cut(note, NOTE - MARK.len())) }
}

/// So many bytes of a text at most, whole characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectName;
    use crate::notice::Reason;

    fn draft(name: &str, reason: Reason, note: &str, node: &str) -> Draft {
        let notice = Notice::of_service(&ObjectName::new("shop", name), None, reason, note);
        Draft::new(notice, node, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_event_has_what_the_api_asks_for() {
        let uid = "00000000-0000-4000-8000-0000000000a7".parse().ok();
        let notice = Notice::of_service(&ObjectName::new("shop", "web"), uid, Reason::FieldIgnored, "a note");
        let draft = Draft::new(notice, "node-1", Timestamp::UNIX_EPOCH);
        let event = draft.event("2026-01-02T03:04:05.678901234Z".parse().unwrap());
        assert_eq!(event["eventTime"], "2026-01-02T03:04:05.678901Z");
        assert_eq!(event["regarding"]["uid"], "00000000-0000-4000-8000-0000000000a7");
        assert_eq!(event["metadata"]["namespace"], event["regarding"]["namespace"]);
        assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("FieldIgnored")));
        assert_eq!(event["reportingInstance"], "node-1");
        let event: k8s_openapi::api::events::v1::Event = serde_json::from_value(event).unwrap();
        assert_eq!(event.note.as_deref(), Some("a note"));
    }

    #[test]
    fn what_every_node_finds_has_one_name_and_what_is_of_a_node_has_its_own() {
        let name = |reason, note, node| draft("web", reason, note, node).name;
        assert_eq!(name(Reason::FieldIgnored, "a", "node-1"), name(Reason::FieldIgnored, "a", "node-2"));
        assert_ne!(name(Reason::FieldIgnored, "a", "node-1"), name(Reason::FieldIgnored, "b", "node-1"));
        assert_ne!(name(Reason::NotInForce, "a", "node-1"), name(Reason::NotInForce, "a", "node-2"));
        assert_ne!(name(Reason::FieldIgnored, "a", "node-1"), name(Reason::Unreadable, "a", "node-1"));
    }

    #[test]
    fn however_long_a_name_or_a_note_is_the_event_is_one_that_is_taken() {
        let long = format!("{}-.{}", "a".repeat(198), "b".repeat(53));
        let draft = draft(&long, Reason::FieldIgnored, &"ü".repeat(2000), &"n".repeat(253));
        assert_eq!(draft.name.len(), 198 + 17);
        let event = draft.event(Timestamp::UNIX_EPOCH);
        let length = |field: &str| event[field].as_str().unwrap().len();
        assert!((1022..=1024).contains(&length("note")));
        assert_eq!(length("reportingInstance"), 128);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_no_path() {
        for name in ["../../nodes/a", "a?b", "", "A"] {
            assert_eq!(draft(name, Reason::FieldIgnored, "", "node-1").paths(), None, "{name}");
        }
        let paths = draft("web", Reason::FieldIgnored, "", "node-1").paths().unwrap();
        assert_eq!(paths.all, "/apis/events.k8s.io/v1/namespaces/shop/events");
    }

    #[test]
    fn events_on_a_node_are_in_the_default_namespace() {
        let draft = Draft::new(Notice::of_node("n1", Reason::Starting, ""), "n1", Timestamp::UNIX_EPOCH);
        let event = draft.event(Timestamp::UNIX_EPOCH);
        assert_eq!((&event["metadata"]["namespace"], &event["type"]), (&json!("default"), &json!("Normal")));
        assert_eq!(event["regarding"].get("namespace"), None);
    }
}
