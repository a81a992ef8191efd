//! What a directory would be taken for, without doing it.

use std::path::Path;

use super::{Config, ManifestState, StateFileError, read_directory, state_file};
use crate::model::World;
use crate::source::Problem;

/// What a directory comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is worth a word though nothing is wrong.
    pub notes: Vec<Problem>,
    /// What would be served, with the numbers that would be given.
    pub world: World,
}

/// Reads a directory as [`super::watch()`] would at its start, with the numbers that `state_file` holds, and
/// changes nothing. What a running instance holds on to because it was right before, this doesn't know.
///
/// # Errors
///
/// The state file is there and can't be understood.
pub fn check(dir: &Path, config: Config, state_file: Option<&Path>) -> Result<Checked, StateFileError> {
    let ledger = state_file.map(state_file::read).transpose()?.unwrap_or_default();
    let files = match read_directory(dir) {
        Ok(files) => files,
        Err(problem) => return Ok(Checked { problems: vec![*problem], ..Checked::default() }),
    };
    let outcome = ManifestState::new(config, ledger).load(&files);
    let mut world = World::default();
    for change in outcome.changes {
        world.apply(change);
    }
    Ok(Checked { problems: outcome.problems, notes: outcome.notes, world })
}
