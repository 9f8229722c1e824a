//! The ring: what is asked of the kernel, and what comes back.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr::null_mut;
use std::sync::OnceLock;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use socket2::Socket;

use super::buffers::{Buffers, GROUP};
use super::tag::{Kind, Tag};

/// Places for what is asked; it is submitted long before they are all taken.
const ENTRIES: u32 = 256;

/// Places for what comes back. What finds none waits in the kernel.
const COMPLETIONS: u32 = 2048;

/// IORING_RECVSEND_POLL_FIRST: wait for bytes before trying to read any.
const POLL_FIRST: u16 = 1;

/// Something that was asked for has happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    pub(super) tag: Tag,
    /// Bytes, or a negated error number.
    pub(super) result: i32,
    /// The buffer that has the bytes; to be given back.
    pub(super) buffer: Option<u16>,
    /// Whether the same request will complete again.
    pub(super) has_more: bool,
}

impl Completion {
    pub(super) fn new(entry: &cqueue::Entry) -> Self {
        Self {
            tag: Tag::from_bits(entry.user_data()),
            result: entry.result(),
            buffer: cqueue::buffer_select(entry.flags()),
            has_more: cqueue::more(entry.flags()),
        }
    }
}

/// The ring of one thread.
pub(super) struct Ring {
    // Goes first: the kernel has the buffers as long as there is a ring.
    ring: IoUring,
    pub(super) buffers: Buffers,
}

impl Ring {
    /// # Errors
    /// The kernel's, when it has no such ring or does not allow it.
    pub(super) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_submit_all()
            .setup_coop_taskrun()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(ENTRIES)?;
        let mut ring = Self {
            ring,
            buffers: Buffers::new(),
        };
        // SAFETY: the ring is dropped before the buffers.
        unsafe { ring.buffers.register(&ring.ring.submitter())? };
        Ok(ring)
    }

    /// Asks for the bytes to be written now or not at all: the failure, or the number of
    /// bytes if there was room for a part of them only, comes back; success does not.
    ///
    /// # Safety
    /// The bytes must live until the entry is submitted.
    pub(super) unsafe fn send(&mut self, socket: &Socket, bytes: &[u8], tag: Tag) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
            .flags(libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: as the kernel does not wait, it is done with the bytes when the
        // submission returns, until when they live.
        unsafe { self.push(entry, tag) };
    }

    /// Asks for one completion when the socket takes bytes.
    pub(super) fn await_writable(&mut self, socket: &Socket, tag: Tag) {
        let entry = opcode::PollAdd::new(Fd(socket.as_raw_fd()), libc::POLLOUT as u32).build();
        // SAFETY: no memory is involved.
        unsafe { self.push(entry, tag) };
    }

    /// Asks for the bytes that come next, once.
    pub(super) fn receive(&mut self, socket: &Socket, tag: Tag) {
        let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), null_mut(), 0)
            .ioprio(POLL_FIRST)
            .buf_group(GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        // SAFETY: the kernel takes one of the registered buffers.
        unsafe { self.push(entry, tag) };
    }

    /// Asks for all bytes that come, with a completion for each buffer filled.
    pub(super) fn receive_on(&mut self, socket: &Socket, tag: Tag) {
        let entry = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), GROUP).build();
        // SAFETY: the kernel takes one of the registered buffers each time.
        unsafe { self.push(entry, tag) };
    }

    /// Asks the kernel to drop up to `bytes` of a TCP stream.
    pub(super) fn drop_bytes(&mut self, socket: &Socket, bytes: usize, tag: Tag) {
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), null_mut(), length)
            .flags(libc::MSG_TRUNC)
            .build();
        // SAFETY: with MSG_TRUNC, nothing is written to the buffer, which may be null
        // (tcp(7)).
        unsafe { self.push(entry, tag) };
    }

    /// Asks for the end of what was asked for under `tag`.
    pub(super) fn cancel(&mut self, tag: Tag) {
        let kind = Kind::Farewell;
        let entry = opcode::AsyncCancel::new(tag.to_bits())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: no memory is involved.
        unsafe { self.push(entry, Tag { kind, ..tag }) };
    }

    /// Closes a socket. What else was asked of it has to be cancelled: it holds the
    /// connection open.
    pub(super) fn close(&mut self, socket: Socket, tag: Tag) {
        let kind = Kind::Farewell;
        let entry = opcode::Close::new(Fd(socket.into_raw_fd()))
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: no memory is involved, and nobody else has the descriptor any more.
        unsafe { self.push(entry, Tag { kind, ..tag }) };
    }

    /// # Safety
    /// What the entry points to must live until the kernel is done with it.
    unsafe fn push(&mut self, entry: squeue::Entry, tag: Tag) {
        let entry = entry.user_data(tag.to_bits());
        // SAFETY: by the caller.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            // Full. Does not come to that, as it is submitted long before. An error
            // shows again when it is submitted in due course.
            let _ = self.ring.submit();
        }
    }

    /// Submits what was asked for; what does not have to wait is done on return.
    ///
    /// # Errors
    /// The kernel's, when the ring is of no more use.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        settled(self.ring.submit())
    }

    /// The same, and waits for something to happen.
    ///
    /// # Errors
    /// Those of [`Ring::submit`].
    pub(super) fn submit_and_wait(&mut self, patience_ns: u64) -> io::Result<()> {
        let patience = Timespec::new()
            .sec(patience_ns / 1_000_000_000)
            .nsec((patience_ns % 1_000_000_000) as u32);
        let args = SubmitArgs::new().timespec(&patience);
        settled(self.ring.submitter().submit_with_args(1, &args))
    }

    /// What has come back.
    pub(super) fn completions(&mut self) -> impl Iterator<Item = Completion> {
        self.ring.completion().map(|entry| Completion::new(&entry))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Closes may still be in the queue. Nothing that is under way may outlive what it
        // points to, nor hold a connection open. There is nobody to tell about errors,
        // and the second call fails when there is nothing to cancel.
        let _ = self.submit();
        let _ = self
            .ring
            .submitter()
            .register_sync_cancel(None, CancelBuilder::any());
        // Lets go of what was cancelled.
        let _ = self.submit_and_wait(0);
    }
}

