//! What becomes of each map when other pins are taken over: pure.

use std::collections::BTreeMap;

use lb_common::LAYOUT_VERSION;

use crate::datapath::layout::{Layout, Record, Role, Shape, Wanted};

/// What is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The layout version that the directory is named after.
    pub(super) version: u32,
    /// The maps that there are.
    pub(super) maps: BTreeMap<&'static str, Shape>,
    /// What they say of themselves; nothing in those that Shunt made before it was written down.
    pub(super) record: Option<Record>,
}

/// What becomes of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is the new one, too.
    Kept,
    /// The new one is made with its entries.
    Copied,
    /// The new one begins empty.
    Anew,
}

/// By map.
pub(super) type Fates = BTreeMap<&'static str, Fate>;

/// Why a map can't be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) map: &'static str,
    pub(super) why: String,
}

/// What becomes of each map of `layout`. With `discard_state` all begin empty.
///
/// # Errors
///
/// The first map whose content has meaning and can't be kept.
pub(super) fn plan(found: &Found, layout: &Layout, discard_state: bool) -> Result<Fates, Obstacle> {
    if discard_state {
        return Ok(layout.keys().map(|name| (*name, Fate::Anew)).collect());
    }
    // The old programs go on with the old tables until the new ones are complete: either all of them are
    // shared, or none. What the programs write is shared where it can be.
    let is_table = |wanted: &Wanted| matches!(wanted.role, Role::Derived | Role::Numbers);
    let tables_stay = layout
        .iter()
        .filter(|(_, wanted)| is_table(wanted))
        .all(|(name, wanted)| judge(found, name, wanted) == Judged::Same);
    let mut fates = Fates::new();
    for (&name, wanted) in layout {
        let shared = tables_stay || !is_table(wanted);
        let fate = match (judge(found, name, wanted), wanted.role) {
            (Judged::Same, _) if shared => Fate::Kept,
            (Judged::Same | Judged::Alike, Role::Derived | Role::Numbers | Role::State) => Fate::Copied,
            (_, Role::Derived | Role::Cache) => Fate::Anew,
            // A version that had no such map had nothing to say in it.
            (Judged::Missing, _) if wanted.since > found.version => Fate::Anew,
            (Judged::Missing, _) => return Err(Obstacle { map: name, why: "it is not there".to_owned() }),
            (Judged::Other(why), _) => return Err(Obstacle { map: name, why }),
        };
        fates.insert(name, fate);
    }
    Ok(fates)
}

/// How a pinned map compares with the one that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judged {
    /// It is that.
    Same,
    /// Its entries are.
    Alike,
    /// There is none.
    Missing,
    /// It is something else: what is different.
    Other(String),
}

fn judge(found: &Found, name: &str, wanted: &Wanted) -> Judged {
    let Some(shape) = found.maps.get(name) else {
        return Judged::Missing;
    };
    if let Some(why) = other_meaning(found, name, wanted) {
        return Judged::Other(why);
    }
    match shape.difference(&wanted.shape) {
        None => Judged::Same,
        Some(_) if shape.has_entries_of(&wanted.shape) && shape.is_copyable() => Judged::Alike,
        Some(why) => Judged::Other(why),
    }
}

