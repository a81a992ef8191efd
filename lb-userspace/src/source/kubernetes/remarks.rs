//! What of an object is not in force as it is written: told to its owner and to the log, once, and again when it
//! is another or has returned.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::notice::{Notice, Notices, Reason};
use crate::source::translate::{Ignored, Skipped};
use crate::source::{ObjectRef, Problem};

/// Bytes of a note above which no further field is added to it.
const ENOUGH: usize = 1024;

/// The remarks that hold now.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    notices: Notices,
    /// By object: a hash of what was said.
    said: BTreeMap<ObjectRef, u64>,
}

impl Remarks {
    pub(super) fn new(notices: Notices) -> Self {
        Self { notices, ..Self::default() }
    }

    /// These fields of an object are left out now; with none of them, what was said has ended.
    pub(super) fn on_fields(&mut self, about: ObjectRef, uid: Option<&str>, ignored: &[Ignored]) {
        if !self.is_news(&about, ignored) {
            return;
        }
        let mut note = String::new();
        for Ignored { field, message } in ignored {
            tracing::warn!("{about}: {field}: {message}; it is left out");
            if note.len() < ENOUGH {
                note.push_str(if note.is_empty() { "left out: " } else { "; " });
                note.push_str(&format!("{field}: {message}"));
            }
        }
        if !note.is_empty() {
            self.tell(about, uid, Reason::FieldIgnored, note);
        }
    }

    /// An object is not served.
    pub(super) fn on_skipped(&mut self, about: ObjectRef, why: &Skipped) {
        let why = Some(why).filter(|why| why.is_surprising()).map(ToString::to_string);
        if self.is_news(&about, why.as_slice())
            && let Some(why) = why
        {
            tracing::warn!("{about} is not served: {why}");
        }
    }

    /// An object can't be read: the problem is new.
    pub(super) fn on_unreadable(&self, about: ObjectRef, uid: Option<&str>, problem: &Problem) {
        let field = problem.field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
        let note = format!("it can't be read, and stays as it was: {field}{}", problem.message);
        self.tell(about, uid, Reason::Unreadable, note);
    }

    /// There is no such object any more.
    pub(super) fn end(&mut self, about: &ObjectRef) {
        self.said.remove(about);
    }

    /// Notes what there is to say of an object; whether it is something, and other than what was said.
    fn is_news<T: Hash>(&mut self, about: &ObjectRef, remarks: &[T]) -> bool {
        if remarks.is_empty() {
            self.said.remove(about);
            return false;
        }
        let mut hasher = DefaultHasher::new();
        remarks.hash(&mut hasher);
        self.said.insert(about.clone(), hasher.finish()) != Some(hasher.finish())
    }

    fn tell(&self, about: ObjectRef, uid: Option<&str>, reason: Reason, note: String) {
        self.notices.tell(Notice { about, uid: uid.map(str::to_owned), reason, note, related: None });
    }
}
