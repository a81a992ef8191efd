//! The directory as one state machine: files in, what changed and what is wrong out.
//!
//! No I/O, no clock. What is in force is, object by object, the last version that was right:
//!
//! - an object with a problem stays as it was, or out where it never was right;
//! - a file that can't be understood leaves every object last seen in it as it was;
//! - of two objects of one name none is taken: what was in force stays; where nothing was, the first one by
//!   file name and place;
//! - an object that is in no file any more, and was last seen in one that is understood or gone, is gone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::allocate::{self, Ledger};
use super::config::Config;
use super::contents::{Contents, Entry, contents};
use super::decode::{Fault, Kind, ObjectId};
use super::endpoints::{self, Derived, PodIndex};
use super::files::Files;
use super::object::Object;
use super::resolve::{Choice, Resolved, resolve};
use crate::model::{Change, EndpointSlice, NodeObject, ObjectName, Service};
use crate::source::{ObjectRef, Problem};

/// What a reading of the directory came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What is different from what was said before.
    pub changes: Vec<Change>,
    /// Everything that is wrong now.
    pub problems: Vec<Problem>,
    /// Everything worth a word now though nothing is wrong: kinds of no use here, Pods without an address.
    pub notes: Vec<Problem>,
    /// Services that were given another number because a manifest says theirs now, this time.
    pub moved: Vec<Problem>,
}

/// Everything known of a directory.
#[derive(Debug, Default)]
pub struct ManifestState {
    config: Config,
    ledger: Ledger,
    /// Files by what their bytes hash to, so that what didn't change isn't parsed again.
    parsed: BTreeMap<String, (u64, Contents)>,
    in_force: BTreeMap<ObjectId, InForce>,
    derived: BTreeMap<ObjectName, Derived>,
    said: Said,
    /// What the last reading came to.
    last: Outcome,
}

#[derive(Debug, Clone)]
struct InForce {
    object: Object,
    /// Where it was last seen, right or wrong.
    file: String,
}

/// The world as it was told.
#[derive(Debug, Default)]
struct Said {
    services: BTreeMap<ObjectName, Service>,
    slices: BTreeMap<ObjectName, Arc<EndpointSlice>>,
    /// As an object that says nothing where there is none.
    node: Arc<NodeObject>,
}

impl ManifestState {
    /// Nothing but the numbers given before.
    pub fn new(config: Config, ledger: Ledger) -> Self {
        Self { config, ledger, ..Self::default() }
    }

    /// The numbers given.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes in what the directory holds now: all of its files.
    pub fn load(&mut self, files: &Files) -> Outcome {
        if !self.parse(files) {
            return Outcome { changes: vec![], moved: vec![], ..self.last.clone() };
        }
        let mut outcome = Outcome::default();
        for (_, contents) in self.parsed.values() {
            outcome.problems.extend(contents.problems.iter().cloned());
            outcome.notes.extend(contents.notes.iter().cloned());
        }
        let wanted = self.wanted(&mut outcome.problems);
        self.settle(wanted, &mut outcome);
        let now = self.told();
        outcome.problems.sort();
        self.last = outcome.clone();
        outcome.changes = now.changes_since(&self.said);
        self.said = now;
        outcome
    }

    /// Whether any file is another than before.
    fn parse(&mut self, files: &Files) -> bool {
        let mut before = std::mem::take(&mut self.parsed);
        let mut is_news = files.is_empty();
        for (file, bytes) in files {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            let hash = hasher.finish();
            let parsed = match before.remove(file) {
                Some(parsed) if parsed.0 == hash => parsed,
                _ => {
                    is_news = true;
                    (hash, contents(file, bytes, &self.config))
                }
            };
            self.parsed.insert(file.clone(), parsed);
        }
        is_news || !before.is_empty()
    }

    /// The version of each object that is to be in force, in the order of their files.
    fn wanted(&self, problems: &mut Vec<Problem>) -> Vec<(ObjectId, InForce)> {
        let mut seen: BTreeMap<&ObjectId, Vec<(&str, &Entry)>> = BTreeMap::new();
        let mut order: Vec<&ObjectId> = vec![];
        for (file, (_, contents)) in &self.parsed {
            for entry in &contents.entries {
                let places = seen.entry(&entry.id).or_default();
                if places.is_empty() {
                    order.push(&entry.id);
                }
                places.push((file, entry));
            }
        }
        let mut wanted = vec![];
        for id in order {
            let places = &seen[id];
            let before = self.in_force.get(id).map(|before| before.object.clone());
            let valid = places.iter().find_map(|(_, entry)| entry.object.clone());
            let object = match &places[..] {
                [(_, entry)] => entry.object.clone().or(before),
                [first, others @ ..] => {
                    problems.extend(others.iter().map(|other| twice(id, first, other)));
                    before.or(valid)
                }
                [] => None,
            };
            if let Some(object) = object {
                wanted.push((id.clone(), InForce { object, file: places[0].0.to_owned() }));
            }
        }
        let is_lost = |file: &str| self.parsed.get(file).is_some_and(|(_, contents)| !contents.is_whole);
        let kept =
            self.in_force.iter().filter(|(id, before)| !seen.contains_key(id) && is_lost(&before.file));
        wanted.extend(kept.map(|(id, before)| (id.clone(), before.clone())));
        wanted
    }

