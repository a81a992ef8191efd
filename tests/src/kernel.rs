//! Two questions to the kernel that aya has no way to ask (bpf(2)).
#![expect(unsafe_code, reason = "a system call")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// `enum bpf_cmd`
const BPF_PROG_QUERY: i32 = 16;
const BPF_MAP_FREEZE: i32 = 22;

/// The fields of `union bpf_attr` that are used here.
#[repr(C, align(8))]
#[derive(Default)]
struct Attribute {
    /// `map_fd`; `query.target_fd`, `query.target_ifindex`
    target: u32,
    /// `query.attach_type`
    attach_type: u32,
    /// `query.query_flags`, `query.attach_flags`
    flags: [u32; 2],
    /// `query.prog_ids`: none are asked for.
    prog_ids: u64,
    /// `query.prog_cnt`: written by the kernel.
    prog_count: u32,
    /// What else the kernel may write of an answer.
    rest: [u32; 9],
}

fn bpf(command: i32, attribute: &mut Attribute) -> io::Result<()> {
    // SAFETY: the kernel reads and writes what is as long as said, and has no pointer in it.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), size_of::<Attribute>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// How many programs are on a hook; `target` is a cgroup or the index of a device.
pub(crate) fn programs_on(target: u32, attach_type: u32) -> io::Result<u32> {
    let mut attribute = Attribute { target, attach_type, ..Attribute::default() };
    bpf(BPF_PROG_QUERY, &mut attribute)?;
    Ok(attribute.prog_count)
}

/// Lets no process write to a map from now on; programs may.
///
/// # Errors
///
/// Where it can't be, as while it is mapped into memory to be written.
pub fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let target = map.as_raw_fd().try_into().map_err(io::Error::other)?;
    bpf(BPF_MAP_FREEZE, &mut Attribute { target, ..Attribute::default() })
}
