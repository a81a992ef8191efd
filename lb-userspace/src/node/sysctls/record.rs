//! What settings were before they were changed: a small file, from which they can be put back.
//!
//! It lies in /run, as the kernel's settings do in memory: both are gone when the machine restarts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Outcome, State};
use crate::private;

/// The file of the instance that has its pins in `pin_dir`.
pub fn path(pin_dir: &Path) -> PathBuf {
    crate::control::socket_path(pin_dir).with_extension("sysctls.json")
}

/// Remembers what was changed. What was remembered before stays: it is older, and what an administrator had.
///
/// # Errors
///
/// Where the file can't be read or written; nothing of it is lost then.
pub fn remember(path: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    let changed = outcomes.iter().filter_map(|outcome| match outcome.state {
        State::Set { before } => Some((outcome.file.clone(), before)),
        _ => None,
    });
    let changed: Vec<_> = changed.collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut known = recall(path)?;
    for (file, before) in changed {
        known.entry(file).or_insert(before);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    private::directory(folder)?;
    let draft = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&draft, &known)?;
    draft.persist(path)?;
    Ok(())
}

/// What each setting was before, by its file below /; nothing where nothing was changed.
///
/// # Errors
///
/// Where the file can't be read or understood.
pub fn recall(path: &Path) -> io::Result<BTreeMap<String, u64>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(file: &str, before: u64) -> Outcome {
        Outcome { file: file.to_owned(), wanted: 1, state: State::Set { before } }
    }

    #[test]
    fn the_first_value_is_remembered_and_only_of_what_was_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run/shunt.json");
        let right = Outcome { state: State::Right, ..set("a", 0) };
        remember(&path, &[right]).expect("nothing to write");
        assert!(!path.exists());
        remember(&path, &[set("a", 60)]).expect("written");
        remember(&path, &[set("a", 3600), set("b", 0)]).expect("written");
        let known = recall(&path).expect("read");
        assert_eq!(known, BTreeMap::from([("a".to_owned(), 60), ("b".to_owned(), 0)]));
    }
}
