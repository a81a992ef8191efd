//! Entries of maps whose types are known only when it runs: as bytes, many at a time.
#![expect(unsafe_code, reason = "raw system calls; every wrapper is safe to call")]

use std::io;
use std::mem::size_of;
use std::os::fd::BorrowedFd;

use super::{MAP_LOOKUP_BATCH, MapBatch, bpf, raw};

/// `BPF_MAP_UPDATE_ELEM`, `BPF_MAP_UPDATE_BATCH` (Linux 5.6)
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_UPDATE_BATCH: libc::c_int = 26;

#[repr(C)]
struct MapElement {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Entries of a map as bytes.
#[derive(Debug)]
pub(in crate::datapath) struct Batch {
    key_len: usize,
    value_len: usize,
    room: usize,
    len: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Batch {
    /// Room for as many entries; both lengths are those that the kernel copies, and not 0.
    pub(in crate::datapath) fn new(key_len: usize, value_len: usize, room: usize) -> Self {
        let (keys, values) = (vec![0; key_len * room], vec![0; value_len * room]);
        Self { key_len, value_len, room, len: 0, keys, values }
    }

    /// The entries that were read.
    pub(in crate::datapath) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.keys.chunks_exact(self.key_len).zip(self.values.chunks_exact(self.value_len)).take(self.len)
    }

    /// Leaves the first `len` of them.
    pub(in crate::datapath) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

/// Reads entries of a map from `from` on into `batch`, which has room for entries of its shape; `None` is its
/// beginning. Returns where to go on: `None` behind the last. A bucket that has no room is `ENOSPC`. Linux 5.6
/// for hashes and arrays, 5.13 for arrays per processor and tries.
pub(in crate::datapath) fn read_batch(
    map: BorrowedFd<'_>,
    from: Option<&[u8]>,
    batch: &mut Batch,
) -> io::Result<Option<Vec<u8>>> {
    // The place in a hash is a number of a bucket, in other maps a key.
    let mut next = vec![0_u8; batch.key_len.max(size_of::<u32>())];
    let mut attr = MapBatch {
        in_batch: from.map_or(0, |from| from.as_ptr() as u64),
        out_batch: next.as_mut_ptr() as u64,
        keys: batch.keys.as_mut_ptr() as u64,
        values: batch.values.as_mut_ptr() as u64,
        count: u32::try_from(batch.room).unwrap_or(u32::MAX),
        map_fd: raw(map),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the attribute is the prefix of `union bpf_attr` that the command reads; the vectors have room for
    // `count` entries of the lengths that the map has, which is the caller's promise by the batch's shape.
    let read = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attr) };
    batch.len = attr.count as usize;
    match read {
        Ok(_) => Ok(Some(next)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the entries of a batch into a map, whether they are there or not.
pub(in crate::datapath) fn update_batch(map: BorrowedFd<'_>, batch: &Batch) -> io::Result<()> {
    if batch.len == 0 {
        return Ok(());
    }
    let mut attr = MapBatch {
        in_batch: 0,
        out_batch: 0,
        keys: batch.keys.as_ptr() as u64,
        values: batch.values.as_ptr() as u64,
        count: u32::try_from(batch.len).unwrap_or(u32::MAX),
        map_fd: raw(map),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: as above; the kernel only reads the vectors.
    unsafe { bpf(MAP_UPDATE_BATCH, &mut attr).map(drop) }
}

/// Adds an entry; where there is one of this key, `EEXIST`.
pub(in crate::datapath) fn insert_new(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    /// `BPF_NOEXIST`
    const NO_EXIST: u64 = 1;
    let mut attr = MapElement {
        map_fd: raw(map),
        pad: 0,
        key: key.as_ptr() as u64,
        value: value.as_ptr() as u64,
        flags: NO_EXIST,
    };
    // SAFETY: the attribute is the prefix of `union bpf_attr` that the command reads; both slices are as long as
    // the map's keys and values, for they were read from one of the same shape.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut attr).map(drop) }
}
