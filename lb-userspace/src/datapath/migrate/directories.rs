//! Which directory of pins counts. After a crash at any moment the next start knows:
//!
//! - `v<VERSION>`: what counts. There is one, and every start leaves one.
//! - `building`: maps that a start fills. No program reads them yet: the next start throws them away.
//! - `ready-v<VERSION>`: maps that are complete. It takes the place of `v<VERSION>` and of any other version's: the
//!   links move into it, the rest of those goes, and it gets its name.
//! - `late` in either: tables that programs may have written to after they were copied.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lb_common::LAYOUT_VERSION;

use crate::datapath::place::entries;
use crate::datapath::{DatapathError, Pins};
use crate::private;

pub(super) const BUILDING: &str = "building";
pub(super) const LATE: &str = "late";
const READY: &str = "ready-v";

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatapathError {
    let path = path.to_owned();
    move |source| DatapathError::Pin { what, path, source }
}

/// The directories of layout versions, the highest first.
pub(super) fn versions(pins: &Pins) -> Result<Vec<(u32, PathBuf)>, DatapathError> {
    let mut found = named(pins, "v")?;
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    Ok(found)
}

/// Those called so, with a number behind.
fn named(pins: &Pins, prefix: &str) -> Result<Vec<(u32, PathBuf)>, DatapathError> {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok();
    let all = entries(pins.directory())?.into_iter();
    Ok(all.filter_map(|path| Some((number(&path)?, path))).collect())
}

/// Finishes what an earlier start had decided on, and throws away what it had not.
pub(super) fn tidy(pins: &Pins) -> Result<(), DatapathError> {
    remove(&pins.directory().join(BUILDING))?;
    for (version, ready) in named(pins, READY)? {
        settle(pins, &ready, version)?;
    }
    Ok(())
}

/// An empty directory to build in.
pub(super) fn make_building(pins: &Pins) -> Result<PathBuf, DatapathError> {
    let building = pins.directory().join(BUILDING);
    for kind in ["maps", LATE] {
        let directory = building.join(kind);
        private::directory(&directory).map_err(failed("make directory", &directory))?;
    }
    Ok(building)
}

/// The directory of links, which somebody may have removed.
pub(super) fn make_links(directory: &Path) -> Result<PathBuf, DatapathError> {
    let links = directory.join("links");
    private::directory(&links).map_err(failed("make directory", &links))?;
    Ok(links)
}

/// From here on what was built counts.
pub(super) fn commit(pins: &Pins) -> Result<(), DatapathError> {
    let building = pins.directory().join(BUILDING);
    let ready = pins.directory().join(format!("{READY}{LAYOUT_VERSION}"));
    fs::rename(&building, &ready).map_err(failed("rename", &building))?;
    settle(pins, &ready, LAYOUT_VERSION)
}

/// Programs go on behind their links meanwhile, each with the maps that it has.
fn settle(pins: &Pins, ready: &Path, version: u32) -> Result<(), DatapathError> {
    let links = make_links(ready)?;
    for (_, old) in versions(pins)? {
        for link in entries(&old.join("links"))? {
            let to = links.join(link.file_name().unwrap_or_default());
            if to.exists() {
                Pins::remove_link(&link)?;
            } else {
                fs::rename(&link, &to).map_err(failed("rename", &link))?;
            }
        }
        remove(&old)?;
    }
    let place = pins.directory().join(format!("v{version}"));
    fs::rename(ready, &place).map_err(failed("rename", ready))
}

/// Takes out what another version left beside the directory that counts: its programs, for ours are attached by
/// now, then its maps.
pub(in crate::datapath) fn remove_others(pins: &Pins) -> Result<(), DatapathError> {
    for (version, other) in versions(pins)?.into_iter().filter(|(version, _)| *version != LAYOUT_VERSION) {
        tracing::info!(version, "taken out: pins of another layout version beside those in use");
        for link in entries(&other.join("links"))? {
            Pins::remove_link(&link)?;
        }
        remove(&other)?;
    }
    Ok(())
}

/// Removes a directory of pins, those of links not among them.
pub(super) fn remove(directory: &Path) -> Result<(), DatapathError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", directory)(error)),
        _ => Ok(()),
    }
}
