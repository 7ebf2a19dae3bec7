//! Memory followed by a guard page: a kernel that reads or writes one value too far crashes the tests.

use std::ops::{Deref, DerefMut};

/// Values that end at a page that may be neither read nor written.
#[cfg(unix)]
pub struct GuardedBuffer<T> {
    values: *mut T,
    len: usize,
    pages: *mut libc::c_void,
    bytes: usize,
}

#[cfg(unix)]
impl<T: Copy> GuardedBuffer<T> {
    pub fn new(values: &[T]) -> Self {
        // SAFETY: fresh pages of our own, readable and writable except for the last one.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let inside = size_of_val(values).next_multiple_of(page);
            let (open, anonymous) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
            let pages = libc::mmap(std::ptr::null_mut(), inside + page, open, anonymous, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(pages.byte_add(inside), page, libc::PROT_NONE), 0);
            let begin = pages.byte_add(inside - size_of_val(values)).cast::<T>();
            begin.copy_from_nonoverlapping(values.as_ptr(), values.len());
            Self { values: begin, len: values.len(), pages, bytes: inside + page }
        }
    }
}

#[cfg(unix)]
impl<T> Deref for GuardedBuffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new` put them there, and page boundaries are aligned for every type.
        unsafe { std::slice::from_raw_parts(self.values, self.len) }
    }
}

#[cfg(unix)]
impl<T> DerefMut for GuardedBuffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.values, self.len) }
    }
}

#[cfg(unix)]
impl<T> Drop for GuardedBuffer<T> {
    fn drop(&mut self) {
        // SAFETY: the pages of `new`, to which no reference is left.
        unsafe { libc::munmap(self.pages, self.bytes) };
    }
}

/// On other systems, a plain vector.
#[cfg(not(unix))]
pub struct GuardedBuffer<T>(Vec<T>);

#[cfg(not(unix))]
impl<T: Copy> GuardedBuffer<T> {
    pub fn new(values: &[T]) -> Self {
        Self(values.to_vec())
    }
}

#[cfg(not(unix))]
impl<T> Deref for GuardedBuffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

#[cfg(not(unix))]
impl<T> DerefMut for GuardedBuffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
