//! What is known of a cluster, and what of it is still to be told: news in, [`SourceEvent`]s out.
//!
//! No I/O, no clock. Invariants:
//!
//! - nothing is told before both Services and EndpointSlices were listed once (SYN-01);
//! - an object is told to be gone only when the server said so of it, or when it is missing in a list that
//!   was complete and in which every object had a name;
//! - an object that can't be read stays as it was when it last could, and is a problem;
//! - of several changes of an object between two events the last one is told, and of what says again what is
//!   known, as most of a new list does, nothing (EPS-15).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::follow::News;
use super::object::Kind;
use super::remarks::Remarks;
use super::shared::Shared;
use super::shelf::{Shelf, Taken};
use crate::model::{self, Change, ObjectName};
use crate::notice::Notices;
use crate::source::translate::{self, Skipped, Translation};
use crate::source::{ObjectRef, Problem, SourceEvent};

/// What problems of the API as a whole are filed under.
const API: &str = "Kubernetes API";

/// So many problems of objects are told one by one.
const MOST_PROBLEMS: usize = 100;

/// So many updates of a slice have their times told in one event.
const MOST_TRIGGERS: usize = 16;

/// Something heard.
#[derive(Debug)]
pub(super) enum Heard {
    Service(News<Service>),
    Slice(News<EndpointSlice>),
    Node(News<Node>),
    Cidr(News<ServiceCIDR>),
    /// Why no server answers; `None` when one does again.
    Trouble(Option<String>),
}

/// What a change is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    Service(ObjectName),
    Slice(ObjectName),
    Node,
}

/// What a problem is of: an object, or a kind as a whole.
type Place = (&'static str, Option<ObjectName>);

/// What an object is translated to, with its metadata.
type Translated<'a, T> = (Result<Translation<T>, Skipped>, &'a ObjectMeta);

/// Everything known, and everything to be told.
#[derive(Debug, Default)]
pub(super) struct Picture {
    remarks: Remarks,
    shared: Shared,
    services: Shelf,
    slices: Shelf,
    nodes: Shelf,
    cidrs: Shelf,
    networks: BTreeMap<ObjectName, Vec<IpNet>>,
    problems: BTreeMap<Place, Problem>,
    /// Objects with a problem for which there was no room among these.
    more_problems: BTreeSet<Place>,
    /// What each object was last, as a hash: two of 64 bits that are the same by chance are not to be expected,
    /// nor, with keys by chance, to be made.
    last: HashMap<Subject, u64>,
    hashes: RandomState,
    changes: BTreeMap<Subject, Change>,
    /// Of slices among the changes: when each of their updates was made (EPS-15).
    triggers: BTreeMap<ObjectName, Vec<Timestamp>>,
    /// The networks, or the problems, are others than were told.
    has_networks: bool,
    has_problems: bool,
    /// The first complete picture was told.
    is_told: bool,
    /// The node was waited for long enough.
    is_impatient: bool,
}

impl Picture {
    /// Of nothing; whose objects are not in force as they are written, are told so.
    pub(super) fn new(notices: Notices) -> Self {
        Self { remarks: Remarks::new(notices), ..Self::default() }
    }

