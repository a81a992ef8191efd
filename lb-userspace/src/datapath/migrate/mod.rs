//! A start with pins of another layout: another version's, or maps of other sizes.
//!
//! 1. The maps of the new layout are made in a directory of their own. What can be the same map is the same map;
//!    what gives numbers, and state of another size, is copied; the rest begins empty ([`plan`]).
//! 2. The controller fills them from the first complete picture of the world. The programs that were there before
//!    serve meanwhile, with the tables that they have.
//! 3. The new directory becomes the one that counts ([`directories`]), and the programs go behind the old links.
//! 4. Entries that came into a table while it was being copied are brought after, when all programs are ours.
//!
//! Invariants: no map that an old program reads is written for a new one; before step 3 nothing has changed for
//! anybody; a crash at any moment leaves what the next start goes on from.

mod copy;
mod directories;
mod late;
mod plan;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use lb_common::LAYOUT_VERSION;

use super::layout::{Layout, Record, Role, Shape};
use super::{DatapathError, Pins, sys};
use copy::{CopyError, Pair};
pub(super) use directories::remove_others;
pub(super) use late::Late;
use plan::{Fate, Fates, Found, Obstacle};

/// How a start begins.
pub(super) enum Start {
    /// The pinned maps are those that this version makes: so many. What the programs of before may write still
    /// is brought when none of them is left: [`end_late`].
    Adopted(usize, Late),
    /// There is nothing yet; the maps are to be made in [`building`].
    Fresh,
    /// The maps are to be made in [`building`] by this.
    Over(Box<Migration>),
}

/// The pins while maps are made.
pub(super) fn building(pins: &Pins) -> Pins {
    pins.with_maps_in(directories::BUILDING)
}

/// Looks at what is pinned, and prepares the directory to make maps in where one is needed.
///
/// # Errors
///
/// Where a map can't be taken over; nothing has changed then.
pub(super) fn begin(pins: &Pins, layout: &Layout, discard_state: bool) -> Result<Start, DatapathError> {
    directories::tidy(pins)?;
    let Some((found, from)) = find(pins, layout)? else {
        directories::make_building(pins)?;
        return Ok(Start::Fresh);
    };
    // A start before was killed while it took over. The programs of before it serve still, and write.
    let late = Late::of(&from, layout)?;
    late.bring()?;
    let fates = plan::plan(&found, layout, discard_state).map_err(|Obstacle { map, why }| {
        let made_by = found.record.as_ref().map(|record| format!(" of Shunt {}", record.shunt));
        DatapathError::LayoutDiffers {
            pins: pins.directory().to_owned(),
            version: found.version,
            made_by: made_by.unwrap_or_default(),
            map,
            why,
        }
    })?;
    if found.version == LAYOUT_VERSION && fates.values().all(|fate| *fate == Fate::Kept) {
        directories::make_links(&from)?;
        return Ok(Start::Adopted(fates.len(), late));
    }
    let migration =
        Migration { pins: pins.clone(), from, found, layout: layout.clone(), fates, late: Late::default() };
    migration.prepare()?;
    Ok(Start::Over(Box::new(migration)))
}

/// The directory that counts, and what is in it; `None` where there are no maps.
fn find(pins: &Pins, layout: &Layout) -> Result<Option<(Found, PathBuf)>, DatapathError> {
    let versions = directories::versions(pins)?;
    let own = versions.iter().find(|(version, _)| *version == LAYOUT_VERSION);
    let Some((version, directory)) = own.or(versions.first()) else {
        return Ok(None);
    };
    let mut maps = BTreeMap::new();
    for &name in layout.keys() {
        let path = directory.join("maps").join(name);
        if path.exists() {
            maps.insert(name, Shape::of_pin(&path, name)?);
        }
    }
    if maps.is_empty() {
        return Ok(None);
    }
    let record = Record::read(&directory.join("maps").join(Record::MAP));
    Ok(Some((Found { version: *version, maps, record }, directory.clone())))
}

/// Makes what was built what counts, where nothing was there before.
pub(super) fn commit_fresh(pins: &Pins) -> Result<(), DatapathError> {
    directories::commit(pins)?;
    directories::remove(&pins.version_directory().join(directories::LATE))
}

