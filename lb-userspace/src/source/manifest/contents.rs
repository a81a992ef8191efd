//! What one file holds: bytes in, valid objects and problems out. Pure, and of nothing but the file.

use super::config::Config;
use super::decode::{self, Fault, Item, Manifest, ObjectId};
use super::files::Files;
use super::object::{self, Object};
use super::{allocate, parse, validate};
use crate::source::{ObjectRef, Problem};

/// So much that is wrong with a file is told one by one, and as much that is worth a word; the rest is counted. A
/// file of the greatest size can have four million things wrong with it.
const MOST_OF_FILE: usize = 100;

/// An object that a file holds.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: ObjectId,
    pub(super) line: Option<u64>,
    /// `None` where something is wrong with it.
    pub(super) object: Option<Object>,
}

/// What one file holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
    /// Worth a word, and nothing is wrong.
    pub(super) notes: Vec<Problem>,
    /// Every object in it could be told from the others: what isn't among them, isn't in the file.
    pub(super) is_whole: bool,
    problems_left_out: usize,
    notes_left_out: usize,
}

/// Where a problem is.
struct Place<'a> {
    file: &'a str,
    line: Option<u64>,
    id: Option<&'a ObjectId>,
}

impl Place<'_> {
    fn problem(&self, fault: Fault) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: self.line,
            object: self.id.map(ObjectRef::from),
            field: Some(fault.field).filter(|field| !field.is_empty()),
            message: fault.message,
        }
    }
}

/// What a file holds.
pub(super) fn contents(file: &str, bytes: &Result<Vec<u8>, String>, config: &Config) -> Contents {
    let documents = match bytes {
        Ok(bytes) => parse::documents(file, bytes),
        Err(message) => Err(Box::new(Problem::of_file(file, message))),
    };
    let documents = match documents {
        Ok(documents) => documents,
        Err(problem) => return Contents { problems: vec![*problem], ..Contents::default() },
    };
    let mut contents = Contents { is_whole: true, ..Contents::default() };
    for document in documents {
        decode::each_object(&document, &mut |item| contents.add(file, document.line, item, config));
    }
    for (kept, left_out) in
        [(&mut contents.problems, contents.problems_left_out), (&mut contents.notes, contents.notes_left_out)]
    {
        if left_out > 0 {
            kept.push(Problem::of_file(file, format!("{left_out} more of the kind are not told")));
        }
    }
    contents
}

/// Keeps the first of what is said of a file, and counts the rest.
fn keep(kept: &mut Vec<Problem>, left_out: &mut usize, said: impl Iterator<Item = Problem>) {
    for problem in said {
        if kept.len() < MOST_OF_FILE { kept.push(problem) } else { *left_out += 1 }
    }
}

impl Contents {
    fn keep_problems(&mut self, said: impl Iterator<Item = Problem>) {
        keep(&mut self.problems, &mut self.problems_left_out, said);
    }

    fn keep_notes(&mut self, said: impl Iterator<Item = Problem>) {
        keep(&mut self.notes, &mut self.notes_left_out, said);
    }

    fn add(&mut self, file: &str, line: Option<u64>, item: Item, config: &Config) {
        match item {
            Item::Other(kind) => {
                let note = Fault::new("", format!("{kind} is of no use here"));
                self.keep_notes(std::iter::once(Place { file, line, id: None }.problem(note)));
            }
            Item::Broken(id, faults) => {
                let place = Place { file, line, id: id.as_ref() };
                self.keep_problems(faults.into_iter().map(|fault| place.problem(fault)));
                self.is_whole &= id.is_some();
                self.entries.extend(id.map(|id| Entry { id, line, object: None }));
            }
            Item::Object(id, manifest) => {
                let place = Place { file, line, id: Some(&id) };
                let object = match checked(&manifest, config) {
                    Ok((object, notes)) => {
                        self.keep_notes(notes.into_iter().map(|note| place.problem(note)));
                        Some(object)
                    }
                    Err(faults) => {
                        self.keep_problems(faults.into_iter().map(|fault| place.problem(fault)));
                        None
                    }
                };
                self.entries.push(Entry { id, line, object });
            }
        }
    }
}

fn checked(manifest: &Manifest, config: &Config) -> Result<(Object, Vec<Fault>), Vec<Fault>> {
    let faults = validate::faults(manifest);
    if !faults.is_empty() {
        return Err(faults);
    }
    let (object, notes) = object::object(manifest, config)?;
    if let Object::Service(draft) = &object {
        let faults = allocate::faults(draft, config);
        if !faults.is_empty() {
            return Err(faults);
        }
    }
    Ok((object, notes))
}

/// An object as its file has it, for whoever needs no numbers given: where it is, and the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The file.
    pub file: String,
    /// What it is known by.
    pub id: ObjectId,
    /// The object, with the API server's defaults for what a translation reads, and otherwise as given.
    pub manifest: Manifest,
}

/// The objects of files as a cluster would hold them: nothing allocated, no endpoints derived, and checked
/// by their types and fields alone. Of two of one name the first counts.
pub fn found(files: &Files) -> (Vec<Found>, Vec<Problem>) {
    let (mut all, mut problems) = (vec![], vec![]);
    let mut names = std::collections::BTreeSet::new();
    let mut left_out = 0;
    for (file, bytes) in files {
        let documents = match bytes {
            Ok(bytes) => parse::documents(file, bytes),
            Err(message) => Err(Box::new(Problem::of_file(file, message))),
        };
        let documents = documents.unwrap_or_else(|problem| {
            problems.push(*problem);
            vec![]
        });
        for document in documents {
            decode::each_object(&document, &mut |item| match item {
                Item::Object(id, manifest) if names.insert(id.clone()) => {
                    all.push(Found { file: file.clone(), id, manifest });
                }
                Item::Object(id, _) => {
                    let place = Place { file, line: document.line, id: Some(&id) };
                    let twice = place.problem(Fault::new("", "is there twice: the first one counts"));
                    keep(&mut problems, &mut left_out, std::iter::once(twice));
                }
                Item::Broken(id, faults) => {
                    let place = Place { file, line: document.line, id: id.as_ref() };
                    let said = faults.into_iter().map(|fault| place.problem(fault));
                    keep(&mut problems, &mut left_out, said);
                }
                Item::Other(_) => {}
            });
        }
    }
    if left_out > 0 {
        problems.push(Problem::of_file("these files", format!("{left_out} more of the kind are not told")));
    }
    (all, problems)
}
