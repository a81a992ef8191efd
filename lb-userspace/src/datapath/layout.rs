//! The maps that outlive a process: what each is for, and what tells whether one that is pinned can be kept.
//!
//! A map is known by its [`Shape`] and by the layout version since which its entries mean what they mean. Both
//! stand in `LAYOUT`, a map beside the others that no program reads: so pins tell what they are also to a version
//! of Shunt that is older than they.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData, MapError, MapInfo, MapType};
use aya_obj::Object;
use lb_common::LAYOUT_VERSION;
use serde::{Deserialize, Serialize};

use super::store::{LABELS, LABELS_SHAPE, open_data};
use super::{DatapathError, MapSize, OBJECT, Pins, devices};

/// What a map's content is worth when another layout takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Follows from the world: it may begin empty, and is complete before a program reads it.
    Derived,
    /// Written by the controller, and it gives the numbers that state refers to: it is kept or copied.
    Numbers,
    /// Written by the programs, and has meaning over a restart: it is kept or copied, else the start is refused.
    State,
    /// A cache, or for people: it is kept where it is the same, else it begins empty.
    Cache,
}

/// A map that is kept over restarts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// The layout version since which its entries mean what they mean now.
    pub(super) since: u32,
}

const fn kept(name: &'static str, role: Role, since: u32) -> Kept {
    Kept { name, role, since }
}

/// Every map that is kept. Who changes what a map's entries are writes the new `LAYOUT_VERSION` behind it.
pub(super) const KEPT: [Kept; 17] = [
    kept("FRONTENDS", Role::Derived, 1),
    kept("RANGES", Role::Derived, 1),
    kept("NODE", Role::Derived, 1),
    kept("SERVICES", Role::Numbers, 1),
    kept("SLOTS", Role::Numbers, 1),
    kept("BACKENDS", Role::Numbers, 1),
    kept(LABELS, Role::Numbers, 1),
    // Also the bits of flows whose Service is gone.
    kept("FILTER", Role::Numbers, 1),
    kept("AFFINITY", Role::State, 1),
    kept("SOCKET_DIALLED", Role::State, 1),
    kept("SOCKET_FLOWS", Role::State, 1),
    kept("FLOWS", Role::State, 1),
    kept("NEW_FLOWS", Role::State, 1),
    kept("COUNTERS", Role::State, 1),
    kept("FRAGMENTS", Role::Cache, 1),
    kept("EXHAUSTED", Role::Cache, 1),
    kept(devices::MAP, Role::Cache, 1),
];

/// Maps whose size may be chosen. That of `LABELS` is that of `SERVICES`; the others are what they are.
pub(super) const SIZED: [&str; 11] = [
    "FRONTENDS",
    "RANGES",
    "SERVICES",
    "SLOTS",
    "BACKENDS",
    "AFFINITY",
    "SOCKET_FLOWS",
    "FLOWS",
    "NEW_FLOWS",
    "FRAGMENTS",
    "EXHAUSTED",
];

/// What the kernel knows of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// `enum bpf_map_type`
    #[serde(rename = "type")]
    pub kind: u32,
    /// Bytes.
    pub key_size: u32,
    /// Bytes.
    pub value_size: u32,
    /// Entries at most.
    pub entries: u32,
    /// `BPF_F_…`
    pub flags: u32,
}

impl Shape {
    /// That of the map behind a pin.
    pub(super) fn of_pin(path: &Path, name: &str) -> Result<Self, DatapathError> {
        let error = |source| DatapathError::Map { what: "inspect pinned", map: name.to_owned(), source };
        let info = MapInfo::from_pin(path).map_err(error)?;
        Ok(Self {
            kind: info.map_type().map_err(error)? as u32,
            key_size: info.key_size(),
            value_size: info.value_size(),
            entries: info.max_entries(),
            flags: info.map_flags(),
        })
    }

    /// Whether an entry of the one can be one of the other.
    pub(super) fn has_entries_of(&self, other: &Self) -> bool {
        (self.kind, self.key_size, self.value_size) == (other.kind, other.key_size, other.value_size)
    }

    /// Whether entries can be read and written by keys: not those of sockets, which are only there by them.
    pub(super) fn is_copyable(&self) -> bool {
        self.kind != MapType::SkStorage as u32
    }

    /// What is different, for people: the first of it.
    pub(super) fn difference(&self, wanted: &Self) -> Option<String> {
        let fields = [
            ("type is", self.kind, wanted.kind),
            ("key size is", self.key_size, wanted.key_size),
            ("value size is", self.value_size, wanted.value_size),
            ("size is", self.entries, wanted.entries),
            ("set of flags is", self.flags, wanted.flags),
        ];
        let (field, found, wanted) = fields.into_iter().find(|(_, found, wanted)| found != wanted)?;
        Some(format!("its {field} {found}, and {wanted} is needed"))
    }
}

