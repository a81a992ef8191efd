//! Walks through hash maps by batches: a system call an entry would take a second a million.

use std::io;
use std::os::fd::AsFd;

use aya::Pod;
use aya::maps::MapData;

use super::sys;

/// A bucket of a table twice as large as its fill has a handful of entries.
const ROOM: usize = 4096;

/// Shows every entry of a hash map, in no order; one that comes or goes meanwhile may be missed. `empty` is
/// what memory is filled with first: any values will do.
pub(super) fn walk<K: Pod, V: Pod>(
    map: &MapData,
    empty: (K, V),
    mut see: impl FnMut(&K, &V),
) -> io::Result<()> {
    let mut keys = vec![empty.0; ROOM];
    let mut values = vec![empty.1; ROOM];
    let mut cursor = None;
    loop {
        let (count, next) = match sys::lookup_batch(map.fd().as_fd(), cursor, &mut keys, &mut values) {
            Ok(read) => read,
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                keys.resize(keys.len() * 2, empty.0);
                values.resize(values.len() * 2, empty.1);
                continue;
            }
            Err(error) => return Err(error),
        };
        for (key, value) in keys.iter().zip(&values).take(count) {
            see(key, value);
        }
        match next {
            Some(_) => cursor = next,
            None => return Ok(()),
        }
    }
}
