//! The file that numbers outlive a restart in. One instance at a time gives numbers by it: it holds a lock, on a file
//! beside it, for it is another file after each change.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::allocate::{Ledger, Numbers};
use crate::model::ObjectName;

/// Grows when a file of this version can't be read as one of the last.
const VERSION: u32 = 1;

/// What went wrong with the state file. It is never taken for an empty one: that would give Services other
/// numbers than their clients know.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// Not to be read.
    #[error("state file {path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not to be written.
    #[error("state file {path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not what this wrote.
    #[error("state file {path} is damaged: {reason}; repair it, or delete it to have all numbers given anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// Another instance gives numbers by it.
    #[error(
        "state file {path} is another instance's, which runs: name another by --state-file, for each of them would \
         give the same numbers to other Services"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Of another version.
    #[error(
        "state file {path} is of version {version}, and this is version {VERSION}: use the shunt that wrote it"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The one it says.
        version: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    /// By `namespace/name`.
    services: BTreeMap<String, Numbers>,
}

/// The ledger of a state file; an empty one where there is no file yet.
///
/// # Errors
///
/// The file is there and can't be understood.
pub(super) fn read(path: &Path) -> Result<Ledger, StateFileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ledger::new()),
        Err(source) => return Err(StateFileError::Read { path: path.to_owned(), source }),
    };
    let damaged = |reason: String| StateFileError::Damaged { path: path.to_owned(), reason };
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => return Err(StateFileError::Version { path: path.to_owned(), version }),
        None => return Err(damaged("it has no version".to_owned())),
    }
    let contents: Contents = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    let service = |(key, numbers): (String, Numbers)| match key.split_once('/') {
        Some((namespace, name)) => Ok((ObjectName::new(namespace, name), numbers)),
        None => Err(damaged(format!("{key:?} is not NAMESPACE/NAME"))),
    };
    contents.services.into_iter().map(service).collect()
}

/// Keeps other instances from a state file for as long as what it returns lives; nothing where no file can be made
/// beside it, for then no instance can write it.
///
/// # Errors
///
/// [`StateFileError::Locked`] where another instance does.
pub fn hold(path: &Path) -> Result<Option<File>, StateFileError> {
    let place = beside(path, "lock");
    // Held for reading: a disk on which something is open for writing can't be made read-only.
    drop(File::options().write(true).create(true).truncate(false).mode(0o600).open(&place));
    let Ok(lock) =
        File::open(place).inspect_err(|error| tracing::debug!("no lock beside {}: {error}", path.display()))
    else {
        return Ok(None);
    };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StateFileError::Locked { path: path.to_owned() }),
        // A file system without locks has no other instance's either.
        _ => Ok(Some(lock)),
    }
}

/// The files that may be left beside a state file.
pub fn leftovers(path: &Path) -> [PathBuf; 2] {
    ["draft", "lock"].map(|what| beside(path, what))
}

/// A hidden file in the same directory.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(what);
    path.with_file_name(name)
}

/// Writes a state file so that after a crash at any moment there is the old one or the new one.
///
/// # Errors
///
/// The directory is not to be written to, or is full; the old file is as it was.
pub(super) fn write(path: &Path, ledger: &Ledger) -> Result<(), StateFileError> {
    let services = ledger.iter().map(|(name, numbers)| (name.to_string(), numbers.clone())).collect();
    try_write(path, &Contents { version: VERSION, services })
        .map_err(|source| StateFileError::Write { path: path.to_owned(), source })
}

fn try_write(path: &Path, contents: &Contents) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let draft = beside(path, "draft");
    let written = write_whole(&draft, contents).and_then(|()| fs::rename(&draft, path));
    if let Err(error) = written {
        // Where the disk is full it would take what room there is; where it can't be removed it never was.
        let _removed = fs::remove_file(&draft);
        return Err(error);
    }
    // The rename itself is only on the disk when the directory is.
    File::open(dir)?.sync_all()
}

fn write_whole(path: &Path, contents: &Contents) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut text = serde_json::to_vec_pretty(contents)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::source::manifest::allocate::Held;

    fn ledger() -> Ledger {
        let numbers = Numbers {
            cluster_ips: BTreeMap::from([
                (Family::V4, Held { number: "10.96.0.10".parse().unwrap(), automatic: false }),
                (Family::V6, Held { number: "fd00:10:96::a".parse().unwrap(), automatic: true }),
            ]),
            node_ports: BTreeMap::from([(String::new(), Held { number: 31_000, automatic: true })]),
            health_check_node_port: Some(Held { number: 31_001, automatic: true }),
        };
        Ledger::from([(ObjectName::new("default", "web"), numbers)])
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert_eq!(read(&path).unwrap(), Ledger::new(), "no file is no numbers");
        write(&path, &Ledger::new()).unwrap();
        write(&path, &ledger()).unwrap();
        assert_eq!(read(&path).unwrap(), ledger());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_instance_at_a_time_has_a_state_file_and_one_that_is_not_to_be_written_needs_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let held = hold(&path).unwrap();
        assert!(held.is_some());
        let error = hold(&path).unwrap_err().to_string();
        assert!(error.contains("state.json is another instance's, which runs"), "{error}");
        write(&path, &ledger()).unwrap();
        assert!(hold(&path).is_err(), "though the file is another one now");
        assert!(hold(&dir.path().join("other.json")).unwrap().is_some());
        drop(held);
        assert!(hold(&path).unwrap().is_some());
        assert!(hold(&dir.path().join("nowhere/state.json")).unwrap().is_none());
        assert!(leftovers(&path)[1].exists());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_no_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        for (text, expected) in [
            ("", "damaged: EOF while parsing"),
            ("{}", "damaged: it has no version"),
            (r#"{"version": 2, "services": []}"#, "is of version 2"),
            (r#"{"version": 1, "services": {"web": {}}}"#, "damaged: \"web\" is not NAMESPACE/NAME"),
            (r#"{"version": 1, "services": {"a/b": {"ports": {}}}}"#, "damaged: unknown field `ports`"),
            (r#"{"version": 1}"#, "damaged: missing field `services`"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("state.json"), "{error}");
        }
    }

    #[test]
    fn what_could_not_be_written_is_said_in_the_same_words_each_time_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        fs::create_dir_all(path.join("in the way")).unwrap();
        let said = [(); 2].map(|()| {
            let error = write(&path, &ledger()).unwrap_err();
            format!("{error}: {}", std::error::Error::source(&error).unwrap())
        });
        assert_eq!(said[0], said[1]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_isnt_there_is_an_error_that_names_the_file() {
        let error = write(Path::new("/nonexistent/state.json"), &ledger()).unwrap_err();
        assert_eq!(error.to_string(), "state file /nonexistent/state.json can't be written");
    }
}
