//! Array maps (`BPF_F_MMAPABLE`, Linux 5.5) as memory: an element is a store of about a nanosecond, where a
//! system call takes 700.
#![expect(unsafe_code, reason = "memory shared with the kernel; bounds are checked here, once")]

use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags};

/// A word of an element: what is read and written at once.
const WORD: usize = size_of::<u64>();

/// The elements of an array map. One process writes; programs read at any moment.
#[derive(Debug)]
pub(super) struct MappedArray<T> {
    base: *mut AtomicU64,
    len: u32,
    element: PhantomData<T>,
}

// SAFETY: the memory is shared with the kernel anyway, and every access to it is atomic by words.
unsafe impl<T: Send> Send for MappedArray<T> {}

impl<T: aya::Pod> MappedArray<T> {
    /// Words that an element takes: the kernel rounds a value up to 8 bytes.
    const STRIDE: usize = size_of::<T>().div_ceil(WORD);

    /// Maps all `len` elements of the array behind `map`, whose values are of type `T`.
    pub(super) fn new(map: BorrowedFd<'_>, len: u32) -> io::Result<Self> {
        let bytes = Self::bytes(len);
        // SAFETY: a new mapping at an address of the kernel's choice; the kernel refuses more than there is.
        let base = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map,
                0,
            )?
        };
        Ok(Self { base: base.cast(), len, element: PhantomData })
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// An element; `None` behind the end. Torn where another process writes it meanwhile.
    pub(super) fn get(&self, index: u32) -> Option<T> {
        let words = self.words(index)?;
        let mut value = std::mem::MaybeUninit::<T>::uninit();
        for (offset, word) in words.iter().enumerate() {
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            let at = offset * WORD;
            let count = WORD.min(size_of::<T>() - at);
            // SAFETY: `at + count` is inside the value.
            let to = unsafe { value.as_mut_ptr().cast::<u8>().add(at) };
            // SAFETY: as above; the word has at least `count` bytes.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, count) };
        }
        // SAFETY: all bytes were written, and any bytes are a `T` (`aya::Pod`).
        Some(unsafe { value.assume_init() })
    }

    /// Writes an element, word by word, in order; false behind the end.
    pub(super) fn set(&self, index: u32, value: &T) -> bool {
        let Some(words) = self.words(index) else {
            return false;
        };
        for (offset, word) in words.iter().enumerate() {
            let at = offset * WORD;
            let count = WORD.min(size_of::<T>() - at);
            let mut bytes = [0; WORD];
            // SAFETY: `at + count` is inside the value.
            let from = unsafe { (&raw const *value).cast::<u8>().add(at) };
            // SAFETY: as above; the word has at least `count` bytes.
            unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), count) };
            // Release: what was written before (the slots of a list) is seen before this word is.
            word.store(u64::from_ne_bytes(bytes), Ordering::Release);
        }
        true
    }

    fn words(&self, index: u32) -> Option<&[AtomicU64]> {
        if index >= self.len {
            return None;
        }
        // SAFETY: inside the mapping: `index` is below the length that was mapped.
        let first = unsafe { self.base.add(index as usize * Self::STRIDE) };
        // SAFETY: as above; the kernel's memory is aligned to 8 and always initialised.
        Some(unsafe { std::slice::from_raw_parts(first, Self::STRIDE) })
    }

    fn bytes(len: u32) -> usize {
        len as usize * Self::STRIDE * WORD
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        let bytes = self.len as usize * size_of::<T>().div_ceil(WORD) * WORD;
        // SAFETY: the mapping made in `new`, of which nothing borrows any more.
        let unmapped = unsafe { rustix::mm::munmap(self.base.cast(), bytes) };
        debug_assert!(unmapped.is_ok(), "munmap of a mapping of ours");
    }
}
