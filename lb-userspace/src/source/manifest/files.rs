//! The edge: what is in the directory, as bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::source::Problem;

/// The largest file that is read, in bytes: some 50,000 Services. What is larger is no manifest.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// The most files that are read: each costs a few system calls at every reading, which are six a minute.
const MAX_FILES: usize = 10_000;

/// The most bytes that all files may have together: they are in memory while they are read.
const MAX_BYTES: u64 = 256 << 20;

/// How often a directory is read anew when it was swapped for another while it was read.
const ATTEMPTS: usize = 3;

/// The manifests of a directory by their paths, and why one can't be read.
pub type Files = BTreeMap<String, Result<Vec<u8>, String>>;

/// Reads every `*.yaml`, `*.yml` and `*.json` of a directory; neither hidden files nor directories in it.
/// Symbolic links are followed: that is how a ConfigMap is mounted.
///
/// # Errors
///
/// The directory can't be listed, or holds more than [`MAX_FILES`] files or [`MAX_BYTES`]. A file that can't be read is an entry like another.
pub fn read_directory(dir: &Path) -> Result<Files, Box<Problem>> {
    for _ in 1..ATTEMPTS {
        let version = version(dir);
        let files = read_once(dir)?;
        if version == self::version(dir) {
            return Ok(files);
        }
    }
    read_once(dir)
}

/// What a swapped ConfigMap is told by: the kubelet points `..data` at another directory, so that files read
/// before and after it are of two versions.
fn version(dir: &Path) -> Option<PathBuf> {
    fs::read_link(dir.join("..data")).ok()
}

fn read_once(dir: &Path) -> Result<Files, Box<Problem>> {
    let of_directory = |error: io::Error| {
        Box::new(Problem::of_file(dir.display().to_string(), format!("can't be read: {error}")))
    };
    let beyond = |most: &str| {
        let message = format!(
            "holds more than {most} of *.yaml, *.yml and *.json: nothing of it is read. Take out what Shunt doesn't serve"
        );
        Box::new(Problem::of_file(dir.display().to_string(), message))
    };
    let mut files = Files::new();
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(of_directory)? {
        let entry = entry.map_err(of_directory)?;
        if !is_manifest_name(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let contents = match read_file(&path) {
            Ok(None) => continue,
            Ok(Some(bytes)) => Ok(bytes),
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
                continue;
            }
            Err(error) => Err(error.to_string()),
        };
        bytes += contents.as_ref().map_or(0, |bytes: &Vec<u8>| bytes.len() as u64);
        if bytes > MAX_BYTES {
            return Err(beyond(&format!("{MAX_BYTES} bytes")));
        }
        if files.len() == MAX_FILES {
            return Err(beyond(&format!("{MAX_FILES} files")));
        }
        files.insert(path.display().to_string(), contents);
    }
    Ok(files)
}

fn is_manifest_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.starts_with(b".") && [&b".yaml"[..], b".yml", b".json"].iter().any(|end| name.ends_with(end))
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
    #[error("is neither a file nor a directory")]
    NotAFile,
    #[error("is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
}

/// The bytes of a file; `None` for a directory.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    // To open a device is to do something to it; what took the place of a file since is seen below.
    let found = std::fs::metadata(path)?;
    if !found.is_file() && !found.is_dir() {
        return Err(ReadError::NotAFile);
    }
    // A pipe without a writer would be waited for at open(2) for ever.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = vec![];
    // One byte more than is allowed tells a file that grew since it was asked for its size.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(files: &Files) -> Vec<&str> {
        files.keys().map(|path| path.rsplit('/').next().unwrap()).collect()
    }

    #[test]
    fn manifests_are_told_by_their_names_and_links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a.yaml", "b.yml", "c.json", "d.txt", ".e.yaml", "f.yaml~", "yaml"] {
            fs::write(at(name), name).unwrap();
        }
        fs::create_dir(at("g.yaml")).unwrap();
        symlink("d.txt", at("h.yaml")).unwrap();

        let files = read_directory(dir.path()).unwrap();
        assert_eq!(names(&files), ["a.yaml", "b.yml", "c.json", "h.yaml"]);
        assert_eq!(files.values().next_back().unwrap().as_deref(), Ok(&b"d.txt"[..]));
    }

    #[test]
    fn a_file_that_cant_be_read_is_an_entry_that_says_why() {
        let dir = tempfile::tempdir().unwrap();
        symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
        fs::write(dir.path().join("large.yaml"), vec![b' '; (MAX_FILE_BYTES + 1) as usize]).unwrap();
        symlink("/dev/null", dir.path().join("null.yaml")).unwrap();

        let files = read_directory(dir.path()).unwrap();
        let errors: Vec<_> = files.values().map(|file| file.as_ref().unwrap_err().as_str()).collect();
        assert_eq!(
            errors,
            [
                "can't be read: No such file or directory (os error 2)",
                "is larger than 8388608 bytes",
                "is neither a file nor a directory",
            ]
        );
    }

    #[test]
    fn a_directory_that_isnt_there_is_a_problem_of_its_own() {
        let problem = read_directory(Path::new("/nonexistent/manifests")).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "/nonexistent/manifests: can't be read: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_link_that_leads_to_itself_a_pipe_and_a_device_are_told_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop.yaml", dir.path().join("loop.yaml")).unwrap();
        symlink("/dev/zero", dir.path().join("zero.yaml")).unwrap();
        let pipe = dir.path().join("pipe.yaml");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        fs::write(dir.path().join("right.yaml"), "a: 1").unwrap();

        let files = read_directory(dir.path()).unwrap();
        let said: Vec<_> =
            files.values().map(|file| file.as_ref().err().map_or("", String::as_str)).collect();
        let (link, other) = (
            "can't be read: Too many levels of symbolic links (os error 40)",
            "is neither a file nor a directory",
        );
        assert_eq!(said, [link, other, "", other]);
    }

    #[test]
    fn of_a_directory_with_too_many_files_nothing_is_read_and_it_is_said_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let some = dir.path().join("0.yaml");
        fs::write(&some, "a: 1").unwrap();
        for number in 1..MAX_FILES {
            fs::hard_link(&some, dir.path().join(format!("{number}.yaml"))).unwrap();
        }
        assert_eq!(read_directory(dir.path()).unwrap().len(), MAX_FILES);
        fs::hard_link(&some, dir.path().join("last.yaml")).unwrap();
        let problem = read_directory(dir.path()).unwrap_err().to_string();
        assert!(problem.contains("more than 10000 files") && problem.contains("Take out"), "{problem}");
    }

    #[test]
    fn of_a_directory_with_too_many_bytes_nothing_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let some = dir.path().join("0.yaml");
        File::create(&some).unwrap().set_len(MAX_FILE_BYTES).unwrap();
        for number in 1..=MAX_BYTES / MAX_FILE_BYTES {
            fs::hard_link(&some, dir.path().join(format!("{number}.yaml"))).unwrap();
        }
        let problem = read_directory(dir.path()).unwrap_err().to_string();
        assert!(problem.contains("more than 268435456 bytes"), "{problem}");
    }
}
