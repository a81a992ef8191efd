//! A start with pins of another layout: another version's, or maps of other sizes.
//!
//! 1. The maps of the new layout are made in a directory of their own. What can be the same map is the same map;
//!    what gives numbers, and state of another size, is copied; the rest begins empty ([`plan`]).
//! 2. The controller fills them from the first complete picture of the world. The programs that were there before
//!    serve meanwhile, with the tables that they have.
//! 3. The new directory becomes the one that counts ([`directories`]), and the programs go behind the old links.
//! 4. Entries that came into a table while it was being copied are brought after.
//!
//! Invariants: no map that an old program reads is written for a new one; before step 3 nothing has changed for
//! anybody; a crash at any moment leaves what the next start goes on from.

mod copy;
mod directories;
mod plan;

use std::collections::BTreeMap;
use std::path::PathBuf;

use lb_common::LAYOUT_VERSION;

use super::layout::{Layout, Record, Role, Shape};
use super::{DatapathError, Pins, sys};
use copy::{CopyError, Pair};
pub(super) use directories::remove_others;
use plan::{Fate, Fates, Found, Obstacle};

/// How a start begins.
pub(super) enum Start {
    /// The pinned maps are those that this version makes: so many.
    Adopted(usize),
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
    catch_up(&from, layout)?;
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
        return Ok(Start::Adopted(fates.len()));
    }
    let migration =
        Migration { pins: pins.clone(), from, found, layout: layout.clone(), fates, state: vec![] };
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

/// Brings entries into tables that a crash kept from being brought.
fn catch_up(directory: &std::path::Path, layout: &Layout) -> Result<(), DatapathError> {
    let late = directory.join(directories::LATE);
    for from in super::place::entries(&late)? {
        let Some((&name, wanted)) = layout.iter().find(|(name, _)| from.ends_with(name)) else {
            continue;
        };
        let to = directory.join("maps").join(name);
        let (old, new) = (Shape::of_pin(&from, name)?, Shape::of_pin(&to, name)?);
        if old.has_entries_of(&new) && new.has_entries_of(&wanted.shape) {
            let pair = Pair::open((&from, old), (&to, new));
            let copied = pair.map_err(CopyError::from).and_then(|pair| pair.copy_missing());
            copied.map_err(|error| copy_failed(name, error))?;
        }
    }
    directories::remove(&late)
}

/// One layout in place of another.
pub(super) struct Migration {
    pins: Pins,
    from: PathBuf,
    found: Found,
    layout: Layout,
    fates: Fates,
    /// Copied tables that the old programs still write to.
    state: Vec<(&'static str, Pair)>,
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
            let to = directory.join(place).join(name);
            let pinned = sys::open_pin(&self.old_pin(name))
                .and_then(|map| sys::pin(std::os::fd::AsFd::as_fd(&map), &to));
            pinned.map_err(|source| DatapathError::Pin { what: "make", path: to, source })?;
        }
        Ok(())
    }

    fn is_state(&self, name: &str) -> bool {
        self.layout.get(name).is_some_and(|wanted| wanted.role == Role::State)
    }

    /// Copies what is to be copied into the maps that are there by now.
    pub(super) fn copy(&mut self) -> Result<(), DatapathError> {
        let built = building(&self.pins);
        let copied: Vec<_> = self.fates.iter().filter(|(_, fate)| **fate == Fate::Copied).collect();
        for (&name, _) in copied {
            let (Some(old), Some(new)) = (self.found.maps.get(name), self.layout.get(name)) else {
                continue;
            };
            let pair = Pair::open((&self.old_pin(name), *old), (&built.map(name), new.shape));
            let pair = pair.map_err(|error| copy_failed(name, error.into()))?;
            pair.copy().map_err(|error| copy_failed(name, error))?;
            if self.is_state(name) {
                self.state.push((name, pair));
            }
        }
        Ok(())
    }

    /// Makes what was built what counts. The programs are to be put behind the links next.
    pub(super) fn commit(&self) -> Result<(), DatapathError> {
        // Once more, so that little is late.
        for (name, pair) in &self.state {
            pair.copy().map_err(|error| copy_failed(name, error))?;
        }
        directories::commit(&self.pins)
    }

    /// Brings what old programs wrote until the last of them was replaced.
    pub(super) fn finish(self) -> Result<usize, DatapathError> {
        let mut late = 0;
        for (name, pair) in &self.state {
            late += pair.copy_missing().map_err(|error| copy_failed(name, error))?;
        }
        directories::remove(&self.pins.version_directory().join(directories::LATE))?;
        Ok(late)
    }
}

fn copy_failed(map: &'static str, error: CopyError) -> DatapathError {
    match error {
        CopyError::Full(size) => DatapathError::DoesNotFit { map, size },
        CopyError::Failed(source) => DatapathError::Copy { map, source },
    }
}