/// Throws away what was built; nobody has it yet.
pub(super) fn abandon(pins: &Pins) {
    if let Err(error) = directories::remove(&pins.directory().join(directories::BUILDING)) {
        tracing::debug!(%error, "the next start throws it away");
    }
}

/// Brings what the programs of before wrote until the last of them was replaced, and returns how much that was.
pub(super) fn end_late(pins: &Pins, late: &Late) -> Result<usize, DatapathError> {
    let brought = late.bring()?;
    directories::remove(&pins.version_directory().join(directories::LATE))?;
    Ok(brought)
}

/// One layout in place of another.
pub(super) struct Migration {
    pins: Pins,
    from: PathBuf,
    found: Found,
    layout: Layout,
    fates: Fates,
    /// Copied tables that the old programs still write to.
    late: Late,
}

impl std::fmt::Debug for Migration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migration")
            .field("from", &self.from)
            .field("fates", &self.fates)
            .finish_non_exhaustive()
    }
}

impl Migration {
    /// What it does, for the log.
    pub(super) fn summary(&self) -> String {
        let named = |wanted: Fate| {
            let names = self.fates.iter().filter(|(_, fate)| **fate == wanted).map(|(name, _)| *name);
            names.collect::<Vec<_>>().join(" ")
        };
        format!(
            "pins of layout version {} are taken over: copied [{}], made anew [{}]",
            self.found.version,
            named(Fate::Copied),
            named(Fate::Anew)
        )
    }

    fn old_pin(&self, name: &str) -> PathBuf {
        self.from.join("maps").join(name)
    }

    /// The directory with the maps that stay, and with those that the old programs go on to write.
    fn prepare(&self) -> Result<(), DatapathError> {
        let directory = directories::make_building(&self.pins)?;
        for (&name, fate) in &self.fates {
            let place = match fate {
                Fate::Kept => "maps",
                Fate::Copied if self.is_state(name) => directories::LATE,
                Fate::Copied | Fate::Anew => continue,
            };
            pin_also(&self.old_pin(name), &directory.join(place).join(name))?;
        }
        for (number, pin) in late::pins(&self.from)?.iter().enumerate() {
            if let Some((name, _)) = late::parse(pin, &self.layout)
                && self.fates.get(name).is_some_and(|fate| *fate != Fate::Anew)
            {
                pin_also(pin, &directory.join(directories::LATE).join(late::older(name, number)))?;
            }
        }
        Ok(())
    }

    fn is_state(&self, name: &str) -> bool {
        self.layout.get(name).is_some_and(|wanted| wanted.role == Role::State)
    }

    /// Copies what is to be copied into the maps that are there by now.
    pub(super) fn copy(&mut self) -> Result<(), DatapathError> {
        let built = building(&self.pins);
        let is_copied = |name: &str| self.fates.get(name) == Some(&Fate::Copied) && !self.is_state(name);
        for (&name, new) in self.layout.iter().filter(|(name, _)| is_copied(name)) {
            let Some(old) = self.found.maps.get(name) else { continue };
            let pair = Pair::open((&self.old_pin(name), *old), (&built.map(name), new.shape));
            let pair = pair.map_err(|error| copy_failed(name, error.into()))?;
            pair.copy().map_err(|error| copy_failed(name, error))?;
        }
        self.late = Late::of(&self.pins.directory().join(directories::BUILDING), &self.layout)?;
        self.late.copy()
    }

    /// Makes what was built what counts. The programs are to be put behind the links next.
    pub(super) fn commit(&self) -> Result<(), DatapathError> {
        // Once more, so that little is late.
        self.late.copy()?;
        directories::commit(&self.pins)
    }

    /// Brings what old programs wrote until the last of them was replaced.
    pub(super) fn finish(self) -> Result<usize, DatapathError> {
        end_late(&self.pins, &self.late)
    }
}

/// Pins what is pinned once more.
fn pin_also(pin: &Path, to: &Path) -> Result<(), DatapathError> {
    let pinned = sys::open_pin(pin).and_then(|map| sys::pin(map.as_fd(), to));
    pinned.map_err(|source| DatapathError::Pin { what: "make", path: to.to_owned(), source })
}

fn copy_failed(map: &'static str, error: CopyError) -> DatapathError {
    match error {
        CopyError::Full(size) => DatapathError::DoesNotFit { map, size },
        CopyError::Failed(source) => DatapathError::Copy { map, source },
    }
}
