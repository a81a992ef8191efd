//! TCX links, pinned by the number of the device.

use std::os::fd::AsFd;
use std::path::Path;

use aya::programs::links::{FdLink, LinkOrder};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use aya::util::KernelVersion;

use super::{EGRESS, INGRESS, TcHook};
use crate::datapath::attach::{finish_pin, fresh, pin_in_place};
use crate::datapath::place::entries;
use crate::datapath::{DatapathError, Pins, sys};
use crate::node::devices::Device;

/// Whether the kernel has them.
pub(super) fn is_supported() -> bool {
    is_at_least(6, 6)
}

/// Whether the kernel's `bpf_fib_lookup` tells the source address of a route (Linux 6.7).
pub fn has_fib_source() -> bool {
    is_at_least(6, 7)
}

fn is_at_least(major: u8, minor: u8) -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(major, minor, 0))
}

pub(super) fn pin_name(index: u32, hook: &str) -> String {
    format!("tc-{index}-{hook}")
}

/// The devices that there are pins for, each once or twice.
pub(super) fn pinned(pins: &Pins) -> Result<impl Iterator<Item = u32>, DatapathError> {
    let all = entries(&pins.version_directory().join("links"))?.into_iter();
    Ok(all.filter_map(|pin| pin.file_name()?.to_str()?.strip_prefix("tc-")?.split_once('-')?.0.parse().ok()))
}

/// Attaches a loaded program: behind the pinned link where that one is of this device and hook, so that no
/// packet sees no program; else by a new link, pinned.
pub(super) fn attach(
    program: &mut SchedClassifier,
    device: &Device,
    hook: TcHook,
    pin: &Path,
) -> Result<(), DatapathError> {
    let failed = |source| DatapathError::Program { program: hook.program.to_owned(), source };
    finish_pin(pin)?;
    if pin.exists() {
        let link = sys::open_pin(pin).map_err(|source| DatapathError::Pin {
            what: "open",
            path: pin.to_owned(),
            source,
        })?;
        let program = program.fd().map_err(failed)?;
        if is_of(&link, device.index, hook) && sys::replace_program(link.as_fd(), program.as_fd()).is_ok() {
            return Ok(());
        }
        tracing::info!(device = device.name, link = %pin.display(), "pinned link is of no device now, attaching anew");
    }
    let link = attach_anew(program, device, hook).map_err(failed)?;
    pin_in_place(link, pin)
}

/// Whether the link of a pin is still attached to the device.
pub(super) fn is_attached(pins: &Pins, index: u32, hook: TcHook) -> bool {
    sys::open_pin(&pins.link(&pin_name(index, hook.name))).is_ok_and(|link| is_of(&link, index, hook))
}

/// Lets go of the links of a device, which takes its programs off.
pub(super) fn remove_pins(pins: &Pins, index: u32) -> Result<(), DatapathError> {
    for hook in [INGRESS, EGRESS] {
        let pin = pins.link(&pin_name(index, hook.name));
        for path in [fresh(&pin), pin] {
            if path.exists() {
                Pins::remove_link(&path)?;
            }
        }
    }
    Ok(())
}

fn is_of(link: &impl AsFd, index: u32, hook: TcHook) -> bool {
    sys::tcx_link(link.as_fd())
        .is_ok_and(|attached| attached.ifindex == index && attached.attach_type == hook.attach_type)
}

fn attach_anew(program: &mut SchedClassifier, device: &Device, hook: TcHook) -> Result<FdLink, ProgramError> {
    let order = match hook.direction {
        TcAttachType::Egress => LinkOrder::first(),
        _ => LinkOrder::last(),
    };
    let id = program.attach_with_options(&device.name, hook.direction, TcAttachOptions::TcxOrder(order))?;
    FdLink::try_from(program.take_link(id)?)
        .map_err(|error| ProgramError::IOError(std::io::Error::other(error)))
}
