//! What settings were before they were changed: a small file, from which they can be put back.
//!
//! It lies in /run, as the kernel's settings do in memory: both are gone when the machine restarts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::private;

/// The file of the instance that has its pins in `pin_dir`.
pub fn path(pin_dir: &Path) -> PathBuf {
    crate::control::socket_path(pin_dir).with_extension("sysctls.json")
}

/// The same, and what an instance that was killed may have left of its next version.
pub fn files(pin_dir: &Path) -> [PathBuf; 2] {
    let path = path(pin_dir);
    [private::draft(&path), path]
}

/// A setting that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What it was.
    pub before: u64,
    /// What it was made.
    pub set: u64,
}

/// Remembers what is about to be changed: settings by their files. What a setting was before stays as it was
/// remembered first: it is older, and what an administrator had.
///
/// # Errors
///
/// Where the file can't be read or written; nothing of it is lost then.
pub fn remember(path: &Path, changes: Vec<(String, Changed)>) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut known = recall(path)?;
    for (file, changed) in changes {
        known.entry(file).or_insert(changed).set = changed.set;
    }
    private::write(path, &known)
}

/// What was changed of each setting, by its file below /; nothing where nothing was changed.
///
/// # Errors
///
/// Where the file can't be read or understood.
pub fn recall(path: &Path) -> io::Result<BTreeMap<String, Changed>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// What became of a setting that was to be as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Back {
    /// It is as it was.
    Restored,
    /// Somebody has changed it since: it is this, and stays.
    Left {
        /// What it is.
        now: u64,
    },
    /// It could not be read or written.
    Failed {
        /// Why.
        why: String,
    },
}

/// Makes a setting below `root` what it was, where it still is what it was made; nothing where it is so already, for
/// it was never written after it was put on record, or somebody has put it back.
pub fn put_back(root: &Path, file: &str, changed: Changed) -> Back {
    let path = root.join(file);
    match super::read(&path) {
        Ok(now) if now == changed.before => Back::Restored,
        Ok(now) if now != changed.set => Back::Left { now },
        Ok(_) => match fs::write(&path, changed.before.to_string()) {
            Ok(()) => Back::Restored,
            Err(error) => Back::Failed { why: error.to_string() },
        },
        Err(error) => Back::Failed { why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(file: &str, before: u64) -> (String, Changed) {
        (file.to_owned(), Changed { before, set: 1 })
    }

    #[test]
    fn the_first_value_is_remembered_and_only_of_what_is_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run/shunt.json");
        remember(&path, vec![]).expect("nothing to write");
        assert!(!path.exists());
        remember(&path, vec![set("a", 60)]).expect("written");
        remember(&path, vec![set("a", 3600), set("b", 0)]).expect("written");
        let known = recall(&path).expect("read");
        let changed = |before| Changed { before, set: 1 };
        assert_eq!(known, BTreeMap::from([("a".to_owned(), changed(60)), ("b".to_owned(), changed(0))]));
    }

    #[test]
    fn a_setting_goes_back_to_what_it_was_unless_somebody_has_changed_it_since() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("a");
        for (now, expected, after) in
            [("1\n", Back::Restored, "60"), ("2", Back::Left { now: 2 }, "2"), ("60", Back::Restored, "60")]
        {
            fs::write(&file, now).expect("a setting");
            assert_eq!(put_back(root.path(), "a", Changed { before: 60, set: 1 }), expected);
            assert_eq!(fs::read_to_string(&file).expect("it"), after);
        }
        let back = put_back(root.path(), "b", Changed { before: 60, set: 1 });
        assert!(matches!(back, Back::Failed { .. }), "{back:?}");
    }
}
