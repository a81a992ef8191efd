//! The packet programs on the tc hooks of the node's devices: by TCX links where the kernel has them (Linux
//! 6.6), by filters of a clsact qdisc where not. Other programs on these hooks are left where they are.
//!
//! Ours is the last on the way in, so that all others see a packet as it came, and the first on the way out,
//! so that they see it as it goes: what netfilter's NAT would show them.
//!
//! Invariants: what is attached outlives this process; a program is replaced in place, never taken off first;
//! `DEVICES` says of every device what is attached and why something is not.

mod clsact;
mod record;
mod tcx;

use std::collections::{BTreeMap, BTreeSet};

use aya::Ebpf;
use aya::programs::{Program, ProgramError, SchedClassifier, TcAttachType, TcError};

use super::migrate::{self, Late};
use super::place::entries;
use super::{DatapathError, Pins};
use crate::node::devices::{Device, Role};
use crate::reconcile::chain;

pub use clsact::remove_filters;
use record::Records;
pub use record::{DeviceStatus, HookState, device_statuses, recorded_devices};
pub(super) use record::{MAP, MAP_SHAPE};
pub use tcx::has_fib_source;

/// A hook of a device.
#[derive(Debug, Clone, Copy)]
struct TcHook {
    /// The word for it in pins and tables.
    name: &'static str,
    /// The program that belongs there.
    program: &'static str,
    direction: TcAttachType,
    /// `enum bpf_attach_type`
    attach_type: u32,
    /// Where among the filters of a clsact qdisc: the lowest comes first.
    priority: u16,
}

/// Packets of clients outside, and answers of backends elsewhere.
const INGRESS: TcHook = TcHook {
    name: "ingress",
    program: "shunt_ingress",
    direction: TcAttachType::Ingress,
    attach_type: 46,
    priority: 50_000,
};

/// Packets of pods of this node.
const POD_INGRESS: TcHook = TcHook { program: "shunt_pod_in", ..INGRESS };

/// Answers of backends of this node.
const EGRESS: TcHook = TcHook {
    name: "egress",
    program: "shunt_egress",
    direction: TcAttachType::Egress,
    attach_type: 47,
    priority: 50,
};

/// The names of the packet programs in the object.
pub(super) const PROGRAMS: [&str; 3] = [INGRESS.program, POD_INGRESS.program, EGRESS.program];

/// The packet programs, loaded, and where they are attached.
pub struct DeviceHooks {
    ebpf: Ebpf,
    pins: Pins,
    records: Records,
    known: BTreeMap<u32, DeviceStatus>,
    use_tcx: bool,
    /// What programs of before write to until ours are in their places.
    late: Option<Late>,
}

impl std::fmt::Debug for DeviceHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceHooks").field("known", &self.known).finish_non_exhaustive()
    }
}

impl DeviceHooks {
    /// With the programs of `ebpf`, which are loaded already; what an earlier run attached is known by its
    /// records. The records are among `maps`, which may still be in a directory of their own.
    pub(super) fn new(
        ebpf: Ebpf,
        maps: &Pins,
        pins: &Pins,
        no_tcx: bool,
        late: Option<Late>,
    ) -> Result<Self, DatapathError> {
        let records = Records::ensure(maps)?;
        let known = records.all()?.into_iter().map(|status| (status.index, status)).collect();
        Ok(Self { ebpf, pins: pins.clone(), records, known, use_tcx: !no_tcx && tcx::is_supported(), late })
    }

    /// Attaches to the devices that have a role, takes off those that have none or are gone, and returns what
    /// is different from before. Also for devices that were seen already: what others took away comes back.
    ///
    /// # Errors
    ///
    /// Where a record can't be written. A device that can't be attached to is none: its status says why.
    pub fn apply(&mut self, devices: &[Device]) -> Result<Vec<DeviceStatus>, DatapathError> {
        if let Some(late) = &self.late {
            // What is brought before ours are there they don't miss.
            late.bring()?;
        }
        let present: BTreeSet<u32> = devices.iter().map(|device| device.index).collect();
        // An instance that was killed may have pinned a link that it had not recorded yet.
        let seen: BTreeSet<u32> = self.known.keys().copied().chain(tcx::pinned(&self.pins)?).collect();
        for index in seen.difference(&present).copied() {
            tcx::remove_pins(&self.pins, index)?;
            self.records.remove(index)?;
            if let Some(status) = self.known.remove(&index) {
                tracing::debug!("device {} is gone", status.device);
            }
        }
        let mut changed = Vec::new();
        for device in devices {
            let status = self.apply_one(device)?;
            if self.known.get(&device.index) != Some(&status) {
                self.records.put(&status)?;
                self.known.insert(device.index, status.clone());
                changed.push(status);
            }
        }
        if let Some(late) = &self.late {
            let brought = migrate::end_late(&self.pins, late)?;
            if brought > 0 {
                tracing::info!(brought, "entries that programs of before had made while this one began");
            }
            self.late = None;
        }
        Ok(changed)
    }

