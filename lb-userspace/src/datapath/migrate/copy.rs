//! The entries of one map into another whose entries are of the same shape, as bytes: of any kind of map that has
//! batch calls (hashes, LRU hashes, tries, arrays and those per processor).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::maps::MapType;

use crate::datapath::layout::Shape;
use crate::datapath::sys::{self, Batch};

/// Entries that are read at once; a bucket of a hash has a handful.
const AT_ONCE: usize = 4096;

/// Two maps.
pub(super) struct Pair {
    from: OwnedFd,
    from_shape: Shape,
    to: OwnedFd,
    to_entries: u32,
    value_len: usize,
}

/// Why entries were not copied.
#[derive(Debug)]
pub(super) enum CopyError {
    /// There is room for so many only.
    Full(u32),
    /// The kernel's word.
    Failed(io::Error),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Pair {
    /// Those behind two pins, with their shapes.
    pub(super) fn open(from: (&Path, Shape), to: (&Path, Shape)) -> io::Result<Self> {
        let is_per_cpu = [MapType::PerCpuArray, MapType::PerCpuHash, MapType::LruPerCpuHash]
            .iter()
            .any(|kind| *kind as u32 == from.1.kind);
        let value_len = if is_per_cpu {
            let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
            (from.1.value_size as usize).next_multiple_of(8) * cpus
        } else {
            from.1.value_size as usize
        };
        Ok(Self {
            from: sys::open_pin(from.0)?,
            from_shape: from.1,
            to: sys::open_pin(to.0)?,
            to_entries: to.1.entries,
            value_len,
        })
    }

    /// Copies every entry; one that is there already is overwritten. An entry that comes or goes meanwhile may be
    /// missed.
    pub(super) fn copy(&self) -> Result<(), CopyError> {
        self.walk(|batch| {
            if self.is_array() {
                self.cut(batch)?;
            }
            match sys::update_batch(self.to.as_fd(), batch) {
                Err(error) if error.raw_os_error() == Some(libc::E2BIG) => {
                    Err(CopyError::Full(self.to_entries))
                }
                other => Ok(other?),
            }
        })
    }

    /// Copies the entries that are not there yet, and returns how many there were. One for which there is no
    /// room is left out.
    pub(super) fn copy_missing(&self) -> Result<usize, CopyError> {
        let mut copied = 0;
        if self.is_array() {
            return Ok(copied);
        }
        self.walk(|batch| {
            for (key, value) in batch.entries() {
                match sys::insert_new(self.to.as_fd(), key, value) {
                    Ok(()) => copied += 1,
                    Err(error) if matches!(error.raw_os_error(), Some(libc::EEXIST | libc::E2BIG)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })?;
        Ok(copied)
    }

    fn is_array(&self) -> bool {
        [MapType::Array, MapType::PerCpuArray].iter().any(|kind| *kind as u32 == self.from_shape.kind)
    }

    /// Of an array that becomes smaller: elements that were never written can go.
    fn cut(&self, batch: &mut Batch) -> Result<(), CopyError> {
        let keeps =
            |key: &[u8]| key.first_chunk().is_some_and(|key| u32::from_ne_bytes(*key) < self.to_entries);
        let kept = batch.entries().take_while(|(key, _)| keeps(key)).count();
        if batch.entries().skip(kept).any(|(_, value)| value.iter().any(|byte| *byte != 0)) {
            return Err(CopyError::Full(self.to_entries));
        }
        batch.truncate(kept);
        Ok(())
    }

    fn walk(&self, mut see: impl FnMut(&mut Batch) -> Result<(), CopyError>) -> Result<(), CopyError> {
        let mut room = AT_ONCE;
        let key_len = self.from_shape.key_size as usize;
        let mut batch = Batch::new(key_len, self.value_len, room);
        let mut cursor = None;
        loop {
            let next = match sys::read_batch(self.from.as_fd(), cursor.as_deref(), &mut batch) {
                Ok(next) => next,
                // A bucket has more entries than there is room for.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    room *= 2;
                    batch = Batch::new(key_len, self.value_len, room);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            see(&mut batch)?;
            match next {
                Some(_) => cursor = next,
                None => return Ok(()),
            }
        }
    }
}
