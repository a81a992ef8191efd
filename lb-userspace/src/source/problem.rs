//! What is wrong with an object, told to whoever must put it right.

use std::fmt;

use serde::Serialize;

use crate::model::ObjectName;
use crate::text;

/// An object as people name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ObjectRef {
    /// `kind`
    pub kind: String,
    /// `metadata.namespace`; empty where the kind has none.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
}

impl ObjectRef {
    /// A namespaced object.
    pub fn new(kind: &str, name: &ObjectName) -> Self {
        Self { kind: kind.to_owned(), namespace: name.namespace.clone(), name: name.name.clone() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, text::name(&self.name))
        } else {
            write!(f, "{} {}/{}", self.kind, text::name(&self.namespace), text::name(&self.name))
        }
    }
}

/// Something that can't be taken as it stands. Nothing else is kept from working by it, and what it concerns
/// stays as it was when it was last right.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, or the directory where that can't be read.
    pub file: String,
    /// The line that the problem, or its document, is at; counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The object, where one could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// The field, as in `spec.ports[0].nodePort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, object: None, field: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    /// A line number is for a problem that has no object: an object is found by its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", text::sentence(&self.file))?;
        if let (Some(line), None) = (self.line, &self.object) {
            write!(f, ":{line}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {}", text::name(field))?;
        }
        write!(f, ": {}", text::sentence(&self.message))
    }
}

impl std::error::Error for Problem {}
