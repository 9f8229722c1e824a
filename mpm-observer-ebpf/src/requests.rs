//! requests: pick-up, answer, and the tasks that worked on it.
//!
//! What a request is, and what counts to it, is `mpm_observer_common::ConnState`'s.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use mpm_observer_common::{
    ConnState, Counter, RequestFlags, RequestRecord, TaskState, TraceKind, Worker,
};

use crate::{
    conns::is_ours,
    maps::{conn, emit, slot_of, task},
    memory::{current_task, field, offset},
    sched::account,
    trace::Traced,
};

const MSG_PEEK: i32 = 2;
const EAGAIN: i32 = 11;

/// `sock_recv_length(sock *sk, int ret, int flags)`
#[btf_tracepoint]
pub fn sock_recv_length(ctx: BtfTracePointContext) -> i32 {
    let sk: *const c_void = ctx.arg(0);
    let received: i32 = ctx.arg(1);
    let flags: i32 = ctx.arg(2);
    if received <= 0 || flags & MSG_PEEK != 0 || !is_ours(sk) {
        return 0;
    }
    let Some(mut serving) = Serving::current() else {
        return 0;
    };
    let Some(conn) = conn(sk as u64) else {
        return 0;
    };
    if conn.is_answered() {
        finish(
            conn,
            serving.now_ns,
            Counter::RequestsSent,
            Counter::RequestsLost,
        );
        conn.next_request();
    }
    if conn.read(&serving.worker(), received as u64) {
        serving.state.record.totals.requests += 1;
    }
    serving.done(TraceKind::Read, sk, received);
    0
}

/// `sock_send_length(sock *sk, int ret, int flags)`
#[btf_tracepoint]
pub fn sock_send_length(ctx: BtfTracePointContext) -> i32 {
    let sk: *const c_void = ctx.arg(0);
    let sent: i32 = ctx.arg(1);
    if (sent <= 0 && sent != -EAGAIN) || !is_ours(sk) {
        return 0;
    }
    let Some(mut serving) = Serving::current() else {
        return 0;
    };
    let Some(conn) = conn(sk as u64) else {
        return 0;
    };
    let full = sent == -EAGAIN || !is_writable(sk);
    conn.sent(&serving.worker(), sent.max(0) as u64, full);
    serving.done(TraceKind::Sent, sk, sent);
    0
}

/// Whether poll would say that a socket can be written to: the kernel's `sk_stream_is_writeable`.
#[inline(always)]
fn is_writable(sk: *const c_void) -> bool {
    let queued: i32 = field(sk, offset!(sk_wmem_queued));
    let limit: i32 = field(sk, offset!(sk_sndbuf));
    limit - queued >= queued >> 1
}

/// The running task, if it is the server's, with its totals up to date.
struct Serving {
    state: &'static mut TaskState,
    pid: u32,
    now_ns: u64,
    faults_minor: u64,
    faults_major: u64,
}

impl Serving {
    #[inline(always)]
    fn current() -> Option<Self> {
        let current = current_task();
        let pid: u32 = field(current, offset!(task_pid));
        let slot = slot_of(pid);
        if slot == 0 {
            return None;
        }
        let state = task(slot)?;
        // SAFETY: no arguments.
        let now_ns = unsafe { bpf_ktime_get_ns() };
        account(state, current, now_ns);
        Some(Self {
            state,
            pid,
            now_ns,
            faults_minor: field(current, offset!(task_min_flt)),
            faults_major: field(current, offset!(task_maj_flt)),
        })
    }

    #[inline(always)]
    fn worker(&self) -> Worker<'_> {
        Worker {
            pid: self.pid,
            now_ns: self.now_ns,
            faults_minor: self.faults_minor,
            faults_major: self.faults_major,
            task: self.state,
        }
    }

    /// The read or send has been counted.
    #[inline(always)]
    fn done(&mut self, kind: TraceKind, sk: *const c_void, bytes: i32) {
        self.state.last_io_ns = self.now_ns;
        Traced {
            pid: self.pid,
            value: bytes,
            ..Traced::of(sk, self.now_ns)
        }
        .emit(kind);
    }
}

/// Emits the current request. Each program that does so has counters of its own.
#[inline(always)]
pub(crate) fn finish(conn: &mut ConnState, now_ns: u64, sent: Counter, lost: Counter) {
    let request = &mut conn.request;
    request.end_ns = now_ns;
    let fits = if request.is_short() {
        // SAFETY: a record is at least as long as its first part.
        let first: &[u8; RequestRecord::SHORT] = unsafe { &*(&raw const *request).cast() };
        emit(first, sent, lost)
    } else {
        emit(request, sent, lost)
    };
    request.flags = if fits { 0 } else { RequestFlags::AFTER_LOSS };
}
