//! `DEVICES`: what is attached to each device, and why something is not. No program reads it: it is there for
//! `shunt status`, which runs without a controller, and for the next run. A value is a JSON text, padded with
//! zero bytes.

use std::path::Path;

use aya::maps::{HashMap, MapData, MapError, MapType};
use serde::{Deserialize, Serialize};

use super::{EGRESS, INGRESS, tcx};
use crate::datapath::layout::Shape;
use crate::datapath::{DatapathError, Pins};
use crate::node::devices::Device;

pub(in crate::datapath) const MAP: &str = "DEVICES";
/// What the map is. More entries than a node has devices; those beyond are served all the same, and missing in
/// the status.
pub(in crate::datapath) const MAP_SHAPE: Shape = Shape {
    kind: MapType::Hash as u32,
    key_size: size_of::<u32>() as u32,
    value_size: VALUE_LEN as u32,
    entries: 4096,
    // BPF_F_NO_PREALLOC
    flags: 1,
};
const VALUE_LEN: usize = 512;
/// What is left for the reason beside everything else, each byte of it escaped at worst.
const WHY_LEN: usize = 160;

/// What is on a hook of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookState {
    /// Nothing of ours.
    #[default]
    Off,
    /// A TCX link.
    Tcx,
    /// A filter of a clsact qdisc.
    Clsact,
}

impl HookState {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// A device and its hooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its name.
    pub device: String,
    /// Its number.
    pub index: u32,
    /// `external`, `pods`, or none where it is left alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
    /// What is on the way in.
    pub ingress: HookState,
    /// What is on the way out.
    pub egress: HookState,
    /// Why a hook is off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// Whether its clsact qdisc is of our making.
    #[serde(rename = "madeQdisc", default)]
    pub made_qdisc: bool,
}

impl DeviceStatus {
    /// Nothing attached yet.
    pub(super) fn off(device: &Device) -> Self {
        Self {
            device: device.name.clone(),
            index: device.index,
            role: device.role.as_ref().ok().map(|role| role.name().to_owned()),
            ingress: HookState::Off,
            egress: HookState::Off,
            why: device.role.as_ref().err().map(ToString::to_string),
            made_qdisc: false,
        }
    }

    /// Whether something of ours is on one of its hooks.
    pub fn is_attached(&self) -> bool {
        [self.ingress, self.egress].iter().any(|state| *state != HookState::Off)
    }

    /// Whether everything that it is there for is attached.
    pub fn is_complete(&self) -> bool {
        self.role.is_none() || [self.ingress, self.egress].iter().all(|state| *state != HookState::Off)
    }

    pub(super) fn has_filter(&self) -> bool {
        [self.ingress, self.egress].contains(&HookState::Clsact)
    }

    pub(super) fn hook_mut(&mut self, name: &str) -> &mut HookState {
        if name == INGRESS.name { &mut self.ingress } else { &mut self.egress }
    }