    /// Takes in what was heard.
    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Service(news) => {
                let taken = self.services.take(news);
                self.settle(taken, Self::put_service);
            }
            Heard::Slice(news) => {
                let taken = self.slices.take(news);
                self.settle(taken, Self::put_slice);
            }
            Heard::Node(news) => {
                let taken = self.nodes.take(news);
                self.settle(taken, Self::put_node);
            }
            Heard::Cidr(news) => {
                let was_listed = self.cidrs.is_listed();
                let taken = self.cidrs.take(news);
                self.settle(taken, Self::put_cidr);
                // That there are none is news too, the first time: an earlier run may have known some.
                self.has_networks |= self.cidrs.is_listed() && !was_listed;
            }
            Heard::Trouble(why) => self.put_problem((API, None), why.map(|why| Problem::of_file(API, why))),
        }
    }

    /// Whether both Services and EndpointSlices were listed, and only the node keeps the first picture from
    /// being told.
    pub(super) fn waits_for_node(&self) -> bool {
        !self.is_told && self.is_complete() && !self.nodes.is_answered() && !self.is_impatient
    }

    /// The first picture may be told without the node: its zone follows when it is known.
    pub(super) fn stop_waiting_for_node(&mut self) {
        self.is_impatient = true;
    }

    /// Whether there is something to be told.
    pub(super) fn has_news(&self) -> bool {
        let has_changes = self.has_networks || !self.changes.is_empty();
        self.has_problems || self.is_first() || (self.is_told && has_changes)
    }

    /// What is to be told now, if anything.
    pub(super) fn event(&mut self) -> Option<SourceEvent> {
        if !self.has_news() {
            return None;
        }
        let first = self.is_first();
        self.is_told |= first;
        self.has_problems = false;
        let mut event = SourceEvent { first, ..SourceEvent::default() };
        event.problems = self.problems.values().cloned().collect();
        if !self.more_problems.is_empty() {
            let message = format!("{} more objects can't be read", self.more_problems.len());
            event.problems.push(Problem::of_file(API, message));
        }
        if self.is_told {
            event.changes = std::mem::take(&mut self.changes).into_values().collect();
            event.triggers = std::mem::take(&mut self.triggers).into_values().flatten().collect();
            if std::mem::take(&mut self.has_networks) {
                let networks: BTreeSet<IpNet> = self.networks.values().flatten().copied().collect();
                event.service_cidrs = Some(networks.into_iter().collect());
            }
        }
        Some(event)
    }

    fn is_complete(&self) -> bool {
        self.services.is_listed() && self.slices.is_listed()
    }

    fn is_first(&self) -> bool {
        !self.is_told && self.is_complete() && !self.waits_for_node()
    }

    /// Puts what an object is, or `None` for one that is no more; and problems where they belong.
    fn settle<T: Kind>(&mut self, taken: Taken<T>, put: fn(&mut Self, &ObjectName, Option<&T>)) {
        match taken {
            Taken::Nothing => {}
            Taken::Is(name, object) => {
                put(self, &name, Some(&object));
                self.put_problem((T::KIND, Some(name)), None);
            }
            Taken::Unreadable(name, why) => {
                let object = name.as_ref().map(|name| ObjectRef::new(T::KIND, name));
                let problem = Problem { object, field: why.field, ..Problem::of_file(API, why.message) };
                let place = (T::KIND, name);
                if let Some(object) = problem.object.clone()
                    && self.problems.get(&place) != Some(&problem)
                    && !self.more_problems.contains(&place)
                {
                    self.remarks.on_unreadable(object, why.uid.as_deref(), &problem);
                }
                self.put_problem(place, Some(problem));
            }
            Taken::Gone(name) => {
                put(self, &name, None);
                self.put_problem((T::KIND, Some(name)), None);
            }
            Taken::Listed(gone) => {
                for name in gone {
                    put(self, &name, None);
                    self.put_problem((T::KIND, Some(name)), None);
                }
            }
            Taken::Well => self.put_problem((T::KIND, None), None),
            Taken::Failing(why) => {
                let message = format!("{} objects: {why}", T::KIND);
                self.put_problem((T::KIND, None), Some(Problem::of_file(API, message)));
            }
        }
    }

    fn put_service(&mut self, name: &ObjectName, service: Option<&Service>) {
        let service = service.map(|service| (translate::service(service), &service.metadata));
        let gone = || Change::ServiceGone(name.clone());
        // One text for the name, here and there.
        let service = self.told(Service::KIND, name, service);
        let service = service.map(|service| model::Service { name: name.clone(), ..service });
        let change = service.map_or_else(gone, |service| Change::Service(Box::new(service)));
        self.note(Subject::Service(name.clone()), change);
    }

    fn put_slice(&mut self, name: &ObjectName, slice: Option<&EndpointSlice>) {
        let time = slice.and_then(translate::trigger_time);
        let slice = slice.map(|slice| (translate::endpoint_slice(slice), &slice.metadata));
        let mut slice = self.told(EndpointSlice::KIND, name, slice);
        if let Some(slice) = &mut slice {
            slice.name = name.clone();
            slice.endpoints.iter_mut().for_each(|endpoint| self.shared.share(endpoint));
        }
        let gone = || Change::SliceGone(name.clone());
        let change = slice.map_or_else(gone, |slice| Change::Slice(Box::new(slice)));
        let is_gone = matches!(change, Change::SliceGone(_));
        if self.note(Subject::Slice(name.clone()), change)
            && let Some(time) = time
        {
            let times = self.triggers.entry(name.clone()).or_default();
            times.truncate(MOST_TRIGGERS - 1);
            times.push(time);
        }
        if is_gone {
            self.triggers.remove(name);
        }
    }

    /// Notes what an object is now; whether it was something else before.
    fn note(&mut self, subject: Subject, change: Change) -> bool {
        let is_known = match change {
            Change::ServiceGone(_) | Change::SliceGone(_) => self.last.remove(&subject).is_none(),
            _ => {
                let hash = self.hashes.hash_one(&change);
                self.last.insert(subject.clone(), hash) == Some(hash)
            }
        };
        if !is_known {
            self.changes.insert(subject, change);
        }
        !is_known
    }

    /// What an object is to the model, if anything; what of it is left out is said.
    fn told<T>(&mut self, kind: &str, name: &ObjectName, object: Option<Translated<'_, T>>) -> Option<T> {
        let about = ObjectRef::new(kind, name);
        let Some((translated, metadata)) = object else {
            self.remarks.end(&about);
            return None;
        };
        match translated {
            Ok(Translation { value, ignored }) => {
                self.remarks.on_fields(about, metadata.uid.as_deref(), &ignored);
                Some(value)
            }
            Err(skipped) => {
                self.remarks.on_skipped(about, &skipped);
                None
            }
        }
    }

    /// A node that is no more is where it was, as long as it serves.
    fn put_node(&mut self, _: &ObjectName, node: Option<&Node>) {
        let Some(node) = node else { return };
        // A node says something every few seconds, and most of it is nothing to us.
        self.note(Subject::Node, Change::Node(translate::node(node)));
    }

    /// Several may name the same network: it is one as long as one of them does (CIP-05).
    fn put_cidr(&mut self, name: &ObjectName, cidr: Option<&ServiceCIDR>) {
        let spec = cidr.and_then(|cidr| cidr.spec.as_ref());
        let texts = spec.and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default();
        let networks: Vec<IpNet> = texts.iter().filter_map(|text| translate::parse_network(text)).collect();
        let before = self.networks.get(name).map(Vec::as_slice).unwrap_or_default();
        if before != networks {
            self.has_networks = true;
            self.networks.insert(name.clone(), networks);
        }
    }

    fn put_problem(&mut self, place: Place, problem: Option<Problem>) {
        let has_room = place.1.is_none() || self.problems.len() < MOST_PROBLEMS;
        let is_other = match problem {
            Some(problem) if has_room || self.problems.contains_key(&place) => {
                let is_more = self.more_problems.remove(&place);
                self.problems.insert(place, problem.clone()).as_ref() != Some(&problem) || is_more
            }
            Some(_) => self.more_problems.insert(place),
            None => self.problems.remove(&place).is_some() | self.more_problems.remove(&place),
        };
        self.has_problems |= is_other;
    }
}

#[cfg(test)]
mod tests;
