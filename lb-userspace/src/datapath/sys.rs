//! System calls that aya 0.14 has no way to make.
#![expect(unsafe_code, reason = "raw system calls; every wrapper is safe to call")]

mod bytes;

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) use bytes::{Batch, insert_new, read_batch, update_batch};

/// `BPF_OBJ_PIN`, `BPF_OBJ_GET`, `BPF_MAP_LOOKUP_BATCH` (Linux 5.6), `BPF_LINK_UPDATE`, `BPF_LINK_DETACH` (Linux
/// 5.9), `BPF_OBJ_GET_INFO_BY_FD` (`enum bpf_cmd`)
const OBJ_PIN: libc::c_int = 6;
const OBJ_GET: libc::c_int = 7;
const LINK_UPDATE: libc::c_int = 29;
const LINK_DETACH: libc::c_int = 34;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Linux 5.14, asm-generic/socket.h
const SO_NETNS_COOKIE: libc::c_int = 71;
/// `MEMBARRIER_CMD_GLOBAL`, Linux 4.3
const MEMBARRIER_GLOBAL: libc::c_int = 1;

#[repr(C)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[repr(C)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

#[repr(C)]
struct MapBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// The part of `struct bpf_link_info` that all link types have, and the cgroup's part of its union.
#[repr(C)]
#[derive(Default)]
struct CgroupLinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    cgroup: u64,
    attach_type: u32,
    pad2: u32,
}

/// The same, with the part that TCX links have (Linux 6.6).
#[repr(C)]
#[derive(Default)]
struct TcxLinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    ifindex: u32,
    attach_type: u32,
}

/// Which device, and which of its hooks, a link attaches to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcxLink {
    /// The number of the device; 0 once it is gone.
    pub(super) ifindex: u32,
    /// `enum bpf_attach_type`
    pub(super) attach_type: u32,
}

/// Which cgroup, and which of its hooks, a link attaches to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CgroupLink {
    /// The inode number of the cgroup's directory; 0 once the cgroup is gone.
    pub(super) cgroup: u64,
    /// `enum bpf_attach_type`
    pub(super) attach_type: u32,
}

/// Opens a pinned object. (aya opens links too, but keeps their descriptor to itself.)
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjGet { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the attribute is the prefix of `union bpf_attr` that the command reads; `path` outlives it.
    let fd = unsafe { bpf(OBJ_GET, &mut attr)? };
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Pins an object, whatever else it is pinned as.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjGet { pathname: path.as_ptr() as u64, bpf_fd: raw(object), file_flags: 0 };
    // SAFETY: as in `open_pin`.
    unsafe { bpf(OBJ_PIN, &mut attr).map(drop) }
}

/// Puts another program behind a link: no call sees none, none sees both.
pub(super) fn replace_program(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkUpdate { link_fd: raw(link), new_prog_fd: raw(program), flags: 0, old_prog_fd: 0 };
    // SAFETY: the attribute is the prefix of `union bpf_attr` that the command reads.
    unsafe { bpf(LINK_UPDATE, &mut attr).map(drop) }
}

/// Takes the program of a link off its hook at once. (The last reference to a link dropped takes it off only
/// after a while.)
pub(super) fn detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkDetach { link_fd: raw(link) };
    // SAFETY: as above.
    unsafe { bpf(LINK_DETACH, &mut attr).map(drop) }
}

/// What a cgroup link is attached to.
pub(super) fn cgroup_link(link: BorrowedFd<'_>) -> io::Result<CgroupLink> {
    let mut info = CgroupLinkInfo::default();
    let mut attr = GetInfo {
        bpf_fd: raw(link),
        info_len: size_of::<CgroupLinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: as above; `info` outlives the call and is as long as said.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr)? };
    Ok(CgroupLink { cgroup: info.cgroup, attach_type: info.attach_type })
}

/// What a TCX link is attached to.
pub(super) fn tcx_link(link: BorrowedFd<'_>) -> io::Result<TcxLink> {
    let mut info = TcxLinkInfo::default();
    let mut attr = GetInfo {
        bpf_fd: raw(link),
        info_len: size_of::<TcxLinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: as above; `info` outlives the call and is as long as said.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr)? };
    Ok(TcxLink { ifindex: info.ifindex, attach_type: info.attach_type })
}

/// The cookie of the network namespace that `socket` is in.
pub(super) fn netns_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: `cookie` is as long as `len` says.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Waits until every program that runs now has ended: the kernel runs them as RCU readers, and this command
/// is `synchronize_rcu` (kernel/sched/membarrier.c; not with `nohz_full`). Takes some 10 ms.
pub(super) fn wait_for_programs() -> io::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_GLOBAL, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where a walk through a hash map is: the number of a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor(u32);

/// Reads the elements of a hash map from `from` on into `keys` and `values`, whole buckets at a time; `None`
/// is its beginning. Returns how many there are, and where to go on: `None` behind the last. A bucket that has
/// no room in the slices is `ENOSPC`. Linux 5.6.
///
/// # Panics
///
/// Never: of slices of different lengths the shorter counts.
pub(super) fn lookup_batch<K: aya::Pod, V: aya::Pod>(
    map: BorrowedFd<'_>,
    from: Option<Cursor>,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<(usize, Option<Cursor>)> {
    let start = from.unwrap_or(Cursor(0));
    let mut next = Cursor(0);
    let room = keys.len().min(values.len());
    let mut attr = MapBatch {
        in_batch: if from.is_some() { (&raw const start.0) as u64 } else { 0 },
        out_batch: (&raw mut next.0) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: u32::try_from(room).unwrap_or(u32::MAX),
        map_fd: raw(map),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the attribute is the prefix of `union bpf_attr` that the command reads; the slices have room for
    // `count` elements of the map, whose types the caller opened it with, and any bytes are a value of them.
    match unsafe { bpf(MAP_LOOKUP_BATCH, &mut attr) } {
        Ok(_) => Ok((attr.count as usize, Some(next))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((attr.count as usize, None)),
        Err(error) => Err(error),
    }
}

/// Gives the machine back what was freed: malloc keeps it wherever something above it is in use still.
pub fn release_memory() {
    // SAFETY: no pointers; any thread may call it at any time (malloc_trim(3)).
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// bpf(2); what it returns depends on the command.
///
/// # Safety
///
/// `attr` is laid out as the command expects, and what it points to outlives the call.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
    if result >= 0 { Ok(result as libc::c_int) } else { Err(io::Error::last_os_error()) }
}
