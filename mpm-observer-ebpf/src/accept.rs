//! accept: which task accepted which connection and when; empty, interrupted and failed calls.
//!
//! The end of `accept4`, which `sys_exit` of `calls` sees, is all that lies between the accept
//! queue and the server. It tells the file descriptor; the socket is found through the task's file
//! table.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_ktime_get_ns, generated::bpf_get_current_task};
use mpm_observer_common::{TaskState, TraceKind};

use crate::{
    maps::conn,
    memory::{offset, probe},
    trace::Traced,
};

const EINTR: i64 = 4;
const EAGAIN: i64 = 11;
/// Kernel-internal results of a call that a signal interrupted (ERESTARTSYS to
/// ERESTART_RESTARTBLOCK).
const ERESTART: core::ops::RangeInclusive<i64> = 512..=516;

/// The running task's call of `accept4` returned `result`.
#[inline(always)]
pub(crate) fn accepted(state: &mut TaskState, pid: u32, result: i64) {
    if result < 0 {
        note_failure(state, -result);
        return;
    }
    state.record.totals.accepts += 1;
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if let Some(sk) = socket_of(result as u64)
        && let Some(conn) = conn(sk)
    {
        conn.request.accepted_ns = now_ns;
        conn.request.acceptor = pid;
        Traced {
            conn: sk,
            pid,
            remote_port: conn.request.remote_port,
            ..Traced::at(now_ns)
        }
        .emit(TraceKind::Accepted);
    }
}

#[inline(always)]
fn note_failure(state: &mut TaskState, errno: i64) {
    let totals = &mut state.record.totals;
    if errno == EAGAIN {
        totals.accepts_again += 1;
    } else if errno == EINTR || ERESTART.contains(&errno) {
        totals.accepts_interrupted += 1;
    } else {
        totals.accepts_failed += 1;
        state.record.accept_errno = errno as u32;
    }
}

/// The socket behind a file descriptor of the running task.
#[inline(always)]
fn socket_of(fd: u64) -> Option<u64> {
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task() } as *const c_void;
    let files: *const c_void = probe(task, offset!(task_files))?;
    let table: *const c_void = probe(files, offset!(files_fdt))?;
    let array: *const u64 = probe(table, offset!(fdtable_fd))?;
    let file: *const c_void = probe(array.wrapping_add(fd as usize).cast(), 0)?;
    let socket: *const c_void = probe(file, offset!(file_private_data))?;
    probe(socket, offset!(socket_sk))
}