/// Time-outs, signals and a queue that is full for the moment are no errors.
fn settled(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

/// Why this machine's kernel cannot run the engine; `None`: it can.
pub(crate) fn hindrance() -> Option<&'static str> {
    static HINDRANCE: OnceLock<Option<String>> = OnceLock::new();
    HINDRANCE.get_or_init(|| try_ring().err()).as_deref()
}

fn try_ring() -> Result<(), String> {
    let ring = Ring::new().map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel has no io_uring".to_owned(),
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is not allowed here (kernel.io_uring_disabled, or a container's seccomp \
             filter)"
                .to_owned()
        }
        Some(libc::EINVAL) => "its io_uring is older than that of Linux 6.1".to_owned(),
        _ => format!("io_uring cannot be set up: {error}"),
    })?;
    let params = ring.ring.params();
    if !params.is_feature_ext_arg() || !params.is_feature_skip_cqe_on_success() {
        return Err("its io_uring is older than that of Linux 6.1".to_owned());
    }
    let mut probe = Probe::new();
    ring.ring
        .submitter()
        .register_probe(&mut probe)
        .map_err(|error| format!("io_uring does not say what it can do: {error}"))?;
    let needed = [
        opcode::Send::CODE,
        opcode::Recv::CODE,
        opcode::PollAdd::CODE,
        opcode::AsyncCancel::CODE,
        opcode::Close::CODE,
    ];
    match needed.iter().all(|code| probe.is_supported(*code)) {
        true => Ok(()),
        false => Err("its io_uring lacks an operation".to_owned()),
    }
}
