//! What is known to exist of one kind: by it, what is missing in a list is found.

use std::collections::BTreeSet;

use super::follow::News;
use super::object::{Seen, Undecodable};
use crate::model::ObjectName;

/// The names of all objects of a kind.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    names: BTreeSet<ObjectName>,
    /// The list under way.
    listing: Option<Listing>,
    /// There was a complete list.
    is_listed: bool,
    /// There was an answer, be it a refusal.
    is_answered: bool,
}

#[derive(Debug, Default)]
struct Listing {
    names: BTreeSet<ObjectName>,
    /// It had an object without a name, which may be any.
    is_torn: bool,
}

/// What news mean.
#[derive(Debug)]
pub(super) enum Taken<T> {
    /// Nothing yet.
    Nothing,
    /// An object is this now.
    Is(ObjectName, Box<T>),
    /// An object is something else now, and can't be read; `None` where not even its name can be.
    Unreadable(Option<ObjectName>, Undecodable),
    /// This object is no more.
    Gone(ObjectName),
    /// All that there are have been told; these are no more.
    Listed(Vec<ObjectName>),
    /// It can't be known how things are now.
    Failing(String),
    /// It is known how things are.
    Well,
}

impl Shelf {
    /// Takes in what was heard.
    pub(super) fn take<T>(&mut self, news: News<T>) -> Taken<T> {
        match news {
            News::Listing => {
                // What a list had that was given up is there until one lacks it.
                let given_up = self.listing.replace(Listing::default());
                self.names.extend(given_up.into_iter().flat_map(|listing| listing.names));
                Taken::Nothing
            }
            News::Is(seen) => self.put(*seen),
            News::Gone(seen) => match seen.name() {
                Some(name) => {
                    self.names.remove(&name);
                    Taken::Gone(name)
                }
                None => Taken::Nothing,
            },
            News::Listed => self.end_listing(),
            News::Failing(why) => {
                self.is_answered = true;
                Taken::Failing(why)
            }
            News::Well => Taken::Well,
            News::Absent => self.end_listing(),
        }
    }

    /// Whether there was a complete list.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Whether there was an answer, be it a refusal.
    pub(super) fn is_answered(&self) -> bool {
        self.is_answered
    }

    fn put<T>(&mut self, seen: Seen<T>) -> Taken<T> {
        let name = seen.name();
        match (&name, &mut self.listing) {
            (Some(name), Some(listing)) => _ = listing.names.insert(name.clone()),
            (Some(name), None) => _ = self.names.insert(name.clone()),
            (None, Some(listing)) => listing.is_torn = true,
            (None, None) => {}
        }
        match (seen.object, name) {
            (Ok(object), Some(name)) => Taken::Is(name, Box::new(object)),
            (Ok(_), None) => {
                let message = "there is one without a name".to_owned();
                let field = Some("metadata.name".to_owned());
                Taken::Unreadable(None, Undecodable { uid: None, field, message })
            }
            (Err(why), name) => Taken::Unreadable(name, why),
        }
    }

    fn end_listing<T>(&mut self) -> Taken<T> {
        let Listing { names, is_torn } = self.listing.take().unwrap_or_default();
        (self.is_listed, self.is_answered) = (true, true);
        if is_torn {
            self.names.extend(names);
            return Taken::Listed(vec![]);
        }
        let before = std::mem::replace(&mut self.names, names);
        Taken::Listed(before.into_iter().filter(|name| !self.names.contains(name)).collect())
    }
}
