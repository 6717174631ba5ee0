//! A fixed array with a stable address that the kernel may write to between our looks at it.

use std::ptr::NonNull;

/// `len` values on the heap, never moved. Unlike a boxed slice, handing its pointer to the kernel
/// and looking at the values through references do not invalidate each other.
#[derive(Debug)]
pub(crate) struct Arena<T: Copy> {
    slice: NonNull<[T]>,
}

// SAFETY: the arena owns its values exclusively, like a boxed slice.
unsafe impl<T: Copy + Send> Send for Arena<T> {}

impl<T: Copy> Arena<T> {
    pub(crate) fn new(value: T, len: usize) -> Self {
        let boxed = vec![value; len].into_boxed_slice();
        Self { slice: NonNull::from(Box::leak(boxed)) }
    }

    /// Pointer to value `index`.
    pub(crate) fn ptr(&self, index: usize) -> *mut T {
        assert!(index < self.slice.len(), "index within the arena");
        // SAFETY: `index` is within the allocation, as just checked.
        unsafe { self.slice.cast::<T>().as_ptr().add(index) }
    }

    pub(crate) fn slice(&self) -> &[T] {
        // SAFETY: the pointer came from a leaked box that is freed only in drop, the values are
        // initialised, and writing needs `&mut self` (the kernel writes only inside calls that
        // this crate makes with `&mut` of the owner).
        unsafe { self.slice.as_ref() }
    }

    pub(crate) fn slice_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `slice`, and `&mut self` makes this the only reference.
        unsafe { self.slice.as_mut() }
    }
}

impl<T: Copy> Drop for Arena<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::leak` in `new` and is freed exactly once, here.
        drop(unsafe { Box::from_raw(self.slice.as_ptr()) });
    }
}