/// The younger of two layouts knows since when a map's entries mean what they mean in it: they mean the same in
/// the older one if that was before.
fn other_meaning(found: &Found, name: &str, wanted: &Wanted) -> Option<String> {
    let (older, since) = if found.version > LAYOUT_VERSION {
        let since = found.record.as_ref().and_then(|record| record.since.get(name));
        (LAYOUT_VERSION, since.copied())
    } else {
        (found.version, Some(wanted.since))
    };
    match since {
        Some(since) if since <= older => None,
        Some(since) => Some(format!("its entries mean something else since layout version {since}")),
        None => Some("nothing says what its entries mean".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { kind: 1, key_size: 4, value_size: 8, entries: 64, flags: 0 };

    fn layout(since: u32) -> Layout {
        let roles = [
            ("FRONTENDS", Role::Derived),
            ("BACKENDS", Role::Numbers),
            ("FLOWS", Role::State),
            ("FRAGMENTS", Role::Cache),
        ];
        roles.map(|(name, role)| (name, Wanted { role, since, shape: SHAPE })).into()
    }

    fn found(version: u32) -> Found {
        let maps = layout(1).into_iter().map(|(name, wanted)| (name, wanted.shape)).collect();
        let mut record = Record::own(None);
        record.version = version;
        Found { version, maps, record: Some(record) }
    }

    fn words(fates: Result<Fates, Obstacle>) -> String {
        match fates {
            Ok(fates) => fates.iter().map(|(name, fate)| format!("{name} {fate:?} ")).collect(),
            Err(Obstacle { map, why }) => format!("{map}: {why}"),
        }
    }

    fn planned(found: &Found) -> String {
        words(plan(found, &layout(1), false))
    }

    #[test]
    fn pins_of_the_same_layout_are_kept_whatever_version_they_are_of() {
        for version in [1, 7] {
            let fates = planned(&found(version));
            assert_eq!(fates, "BACKENDS Kept FLOWS Kept FRAGMENTS Kept FRONTENDS Kept ");
        }
    }

    #[test]
    fn when_one_table_changes_all_of_them_are_made_anew_and_what_gives_numbers_is_copied() {
        let mut pins = found(1);
        pins.maps.insert("FRONTENDS", Shape { value_size: 12, ..SHAPE });
        assert_eq!(planned(&pins), "BACKENDS Copied FLOWS Kept FRAGMENTS Kept FRONTENDS Anew ");
        pins.maps.insert("FRONTENDS", Shape { entries: 12, ..SHAPE });
        assert_eq!(planned(&pins), "BACKENDS Copied FLOWS Kept FRAGMENTS Kept FRONTENDS Copied ");
        pins.maps.remove("FRONTENDS");
        assert_eq!(planned(&pins), "BACKENDS Copied FLOWS Kept FRAGMENTS Kept FRONTENDS Anew ");
    }

    #[test]
    fn state_of_another_size_is_copied_and_a_cache_is_not() {
        let mut pins = found(1);
        pins.maps.insert("FLOWS", Shape { entries: 12, ..SHAPE });
        pins.maps.insert("FRAGMENTS", Shape { entries: 12, ..SHAPE });
        assert_eq!(planned(&pins), "BACKENDS Kept FLOWS Copied FRAGMENTS Anew FRONTENDS Kept ");
    }

    #[test]
    fn state_and_numbers_that_are_something_else_are_an_obstacle_unless_they_are_given_up() {
        for name in ["FLOWS", "BACKENDS"] {
            let mut pins = found(1);
            pins.maps.insert(name, Shape { value_size: 12, ..SHAPE });
            assert_eq!(planned(&pins), format!("{name}: its value size is 12, and 8 is needed"));
            let fates = words(plan(&pins, &layout(1), true));
            assert_eq!(fates, "BACKENDS Anew FLOWS Anew FRAGMENTS Anew FRONTENDS Anew ");
            pins.maps.remove(name);
            assert_eq!(planned(&pins), format!("{name}: it is not there"));
        }
    }

    #[test]
    fn a_later_version_is_believed_what_it_says_of_each_map_and_nothing_that_it_does_not_say() {
        let mut pins = found(7);
        let since = &mut pins.record.as_mut().expect("a record").since;
        since.insert("FRONTENDS".to_owned(), 6);
        assert_eq!(planned(&pins), "BACKENDS Copied FLOWS Kept FRAGMENTS Kept FRONTENDS Anew ");
        pins.record.as_mut().expect("a record").since.insert("FLOWS".to_owned(), 5);
        assert_eq!(planned(&pins), "FLOWS: its entries mean something else since layout version 5");
        pins.record = None;
        assert_eq!(planned(&pins), "BACKENDS: nothing says what its entries mean");
    }

    #[test]
    fn of_an_earlier_version_only_what_has_not_changed_since_is_kept() {
        let mut wanted = layout(0);
        let fates = |wanted: &Layout| words(plan(&found(0), wanted, false));
        assert_eq!(fates(&wanted), "BACKENDS Kept FLOWS Kept FRAGMENTS Kept FRONTENDS Kept ");
        wanted.insert("AFFINITY", Wanted { role: Role::State, since: 1, shape: SHAPE });
        assert!(fates(&wanted).starts_with("AFFINITY Anew BACKENDS Kept "), "{}", fates(&wanted));
        wanted.insert("FLOWS", Wanted { role: Role::State, since: 1, shape: SHAPE });
        assert_eq!(fates(&wanted), "FLOWS: its entries mean something else since layout version 1");
    }

    #[test]
    fn what_sockets_keep_can_not_be_copied() {
        let storage = Shape { kind: aya::maps::MapType::SkStorage as u32, entries: 0, ..SHAPE };
        let mut wanted = layout(1);
        wanted.insert("SOCKET_DIALLED", Wanted { role: Role::State, since: 1, shape: storage });
        let mut pins = found(1);
        pins.maps.insert("SOCKET_DIALLED", Shape { flags: 1, ..storage });
        let said = words(plan(&pins, &wanted, false));
        assert_eq!(said, "SOCKET_DIALLED: its set of flags is 1, and 0 is needed");
    }
}
