//! The edge: follows a directory, and sends what changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::notifier::Notifier;
use super::{Config, ManifestState, StateFileError, read_directory, state_file};
use crate::source::{Problem, SourceEvent};

/// How long nothing must happen in the directory before it is read: a save is several events.
const QUIET: Duration = Duration::from_millis(50);

/// How long is waited for that at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the directory is read though nothing was heard of it: not every file system tells, and a link
/// may lead to a place that isn't watched.
const UNASKED: Duration = Duration::from_secs(10);

/// The same where nothing will be heard of it.
const UNHEARD: Duration = Duration::from_secs(1);

/// Why a directory can't be followed at all.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The numbers given before are not known.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// The directory is relative, and there is nothing that it is relative to.
    #[error("{path} can't be made absolute")]
    Relative {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Follows a directory until the receiver is dropped.
///
/// The first event is sent at once. It is the [`SourceEvent::first`] one if the directory could be read; else
/// it holds that problem, and the first one comes when the directory does. A directory that vanishes is a
/// problem, and changes nothing. Numbers given are on the disk before the event that tells them is sent; those that
/// could not be written are tried once more at the end.
///
/// # Errors
///
/// Nothing was sent: the state file can't be understood.
pub async fn watch(
    dir: PathBuf,
    config: Config,
    state_file: Option<PathBuf>,
    sender: mpsc::Sender<SourceEvent>,
) -> Result<(), WatchError> {
    let absolute =
        std::path::absolute(&dir).map_err(|source| WatchError::Relative { path: dir.clone(), source })?;
    let mut notifier = Notifier::new(absolute);
    let mut reader = Reader::new(dir, config, state_file)?;
    loop {
        let is_heard = notifier.attach();
        let event;
        (reader, event) = off_thread(move || {
            let event = reader.read();
            (reader, event)
        })
        .await;
        if let Some(event) = event
            && sender.send(event).await.is_err()
        {
            break;
        }
        tokio::select! {
            () = sender.closed() => break,
            () = notifier.heard() => settle(&notifier).await,
            () = sleep(if is_heard { UNASKED } else { UNHEARD }) => {}
        }
    }
    if let Some(problem) = off_thread(move || reader.save()).await {
        tracing::error!("{problem}; the next start may give other numbers");
    }
    Ok(())
}

/// Waits until it is quiet.
async fn settle(notifier: &Notifier) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && timeout(QUIET, notifier.heard()).await.is_ok() {}
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The state machine with its files.
struct Reader {
    dir: PathBuf,
    state_file: Option<PathBuf>,
    state: ManifestState,
    /// What the state file holds is what the state machine has.
    is_saved: bool,
    /// The directory was read once.
    is_complete: bool,
    problems: Option<Vec<Problem>>,
    notes: Vec<Problem>,
}

impl Reader {
    fn new(dir: PathBuf, config: Config, state_file: Option<PathBuf>) -> Result<Self, StateFileError> {
        let ledger = state_file.as_deref().map(state_file::read).transpose()?.unwrap_or_default();
        let state = ManifestState::new(config, ledger);
        Ok(Self { dir, state_file, state, is_saved: true, is_complete: false, problems: None, notes: vec![] })
    }

    /// Reads the directory; `None` where nothing is new.
    fn read(&mut self) -> Option<SourceEvent> {
        let mut event = SourceEvent::default();
        match read_directory(&self.dir) {
            Ok(files) => {
                let before = self.state.ledger().clone();
                let outcome = self.state.load(&files);
                self.is_saved &= before == *self.state.ledger();
                event.changes = outcome.changes;
                event.problems = outcome.problems;
                event.first = !self.is_complete;
                self.is_complete = true;
                for moved in &outcome.moved {
                    tracing::warn!("{moved}");
                }
                for note in outcome.notes.iter().filter(|note| !self.notes.contains(note)) {
                    tracing::debug!("{note}");
                }
                self.notes = outcome.notes;
            }
            Err(problem) => event.problems = vec![*problem],
        }
        event.problems.extend(self.save());
        let is_news =
            event.first || !event.changes.is_empty() || self.problems.as_ref() != Some(&event.problems);
        self.problems = Some(event.problems.clone());
        is_news.then_some(event)
    }

    /// Writes the state file where it must be; what can't be written is tried again at the next reading.
    fn save(&mut self) -> Option<Problem> {
        let path: &Path = self.state_file.as_deref().filter(|_| !self.is_saved)?;
        match state_file::write(path, self.state.ledger()) {
            Ok(()) => {
                self.is_saved = true;
                None
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                Some(Problem::of_file(path.display().to_string(), format!("can't be written: {cause}")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