    /// Gives Services their numbers, and puts in force what can be.
    fn settle(&mut self, wanted: Vec<(ObjectId, InForce)>, outcome: &mut Outcome) {
        let choices: Vec<Choice> = wanted.iter().filter_map(|(id, wanted)| self.choice(id, wanted)).collect();
        let Resolved { drafts, ledger, refused, moved } = resolve(&self.config, &self.held(), &choices);
        self.ledger = ledger;
        let files: BTreeMap<&ObjectName, &str> = wanted
            .iter()
            .filter(|(id, _)| id.kind == Kind::Service)
            .map(|(id, wanted)| (&id.name, wanted.file.as_str()))
            .collect();
        let problem = |name: &ObjectName, fault: Fault| {
            let id = ObjectId { kind: Kind::Service, name: name.clone() };
            let file = files.get(name).copied().unwrap_or_default();
            let field = Some(fault.field).filter(|field| !field.is_empty());
            Problem { object: Some(ObjectRef::from(&id)), field, ..Problem::of_file(file, fault.message) }
        };
        let reasons = refused.iter().flat_map(|(name, faults)| faults.iter().map(move |fault| (name, fault)));
        outcome.problems.extend(reasons.map(|(name, fault)| problem(name, fault.clone())));
        outcome.moved = moved.iter().map(|(name, message)| problem(name, Fault::new("", message))).collect();
        self.in_force = wanted
            .into_iter()
            .filter_map(|(id, InForce { object, file })| {
                let object = match object {
                    Object::Service(_) => Object::Service(Arc::clone(drafts.get(&id.name)?)),
                    other => other,
                };
                Some((id, InForce { object, file }))
            })
            .collect();
    }

    fn choice(&self, id: &ObjectId, wanted: &InForce) -> Option<Choice> {
        let draft = |object: &Object| match object {
            Object::Service(draft) => Some(Arc::clone(draft)),
            _ => None,
        };
        let in_force = self.in_force.get(id).and_then(|before| draft(&before.object));
        Some(Choice { name: id.name.clone(), wanted: draft(&wanted.object)?, in_force })
    }

    /// The ledger without Services that are gone: a file that isn't understood may hold any of them.
    fn held(&self) -> Ledger {
        if self.parsed.values().any(|(_, contents)| !contents.is_whole) {
            return self.ledger.clone();
        }
        let entries = self.parsed.values().flat_map(|(_, contents)| &contents.entries);
        let services = entries.filter(|entry| entry.id.kind == Kind::Service);
        services
            .filter_map(|entry| Some((entry.id.name.clone(), self.ledger.get(&entry.id.name)?.clone())))
            .collect()
    }

    /// The world that follows from what is in force.
    fn told(&mut self) -> Said {
        let mut said = Said::default();
        let mut derived = BTreeMap::new();
        let pods = PodIndex::new(self.in_force.values().filter_map(|known| match &known.object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        }));
        for (id, known) in &self.in_force {
            match &known.object {
                Object::Service(draft) if draft.is_ours => {
                    let numbers = self.ledger.get(&id.name).cloned().unwrap_or_default();
                    said.services.insert(id.name.clone(), allocate::numbered(draft, &numbers));
                    let before = self.derived.get(&id.name);
                    derived
                        .extend(endpoints::derived(draft, &pods, before).map(|new| (id.name.clone(), new)));
                }
                Object::Slice(Some(slice)) => {
                    said.slices.insert(slice.name.clone(), Arc::clone(slice));
                }
                Object::Node(node) if Some(id.name.name.as_str()) == self.config.node_name() => {
                    said.node = Arc::clone(node);
                }
                Object::Service(_) | Object::Slice(None) | Object::Pod(_) | Object::Node(_) => {}
            }
        }
        self.derived = derived;
        let slices = self.derived.values().flat_map(|derived| &derived.slices);
        said.slices.extend(slices.map(|slice| (slice.name.clone(), Arc::clone(slice))));
        said
    }
}

impl Said {
    fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes = vec![];
        let new = self.services.iter().filter(|(name, service)| before.services.get(*name) != Some(*service));
        changes.extend(new.map(|(_, service)| Change::Service(Box::new(service.clone()))));
        let new = self.slices.iter().filter(|(name, slice)| before.slices.get(*name) != Some(*slice));
        changes.extend(new.map(|(_, slice)| Change::Slice(Box::new((**slice).clone()))));
        let gone = before.slices.keys().filter(|name| !self.slices.contains_key(*name));
        changes.extend(gone.map(|name| Change::SliceGone(name.clone())));
        let gone = before.services.keys().filter(|name| !self.services.contains_key(*name));
        changes.extend(gone.map(|name| Change::ServiceGone(name.clone())));
        if self.node != before.node {
            changes.push(Change::Node(NodeObject::clone(&self.node)));
        }
        changes
    }
}

/// Both places are told, for either may be the one that was not meant.
fn twice(id: &ObjectId, first: &(&str, &Entry), other: &(&str, &Entry)) -> Problem {
    let line = first.1.line.map_or_else(String::new, |line| format!(":{line}"));
    Problem {
        file: other.0.to_owned(),
        line: other.1.line,
        object: Some(ObjectRef::from(id)),
        field: Some("metadata.name".to_owned()),
        message: format!("is also in {}{line}", first.0),
    }
}
