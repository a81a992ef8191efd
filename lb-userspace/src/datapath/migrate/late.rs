//! Tables that programs of before write to after they were copied, and those in their places: what came late is
//! brought after, when none of those programs is left.

use std::path::{Path, PathBuf};

use super::copy::Pair;
use super::{CopyError, copy_failed, directories};
use crate::datapath::layout::{Layout, Shape};
use crate::datapath::{DatapathError, place};

/// The tables in `late` of a directory, each with the one in its place.
#[derive(Default)]
pub(in crate::datapath) struct Late {
    tables: Vec<Table>,
}

struct Table {
    name: &'static str,
    /// Of a layout before the one before: its entries are in the newer one, too, but for those that came late.
    is_older: bool,
    pair: Pair,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.tables.iter().map(|table| table.name)).finish()
    }
}

impl Late {
    /// Of a directory whose maps are there. A table whose entries are others is left out.
    pub(super) fn of(directory: &Path, layout: &Layout) -> Result<Self, DatapathError> {
        let mut tables = Vec::new();
        for from in place::entries(&directory.join(directories::LATE))? {
            let Some((name, is_older)) = parse(&from, layout) else { continue };
            let to = directory.join("maps").join(name);
            let (old, new) = (Shape::of_pin(&from, name)?, Shape::of_pin(&to, name)?);
            if old.has_entries_of(&new) {
                let pair = Pair::open((&from, old), (&to, new));
                let pair = pair.map_err(|error| copy_failed(name, error.into()))?;
                tables.push(Table { name, is_older, pair });
            }
        }
        tables.sort_by_key(|table| (table.is_older, order(table.name)));
        Ok(Self { tables })
    }

    /// Copies what the programs write now, over what was copied before.
    pub(super) fn copy(&self) -> Result<(), DatapathError> {
        self.each(
            |table| if table.is_older { table.pair.copy_missing().map(drop) } else { table.pair.copy() },
        )
    }

    /// Brings the entries that are not there yet, and returns how many there were.
    pub(in crate::datapath) fn bring(&self) -> Result<usize, DatapathError> {
        let mut brought = 0;
        self.each(|table| {
            brought += table.pair.copy_missing()?;
            Ok(())
        })?;
        Ok(brought)
    }

    fn each(&self, mut act: impl FnMut(&Table) -> Result<(), CopyError>) -> Result<(), DatapathError> {
        self.tables.iter().try_for_each(|table| act(table).map_err(|error| copy_failed(table.name, error)))
    }
}

/// A flow goes from `NEW_FLOWS` to `FLOWS` and never back: one that does so meanwhile is seen in either, or both.
pub(super) fn order(name: &'static str) -> (bool, &'static str) {
    (name != "NEW_FLOWS", name)
}

/// What the pin of a table is called that an earlier start had not brought everything from.
pub(super) fn older(name: &str, number: usize) -> String {
    format!("{name}-{number}")
}

/// The table of a pin, and whether it is an older one.
pub(super) fn parse(pin: &Path, layout: &Layout) -> Option<(&'static str, bool)> {
    let file = pin.file_name()?.to_str()?;
    let (name, is_older) = file.split_once('-').map_or((file, false), |(name, _)| (name, true));
    layout.get_key_value(name).map(|(name, _)| (*name, is_older))
}

/// Where the tables of a directory are that are not brought yet.
pub(super) fn pins(directory: &Path) -> Result<Vec<PathBuf>, DatapathError> {
    place::entries(&directory.join(directories::LATE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::layout::{Role, Wanted};

    #[test]
    fn flows_are_read_after_the_table_that_they_come_from() {
        let mut names = ["AFFINITY", "COUNTERS", "FLOWS", "NEW_FLOWS", "SOCKET_FLOWS"];
        names.sort_by_key(|name| order(name));
        assert_eq!(names, ["NEW_FLOWS", "AFFINITY", "COUNTERS", "FLOWS", "SOCKET_FLOWS"]);
    }

    #[test]
    fn the_pin_of_a_table_says_whose_it_is_and_whether_it_is_an_older_one() {
        let shape = Shape { kind: 1, key_size: 4, value_size: 8, entries: 64, flags: 0 };
        let wanted = |name| (name, Wanted { role: Role::State, since: 1, shape });
        let layout = Layout::from(["FLOWS", "NEW_FLOWS"].map(wanted));
        assert_eq!(parse(Path::new("late/FLOWS"), &layout), Some(("FLOWS", false)));
        let of_before = Path::new("late").join(older("NEW_FLOWS", 3));
        assert_eq!(parse(&of_before, &layout), Some(("NEW_FLOWS", true)));
        assert_eq!(parse(Path::new("late/OTHERS"), &layout), None);
    }
}
