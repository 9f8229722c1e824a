//! The engines that drive the requests, behind one narrow border.
//!
//! An engine gets a [`Plan`], a [`Recorder`](crate::recorder::Recorder) and a [`Stop`],
//! and returns when every request of the plan has an outcome. What a connection's
//! events mean is decided in [`exchange`], without I/O, so that engines differ only in
//! how they wait and how they move bytes.

mod deadlines;
pub(crate) mod epoll;
mod exchange;
mod socket;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// One thread's part of a run.
pub(crate) struct Plan<'a> {
    pub(crate) thread: u16,
    pub(crate) target: SocketAddr,
    /// The serialised request.
    pub(crate) request: &'a [u8],
    /// Whether it is a HEAD request, whose answers have no body.
    pub(crate) is_head_request: bool,
    pub(crate) keep_alive: bool,
    /// For each attempt, connecting included.
    pub(crate) timeout_ns: u64,
    /// Requests under way at once.
    pub(crate) slots: u32,
    /// Requests to send; `None` for as many as there is time for.
    pub(crate) requests: Option<u64>,
    /// When to end at the latest, CLOCK_MONOTONIC.
    pub(crate) until_ns: Option<u64>,
}

/// The two reasons to end early.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'a> {
    /// The caller's wish.
    pub(crate) wished: &'a AtomicBool,
    /// Another load thread has failed.
    pub(crate) failed: &'a AtomicBool,
}

impl Stop<'_> {
    pub(crate) fn is_set(self) -> bool {
        self.wished.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }
}
