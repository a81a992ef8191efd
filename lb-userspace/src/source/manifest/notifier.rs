//! Hears when something happens in a directory, or to it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// What a directory is told from another one of the same name by.
type Identity = (u64, u64);

/// Hears of a directory as long as it lives, and of its name as long as the directory above lives.
pub(super) struct Notifier {
    dir: PathBuf,
    heard: Arc<Notify>,
    /// `None` where the kernel has no more to give; then nothing is ever heard.
    watcher: Option<RecommendedWatcher>,
    dir_watched: Option<Identity>,
    parent_watched: Option<Identity>,
}

impl Notifier {
    /// `dir` is absolute. Nothing is heard before [`Self::attach`].
    pub(super) fn new(dir: PathBuf) -> Self {
        let heard = Arc::new(Notify::new());
        let (ear, wanted) = (Arc::clone(&heard), dir.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| concerns(&event, &wanted)) {
                ear.notify_one();
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!("{} can't be watched, and is read every second: {error}", dir.display());
        }
        Self { dir, heard, watcher: watcher.ok(), dir_watched: None, parent_watched: None }
    }

    /// Watches the directory that has the name now; whether that worked. What happens from then on is heard.
    pub(super) fn attach(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        if let Some(parent) = self.dir.parent() {
            rewatch(watcher, parent, &mut self.parent_watched);
        }
        rewatch(watcher, &self.dir, &mut self.dir_watched);
        self.dir_watched.is_some()
    }

    /// Returns when something was heard since the last time.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }
}

fn rewatch(watcher: &mut RecommendedWatcher, path: &Path, watched: &mut Option<Identity>) {
    let now = fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    if now == *watched {
        return;
    }
    if watched.is_some() {
        // The old directory may be gone, and its watch with it.
        let _ = watcher.unwatch(path);
    }
    *watched = now.filter(|_| match watcher.watch(path, RecursiveMode::NonRecursive) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!("{} can't be watched: {error}", path.display());
            false
        }
    });
}

/// Whether an event is of the directory or of something in it; to look at a file is none.
fn concerns(event: &Event, dir: &Path) -> bool {
    let is_look = match event.kind {
        EventKind::Access(kind) => kind != AccessKind::Close(AccessMode::Write),
        _ => false,
    };
    let is_here = |path: &PathBuf| path == dir || path.parent() == Some(dir);
    !is_look && (event.need_rescan() || event.paths.iter().any(is_here))
}
