//! Directories and files that are root's alone: nobody else reads, or puts something of his own into, what an instance leaves there.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Nobody but the owner.
const OWNER_ONLY: u32 = 0o700;
const OWNER_FILE: u32 = 0o600;

/// Makes a directory, with those above it, that only this process's user can enter; one that is there already is
/// closed to others.
///
/// # Errors
///
/// It can't be made; or it is another user's, who could replace what is in it.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(path)?;
    // Not of what a link leads to: whoever made the link could lead it elsewhere.
    let found = fs::symlink_metadata(path)?;
    let user = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != user {
        return Err(io::Error::other(format!(
            "{} is not a directory of user {user}: remove it, or name another",
            path.display()
        )));
    }
    if found.mode() & 0o777 != OWNER_ONLY {
        fs::set_permissions(path, fs::Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(())
}

/// Writes a file of JSON in such a directory, which is made where it is not there: all of it, or nothing. Nobody else
/// writes it meanwhile.
///
/// # Errors
///
/// Those of [`directory`], or it can't be written.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    directory(folder)?;
    let draft = draft(path);
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_FILE).open(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    fs::rename(&draft, path)
}

/// What such a file is called before it is whole: all that a writer that was killed may leave.
pub(crate) fn draft(path: &Path) -> PathBuf {
    path.with_extension("draft")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a directory").mode() & 0o777
    }

    #[test]
    fn a_directory_is_made_for_its_owner_alone() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("run/shunt");
        directory(&path).expect("made");
        assert_eq!(mode(&path), 0o700);
        directory(&path).expect("made before");
    }

    #[test]
    fn a_file_is_its_owners_alone_and_nothing_is_left_of_its_draft() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("run/record.json");
        write(&path, &[1]).expect("written");
        write(&path, &[2]).expect("written again");
        assert_eq!(mode(&path), 0o600);
        assert!(!draft(&path).exists());
    }

    #[test]
    fn a_directory_that_others_may_enter_is_closed() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("shunt");
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("opened");
        directory(&path).expect("closed");
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_link_to_a_directory_is_not_followed() {
        let root = tempfile::tempdir().expect("a directory");
        let (elsewhere, path) = (root.path().join("elsewhere"), root.path().join("shunt"));
        fs::create_dir(&elsewhere).expect("made");
        std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
        let error = directory(&path).expect_err("refused").to_string();
        assert!(error.contains("is not a directory of user"), "{error}");
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("shunt");
        fs::create_dir(&path).expect("made");
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
            println!("skipped: only root can give a directory away");
            return;
        }
        let error = directory(&path).expect_err("refused").to_string();
        assert!(error.contains("is not a directory of user"), "{error}");
    }
}
