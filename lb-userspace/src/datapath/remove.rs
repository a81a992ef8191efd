//! Everything out of the kernel: of whatever layout version, and half removed or half made.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::place::{entries, is_bpffs};
use super::{DatapathError, Pins, sys};

/// What is in a directory of pins; links first: from then on no program runs that would miss its maps.
const KINDS: [&str; 3] = ["links", "maps", "late"];

impl Pins {
    /// Takes every program off its hook, then removes the pins; the directories too, where nothing else is in
    /// them. Calls `removed` with each pin. Where there is no bpffs there are no pins.
    ///
    /// # Errors
    ///
    /// At the first pin that can't be removed; what is not there is no error.
    pub fn remove(&self, mut removed: impl FnMut(&Path)) -> Result<(), DatapathError> {
        let has_pins = is_bpffs(self.directory());
        let layouts = self.layouts()?;
        for kind in KINDS.iter().filter(|_| has_pins) {
            for pin in layouts
                .iter()
                .map(|layout| entries(&layout.join(kind)))
                .collect::<Result<Vec<_>, _>>()?
                .concat()
            {
                if *kind == "links" {
                    Self::remove_link(&pin)?;
                } else {
                    let failed = |source| DatapathError::Pin { what: "remove", path: pin.clone(), source };
                    fs::remove_file(&pin).map_err(failed)?;
                }
                removed(&pin);
            }
        }
        for layout in &layouts {
            for kind in KINDS {
                remove_directory(&layout.join(kind))?;
            }
            remove_directory(layout)?;
        }
        remove_directory(self.directory())
    }

    /// The directories of layouts: those in use, and those that a start was about to make.
    pub(super) fn layouts(&self) -> Result<Vec<PathBuf>, DatapathError> {
        let is_layout = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let version = name.strip_prefix("ready-v").or_else(|| name.strip_prefix('v'));
            name == "building" || version.is_some_and(|version| version.parse::<u32>().is_ok())
        };
        Ok(entries(self.directory())?.into_iter().filter(|path| is_layout(path)).collect())
    }

    /// Takes a program off its hook, and its pinned link away.
    pub(super) fn remove_link(pin: &Path) -> Result<(), DatapathError> {
        let removed = detach(pin).and_then(|()| fs::remove_file(pin));
        removed.map_err(|source| DatapathError::Pin { what: "remove", path: pin.to_owned(), source })
    }
}

fn detach(pin: &Path) -> io::Result<()> {
    let link = sys::open_pin(pin)?;
    match sys::detach(link.as_fd()) {
        // What it was attached to is gone already, or it is no link.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOLINK | libc::EINVAL)) => Ok(()),
        other => other,
    }
}

/// Removes an empty directory; one that is a mount point, or holds what is not ours, stays.
fn remove_directory(directory: &Path) -> Result<(), DatapathError> {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound, ResourceBusy};
    match fs::remove_dir(directory) {
        Err(error)
            if !matches!(error.kind(), NotFound | NotADirectory | DirectoryNotEmpty | ResourceBusy) =>
        {
            Err(DatapathError::Pin { what: "remove", path: directory.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
