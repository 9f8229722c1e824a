//! Buffers that the kernel chooses from when bytes come.
//!
//! A connection that waits needs no buffer of its own, so a thousand of them take no
//! more memory than those that have just been answered.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// How many buffers there are; a power of two. With more answers at once, the kernel
/// says so, and they are read in the next turn.
const BUFFERS: u16 = 256;

/// Size of a buffer: a head and a small body. What comes of a large body behind a head
/// is copied for nothing.
const BUFFER_BYTES: u32 = 4096;

/// The kernel's name for this group of buffers.
pub(super) const GROUP: u16 = 0;

/// The kernel wants the ring at the begin of a page.
const PAGE_BYTES: usize = 4096;

/// The ring in which buffers are handed to the kernel, and the buffers behind it.
pub(super) struct Buffers {
    ring: NonNull<BufRingEntry>,
    bytes: Box<[u8]>,
    tail: u16,
}

impl Buffers {
    /// Allocates the buffers; the kernel has none of them yet.
    pub(super) fn new() -> Self {
        // SAFETY: the layout has a size above 0.
        let ring = unsafe { alloc_zeroed(layout()) };
        let Some(ring) = NonNull::new(ring.cast()) else {
            handle_alloc_error(layout());
        };
        Self {
            ring,
            bytes: vec![0; usize::from(BUFFERS) * BUFFER_BYTES as usize].into_boxed_slice(),
            tail: 0,
        }
    }

    /// Hands all buffers to the kernel.
    ///
    /// # Errors
    /// The kernel's, when it knows nothing of such rings.
    ///
    /// # Safety
    /// The buffers must live until the ring of `submitter` is gone.
    pub(super) unsafe fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.ring.as_ptr() as u64;
        // SAFETY: the memory is of `BUFFERS` entries, and the caller keeps it alive.
        unsafe { submitter.register_buf_ring_with_flags(address, BUFFERS, GROUP, 0)? };
        for id in 0..BUFFERS {
            self.give_back(id);
        }
        Ok(())
    }

    /// The first `length` bytes of a buffer that the kernel has filled.
    pub(super) fn filled(&self, id: u16, length: usize) -> &[u8] {
        let start = usize::from(id) * BUFFER_BYTES as usize;
        &self.bytes[start..][..length]
    }

    /// Hands a buffer to the kernel again.
    pub(super) fn give_back(&mut self, id: u16) {
        let start = usize::from(id) * BUFFER_BYTES as usize;
        let address = self.bytes[start..].as_mut_ptr() as u64;
        let place = usize::from(self.tail & (BUFFERS - 1));
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `place` is below `BUFFERS`, and the kernel reads an entry only once
        // the tail is behind it. The tail lies in the first entry's unused bytes, which
        // nothing here writes in another way.
        unsafe {
            let entry = &mut *self.ring.as_ptr().add(place);
            entry.set_addr(address);
            entry.set_len(BUFFER_BYTES);
            entry.set_bid(id);
            let tail = BufRingEntry::tail(self.ring.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { dealloc(self.ring.as_ptr().cast(), layout()) };
    }
}

fn layout() -> Layout {
    let entries = Layout::array::<BufRingEntry>(usize::from(BUFFERS));
    entries
        .and_then(|layout| layout.align_to(PAGE_BYTES))
        .expect("a few pages")
}