    pub(super) fn add_why(&mut self, why: &str) {
        let mut text = self.why.take().map_or_else(String::new, |before| format!("{before}; "));
        text.push_str(why);
        let end = (0..=WHY_LEN.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        self.why = Some(text);
    }
}

/// Every device as it was recorded; a link that is attached no more is off.
///
/// # Errors
///
/// [`DatapathError::NotRunning`] where nothing is pinned.
pub fn device_statuses(pins: &Pins) -> Result<Vec<DeviceStatus>, DatapathError> {
    if !pins.map(MAP).exists() {
        return Err(DatapathError::NotRunning { path: pins.directory().to_owned() });
    }
    let mut statuses = Records::open(&pins.map(MAP))?.all()?;
    for status in &mut statuses {
        for hook in [INGRESS, EGRESS] {
            if *status.hook_mut(hook.name) == HookState::Tcx && !tcx::is_attached(pins, status.index, hook) {
                *status.hook_mut(hook.name) = HookState::Off;
                status.add_why(&format!("{}: the device or its link is gone", hook.name));
            }
        }
    }
    statuses.sort_by_key(|status| (status.role.is_none(), status.index));
    Ok(statuses)
}

/// Every device that was ever recorded there, of whatever layout version; what can't be read is none.
///
/// # Errors
///
/// Where the directory can't be read.
pub fn recorded_devices(pins: &Pins) -> Result<Vec<DeviceStatus>, DatapathError> {
    let records = pins.layouts()?.into_iter().map(|layout| layout.join("maps").join(MAP));
    Ok(records.filter_map(|path| Records::open(&path).ok()?.all().ok()).flatten().collect())
}

pub(super) struct Records(HashMap<MapData, u32, [u8; VALUE_LEN]>);

impl Records {
    /// The pinned map, or a new one.
    pub(super) fn ensure(pins: &Pins) -> Result<Self, DatapathError> {
        let path = pins.map(MAP);
        if path.exists() {
            return Self::open(&path);
        }
        let map = HashMap::<MapData, u32, [u8; VALUE_LEN]>::create(MAP_SHAPE.entries, MAP_SHAPE.flags)
            .map_err(failed("create"))?;
        map.pin(&path).map_err(|error| DatapathError::Pin {
            what: "make",
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
        Self::open(&path)
    }

    fn open(path: &Path) -> Result<Self, DatapathError> {
        let data = MapData::from_pin(path).map_err(failed("open pinned"))?;
        let map = aya::maps::Map::from_map_data(data).and_then(HashMap::try_from).map_err(failed("open"))?;
        Ok(Self(map))
    }

    pub(super) fn all(&self) -> Result<Vec<DeviceStatus>, DatapathError> {
        let mut statuses = Vec::new();
        for entry in self.0.iter() {
            let (_, value) = entry.map_err(failed("read"))?;
            // What another version wrote otherwise is found out anew.
            statuses.extend(decode(&value));
        }
        Ok(statuses)
    }

    pub(super) fn put(&mut self, status: &DeviceStatus) -> Result<(), DatapathError> {
        let Some(value) = encode(status) else {
            return Ok(());
        };
        match self.0.insert(status.index, value, 0) {
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::E2BIG) => {
                Ok(())
            }
            other => other.map_err(failed("write")),
        }
    }

    pub(super) fn remove(&mut self, index: u32) -> Result<(), DatapathError> {
        match self.0.remove(&index) {
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => {
                Ok(())
            }
            Err(MapError::KeyNotFound) => Ok(()),
            other => other.map_err(failed("write")),
        }
    }
}

fn encode(status: &DeviceStatus) -> Option<[u8; VALUE_LEN]> {
    let text = serde_json::to_vec(status).ok()?;
    let mut value = [0; VALUE_LEN];
    value.get_mut(..text.len())?.copy_from_slice(&text);
    Some(value)
}

fn decode(value: &[u8]) -> Option<DeviceStatus> {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    serde_json::from_slice(value.get(..end)?).ok()
}

fn failed(what: &'static str) -> impl FnOnce(MapError) -> DatapathError {
    move |source| DatapathError::Map { what, map: MAP.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::devices::Role;

    fn status(name: &str) -> DeviceStatus {
        DeviceStatus::off(&Device { index: u32::MAX, name: name.to_owned(), role: Ok(Role::External) })
    }

    #[test]
    fn the_longest_status_keeps_its_beginning_in_a_record() {
        let mut status = status(&"\\".repeat(15));
        status.add_why(&"\"ä".repeat(400));
        let kept = decode(&encode(&status).expect("room")).expect("a status");
        assert_eq!(kept, status);
        assert!(kept.why.expect("a reason").starts_with("\"ä\"ä"));
    }

    #[test]
    fn what_no_version_wrote_is_no_status() {
        assert_eq!(decode(&[0; VALUE_LEN]), None);
        assert_eq!(decode(b"{\"device\":3}"), None);
    }
}
