//! requests: pick-up, answer, and the tasks that worked on it.
//!
//! A request begins when bytes arrive on a connection whose last request was answered, and ends
//! with the last send before the next one is read or the connection ends. So a request that comes
//! in parts is one, and requests that a client sends before it has the last answer (pipelining)
//! count as one when they are read together. Keep-alive waiting lies between two requests.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use mpm_observer_common::{ConnState, Counter, RequestFlags, RequestRecord, TaskState};

use crate::{
    conns::is_ours,
    maps::{conn, emit, slot_of, task},
    memory::{current_task, field, offset},
    sched::account,
};

const MSG_PEEK: i32 = 2;

/// `sock_recv_length(sock *sk, int ret, int flags)`
#[btf_tracepoint]
pub fn sock_recv_length(ctx: BtfTracePointContext) -> i32 {
    let sk: *const c_void = ctx.arg(0);
    let received: i32 = ctx.arg(1);
    let flags: i32 = ctx.arg(2);
    if received <= 0 || flags & MSG_PEEK != 0 || !is_ours(sk) {
        return 0;
    }
    let Some(worker) = Worker::current() else {
        return 0;
    };
    let Some(conn) = conn(sk as u64) else {
        return 0;
    };
    if conn.request.pickup_ns != 0 && conn.request.sends != 0 {
        finish(conn, Counter::RequestsSent, Counter::RequestsLost);
        next_request(conn);
    }
    if conn.request.pickup_ns == 0 {
        pick_up(conn, &worker);
    }
    // Bytes that came while the request was incomplete belonged to it.
    conn.next_arrival_ns = 0;
    conn.request.bytes_in += received as u64;
    conn.request.recvs += 1;
    0
}

/// `sock_send_length(sock *sk, int ret, int flags)`
#[btf_tracepoint]
pub fn sock_send_length(ctx: BtfTracePointContext) -> i32 {
    let sk: *const c_void = ctx.arg(0);
    let sent: i32 = ctx.arg(1);
    if sent <= 0 || !is_ours(sk) {
        return 0;
    }
    let Some(worker) = Worker::current() else {
        return 0;
    };
    let Some(conn) = conn(sk as u64) else {
        return 0;
    };
    if conn.request.pickup_ns != 0 {
        count_work(conn, &worker);
        let request = &mut conn.request;
        request.last_task = worker.pid;
        request.last_send_ns = worker.now_ns;
        if request.sends == 0 {
            request.first_send_ns = worker.now_ns;
        }
        request.sends += 1;
        request.bytes_out += sent as u64;
    }
    0
}

/// The running task, if it is the server's, with its totals up to date.
struct Worker {
    state: &'static mut TaskState,
    pid: u32,
    now_ns: u64,
    faults_minor: u64,
    faults_major: u64,
}

impl Worker {
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
}

/// Makes `worker` the task whose further time counts to the connection's request.
#[inline(always)]
fn set_base(conn: &mut ConnState, worker: &Worker) {
    conn.base_task = worker.pid;
    conn.base = worker.state.record.totals.sched;
    conn.base_faults_minor = worker.faults_minor;
    conn.base_faults_major = worker.faults_major;
    conn.counted_ns = worker.now_ns;
}

#[inline(always)]
fn pick_up(conn: &mut ConnState, worker: &Worker) {
    let request = &mut conn.request;
    request.pickup_ns = worker.now_ns;
    request.first_task = worker.pid;
    if request.arrival_ns == 0 {
        request.arrival_ns = worker.now_ns;
        request.flags |= RequestFlags::NO_ARRIVAL;
    }
    set_base(conn, worker);
    // SAFETY: this task's own state, not held elsewhere at this moment.
    if let Some(state) = task(slot_of(worker.pid)) {
        state.record.totals.requests += 1;
    }
}

/// Adds what the serving task did since the last time, or, when another task has taken over,
/// counts the time between as hand-over.
#[inline(always)]
fn count_work(conn: &mut ConnState, worker: &Worker) {
    let request = &mut conn.request;
    if conn.base_task == worker.pid {
        let now = &worker.state.record.totals.sched;
        let base = &conn.base;
        request.on_cpu_ns += now.on_cpu_ns - base.on_cpu_ns;
        request.woken_wait_ns += now.woken_wait_ns - base.woken_wait_ns;
        request.preempted_ns += now.preempted_ns - base.preempted_ns;
        request.blocked_ns += now.blocked_ns - base.blocked_ns;
        request.voluntary += (now.voluntary - base.voluntary) as u32;
        request.involuntary += (now.involuntary - base.involuntary) as u32;
        request.faults_minor += (worker.faults_minor - conn.base_faults_minor) as u32;
        request.faults_major += (worker.faults_major - conn.base_faults_major) as u32;
    } else {
        request.handover_ns += worker.now_ns - conn.counted_ns;
        request.handovers += 1;
    }
    set_base(conn, worker);
}

/// Emits the current request. Each program that does so has counters of its own.
#[inline(always)]
pub(crate) fn finish(conn: &mut ConnState, sent: Counter, lost: Counter) {
    // SAFETY: no arguments.
    conn.request.end_ns = unsafe { bpf_ktime_get_ns() };
    let fits = emit::<RequestRecord>(&conn.request, sent, lost);
    conn.request.flags = if fits { 0 } else { RequestFlags::AFTER_LOSS };
}

/// Clears what belonged to the request that was emitted; what belongs to the connection stays.
#[inline(always)]
pub(crate) fn next_request(conn: &mut ConnState) {
    let last = &conn.request;
    conn.request = RequestRecord {
        kind: last.kind,
        flags: last.flags,
        local_addr: last.local_addr,
        remote_addr: last.remote_addr,
        local_port: last.local_port,
        remote_port: last.remote_port,
        ordinal: last.ordinal + 1,
        established_ns: last.established_ns,
        queued_ns: last.queued_ns,
        accepted_ns: last.accepted_ns,
        acceptor: last.acceptor,
        arrival_ns: conn.next_arrival_ns,
        ..RequestRecord::default()
    };
    conn.next_arrival_ns = 0;
}
