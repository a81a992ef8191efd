//! Programs on the hooks of a cgroup, by links that outlive this process.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, LinkError};
use aya::programs::{CgroupAttachMode, CgroupSock, CgroupSockAddr, Program, ProgramError, SchedClassifier};

use super::{DatapathError, Pins, sys};

/// The hooks: program names in the object, with the `enum bpf_attach_type` of each. A link takes a program
/// of another hook without complaint, so the hook is checked before one is taken over.
pub const HOOKS: [(&str, u32); 10] = [
    ("shunt_connect4", 10),
    ("shunt_connect6", 11),
    ("shunt_bind4", 12),
    ("shunt_bind6", 13),
    ("shunt_sendmsg4", 14),
    ("shunt_sendmsg6", 15),
    ("shunt_recvmsg4", 19),
    ("shunt_recvmsg6", 20),
    ("shunt_peername4", 29),
    ("shunt_peername6", 30),
];

/// Attaches a loaded program to `cgroup`: behind the pinned link where that one is of this hook and cgroup,
/// so that no call sees no program; else by a new link, pinned.
pub(super) fn attach(
    name: &str,
    attach_type: u32,
    program: &mut Program,
    cgroup: &File,
    pins: &Pins,
) -> Result<(), DatapathError> {
    let pin = pins.link(name);
    finish_pin(&pin)?;
    if pin.exists() {
        match take_over(&pin, attach_type, program, cgroup) {
            Ok(()) => return Ok(()),
            Err(why) => {
                tracing::info!(link = %pin.display(), %why, "pinned link can't be taken over, attaching anew");
            }
        }
    }
    let link = attach_anew(program, cgroup)
        .map_err(|source| DatapathError::Program { program: name.to_owned(), source })?;
    pin_in_place(link, &pin)
}

/// Pins a link in the place of another one, which goes: at any moment one of them is pinned.
pub(super) fn pin_in_place(link: FdLink, pin: &Path) -> Result<(), DatapathError> {
    let fresh = fresh(pin);
    link.pin(&fresh).map_err(|error| DatapathError::Pin {
        what: "make",
        path: fresh.clone(),
        source: std::io::Error::other(error),
    })?;
    finish_pin(pin)
}

/// Puts the link that an instance had pinned before it was killed in its place.
pub(super) fn finish_pin(pin: &Path) -> Result<(), DatapathError> {
    let fresh = fresh(pin);
    match fs::rename(&fresh, pin) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(DatapathError::Pin { what: "rename", path: fresh, source })
        }
        _ => Ok(()),
    }
}

/// What the pin of a link is called before it has its place.
pub(super) fn fresh(pin: &Path) -> PathBuf {
    let mut name = pin.file_name().unwrap_or_default().to_owned();
    name.push("-new");
    pin.with_file_name(name)
}

/// Puts the program behind the pinned link.
fn take_over(
    pin: &Path,
    attach_type: u32,
    program: &Program,
    cgroup: &File,
) -> Result<(), Box<dyn std::error::Error>> {
    let link = sys::open_pin(pin)?;
    let attached = sys::cgroup_link(link.as_fd())?;
    if attached.attach_type != attach_type {
        return Err(format!("it is of attach type {}, not {attach_type}", attached.attach_type).into());
    }
    let inode = cgroup.metadata()?.ino();
    if attached.cgroup != inode {
        return Err(format!("it is on cgroup {}, not {inode}", attached.cgroup).into());
    }
    Ok(sys::replace_program(link.as_fd(), program_fd(program)?)?)
}

fn attach_anew(program: &mut Program, cgroup: &File) -> Result<FdLink, ProgramError> {
    /// Before Linux 5.7 a program is attached without a link; this one needs a later kernel anyway.
    fn no_link(error: LinkError) -> ProgramError {
        ProgramError::IOError(std::io::Error::other(error))
    }
    // Single means «with the others»: bpf_link_create takes no mode, and a link is always one of many.
    let mode = CgroupAttachMode::Single;
    let link = match program {
        Program::CgroupSockAddr(program) => {
            let id = program.attach(cgroup, mode)?;
            FdLink::try_from(program.take_link(id)?)
        }
        Program::CgroupSock(program) => {
            let id = program.attach(cgroup, mode)?;
            FdLink::try_from(program.take_link(id)?)
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    };
    link.map_err(no_link)
}

/// How often a program is loaded: the verifier gives up with EAGAIN where a signal comes meanwhile (`bpf_check`), as
/// one does now and then on a busy machine. libbpf tries as often.
const ATTEMPTS: u32 = 5;

/// Loads a program into the kernel.
///
/// # Errors
///
/// The verifier's word, or the system's.
pub fn load(program: &mut Program) -> Result<(), ProgramError> {
    let mut attempt = 1;
    loop {
        match load_once(program) {
            Err(ProgramError::LoadError { io_error, .. })
                if attempt < ATTEMPTS && io_error.raw_os_error() == Some(libc::EAGAIN) =>
            {
                attempt += 1;
            }
            done => return done,
        }
    }
}

fn load_once(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSockAddr(program) => CgroupSockAddr::load(program),
        Program::CgroupSock(program) => CgroupSock::load(program),
        Program::SchedClassifier(program) => SchedClassifier::load(program),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn program_fd(program: &Program) -> Result<BorrowedFd<'_>, ProgramError> {
    let fd = match program {
        Program::CgroupSockAddr(program) => program.fd()?,
        Program::CgroupSock(program) => program.fd()?,
        _ => return Err(ProgramError::UnexpectedProgramType),
    };
    Ok(fd.as_fd())
}