    /// The programs.
    pub(super) fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Takes off what is behind pinned links that are neither those of `others` nor of a device that is attached
    /// to: hooks that another version had.
    pub(super) fn remove_other_links<const N: usize>(
        &self,
        others: [&'static str; N],
    ) -> Result<(), DatapathError> {
        let of_devices = self.known.values().filter(|status| status.is_attached());
        let of_devices = of_devices
            .flat_map(|status| [INGRESS, EGRESS].map(|hook| tcx::pin_name(status.index, hook.name)));
        let known: BTreeSet<String> = of_devices.chain(others.map(str::to_owned)).collect();
        for pin in entries(&self.pins.version_directory().join("links"))? {
            let is_known =
                pin.file_name().and_then(|name| name.to_str()).is_some_and(|name| known.contains(name));
            if !is_known {
                tracing::info!(link = %pin.display(), "taken off: no hook of this version");
                Pins::remove_link(&pin)?;
            }
        }
        Ok(())
    }

    fn apply_one(&mut self, device: &Device) -> Result<DeviceStatus, DatapathError> {
        // Another device of this number, or one that has another name now: what is attached to it counts.
        let before = self.known.get(&device.index).cloned();
        let mut status = DeviceStatus::off(device);
        status.made_qdisc =
            before.as_ref().is_some_and(|before| before.made_qdisc && before.device == device.name);
        let Ok(role) = device.role else {
            if before.is_some_and(|before| before.is_attached()) {
                tcx::remove_pins(&self.pins, device.index)?;
                clsact::detach(&device.name);
            }
            return Ok(status);
        };
        for hook in hooks(role) {
            match self.attach(device, hook, &mut status.made_qdisc) {
                Ok(state) => *status.hook_mut(hook.name) = state,
                // Where it went meanwhile, nothing is wrong: the next look at the devices does without it.
                Err(error) if is_gone(&error) => {
                    let why = Some("it is gone".to_owned());
                    return Ok(DeviceStatus { role: None, why, ..DeviceStatus::off(device) });
                }
                Err(error) => status.add_why(&format!("{}: {}", hook.name, chain(&error))),
            }
        }
        Ok(status)
    }

    fn attach(
        &mut self,
        device: &Device,
        hook: TcHook,
        made_qdisc: &mut bool,
    ) -> Result<HookState, DatapathError> {
        let pin = self.pins.link(&tcx::pin_name(device.index, hook.name));
        let program = classifier(&mut self.ebpf, hook.program)?;
        let failed = |source| DatapathError::Program { program: hook.program.to_owned(), source };
        if self.use_tcx {
            tcx::attach(program, device, hook, &pin)?;
            if *made_qdisc {
                clsact::detach(&device.name);
            }
            return Ok(HookState::Tcx);
        }
        *made_qdisc |= clsact::attach(program, device, hook).map_err(failed)?;
        if pin.exists() {
            Pins::remove_link(&pin)?;
        }
        Ok(HookState::Clsact)
    }
}

/// Makes the map of records, where there is none.
pub(super) fn ensure_records(pins: &Pins) -> Result<(), DatapathError> {
    Records::ensure(pins).map(drop)
}

/// Whether the kernel says that there is no such device.
fn is_gone(error: &DatapathError) -> bool {
    let DatapathError::Program { source, .. } = error else { return false };
    let error = match source {
        ProgramError::SyscallError(error) => &error.io_error,
        ProgramError::TcError(TcError::IoError(error)) => error,
        _ => return false,
    };
    error.raw_os_error() == Some(libc::ENODEV)
}

/// What belongs on the hooks of a device.
fn hooks(role: Role) -> [TcHook; 2] {
    match role {
        Role::External => [INGRESS, EGRESS],
        Role::Pods => [POD_INGRESS, EGRESS],
    }
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier, DatapathError> {
    match ebpf.program_mut(name) {
        Some(Program::SchedClassifier(program)) => Ok(program),
        _ => Err(DatapathError::Missing { what: "tc program", name: name.to_owned() }),
    }
}