/// A kept map as this version makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// What its content is worth.
    pub role: Role,
    /// The layout version since which its entries mean what they mean now.
    pub since: u32,
    /// What it is in the kernel.
    #[serde(flatten)]
    pub shape: Shape,
}

/// All kept maps, by name.
pub type Layout = BTreeMap<&'static str, Wanted>;

/// The layout that this version makes, with these sizes.
///
/// # Errors
///
/// Where the object lacks a map.
pub fn layout(sizes: &[MapSize]) -> Result<Layout, DatapathError> {
    let object = Object::parse(OBJECT).map_err(|error| DatapathError::Load(error.into()))?;
    let shape = |name: &str| match name {
        LABELS => Some(LABELS_SHAPE),
        devices::MAP => Some(devices::MAP_SHAPE),
        _ => object.maps.get(name).map(|map| Shape {
            kind: map.map_type(),
            key_size: map.key_size(),
            value_size: map.value_size(),
            entries: map.max_entries(),
            flags: map.map_flags(),
        }),
    };
    let mut layout = Layout::new();
    for Kept { name, role, since } in KEPT {
        let missing = || DatapathError::Missing { what: "map", name: name.to_owned() };
        let mut shape = shape(name).ok_or_else(missing)?;
        let sized = if name == LABELS { "SERVICES" } else { name };
        if let Some(size) = sizes.iter().rfind(|size| size.map == sized) {
            shape.entries = size.entries;
        }
        layout.insert(name, Wanted { role, since, shape });
    }
    Ok(layout)
}

/// The state file of the instance that had these pins, where it had one.
///
/// # Errors
///
/// Where the directory can't be read.
pub fn state_file(pins: &Pins) -> Result<Option<PathBuf>, DatapathError> {
    let records = pins.layouts()?.into_iter().map(|layout| layout.join("maps").join(Record::MAP));
    Ok(records.filter_map(|path| Record::read(&path)?.state_file).next())
}

/// What pins say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// `LAYOUT_VERSION` of who made them.
    pub(super) version: u32,
    /// The version of Shunt.
    pub(super) shunt: String,
    /// By map: since which layout version its entries mean what they mean.
    pub(super) since: BTreeMap<String, u32>,
    /// Where their instance remembers what it allocated.
    #[serde(rename = "stateFile", skip_serializing_if = "Option::is_none", default)]
    pub(super) state_file: Option<PathBuf>,
}

impl Record {
    /// The map that it stands in: one element, a JSON text padded with zero bytes.
    pub(super) const MAP: &str = "LAYOUT";
    const LEN: usize = 2048;

    /// Of this version.
    pub(super) fn own(state_file: Option<PathBuf>) -> Self {
        Self {
            version: LAYOUT_VERSION,
            shunt: env!("CARGO_PKG_VERSION").to_owned(),
            since: KEPT.iter().map(|kept| (kept.name.to_owned(), kept.since)).collect(),
            // A longer path has no room; who takes everything out has to be told it.
            state_file: state_file.filter(|file| file.as_os_str().len() < Self::LEN / 4),
        }
    }

    /// The one in a pinned map; `None` where there is none, or one that says nothing.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let data = MapData::from_pin(path).ok()?;
        let map = Array::<_, [u8; Self::LEN]>::try_from(Map::from_map_data(data).ok()?).ok()?;
        let value = map.get(&0, 0).ok()?;
        let end = value.iter().position(|byte| *byte == 0)?;
        serde_json::from_slice(value.get(..end)?).ok()
    }

    /// Writes it into a map that is pinned there, made where there is none.
    pub(super) fn write(&self, path: &Path) -> Result<(), DatapathError> {
        let failed = |source| DatapathError::Map { what: "write", map: Self::MAP.to_owned(), source };
        if !path.exists() {
            let made = Array::<MapData, [u8; Self::LEN]>::create(1, 0).map_err(failed)?;
            made.pin(path).map_err(|error| DatapathError::Pin {
                what: "make",
                path: path.to_owned(),
                source: std::io::Error::other(error),
            })?;
        }
        let data = Map::from_map_data(open_data(path, Self::MAP)?).map_err(failed)?;
        let mut map = Array::<_, [u8; Self::LEN]>::try_from(data).map_err(failed)?;
        let text = serde_json::to_vec(self).unwrap_or_default();
        let mut value = [0; Self::LEN];
        let room = value.get_mut(..text.len()).ok_or_else(|| {
            failed(MapError::OutOfBounds {
                index: u32::try_from(text.len()).unwrap_or(u32::MAX),
                max_entries: Self::LEN as u32,
            })
        })?;
        room.copy_from_slice(&text);
        map.set(0, value, 0).map_err(failed)
    }
}
