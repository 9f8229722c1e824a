//! tasks: follows the server's tasks from their making to their end.
//!
//! The loader enters the first task before it executes the server; every task that one of ours
//! makes is entered in `task_newtask`, before it can run.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::warn;
use mpm_observer_common::{Counter, TaskFlags, TaskRecord, TaskState, TraceKind};

use crate::{
    calls::forget_mappings,
    maps::{count, emit, return_slot, slot_of, take_slot, task},
    memory::{current_task, field, offset},
    sched::kernel_counts,
    trace::Traced,
};

const CLONE_THREAD: u64 = 0x0001_0000;

/// `task_newtask(task_struct *task, u64 clone_flags)`, in the parent.
#[btf_tracepoint]
pub fn task_newtask(ctx: BtfTracePointContext) -> i32 {
    let parent = current_task();
    let parent_slot = slot_of(field(parent, offset!(task_pid)));
    if parent_slot == 0 {
        return 0;
    }
    let parent_flags = task(parent_slot).map_or(0, |state| state.record.flags);
    let child: *const c_void = ctx.arg(0);
    let clone_flags: u64 = ctx.arg(1);
    let pid: u32 = field(child, offset!(task_pid));
    let Some(state) = take_slot(pid) else {
        if count(Counter::TasksUnfollowed) == 1 {
            warn!(&ctx, "task table full: task {} is not followed", pid);
        }
        return 0;
    };
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    *state = TaskState::begin(now_ns);
    forget_mappings(slot_of(pid));
    let record = &mut state.record;
    record.flags = TaskFlags::of_new(parent_flags, clone_flags & CLONE_THREAD != 0);
    record.pid = pid;
    record.tgid = field(child, offset!(task_tgid));
    record.parent_tgid = field(parent, offset!(task_tgid));
    Traced {
        pid,
        other: field(parent, offset!(task_pid)),
        ..Traced::at(now_ns)
    }
    .emit(TraceKind::NewTask);
    0
}

/// `sched_process_exit(task_struct *task, …)`, in the task that ends.
#[btf_tracepoint]
pub fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let ended: *const c_void = ctx.arg(0);
    let pid: u32 = field(ended, offset!(task_pid));
    let slot = slot_of(pid);
    if slot == 0 {
        return 0;
    }
    let Some(state) = task(slot) else {
        return 0;
    };
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    state.arrive(now_ns, field(ended, offset!(task_last_arrival)));
    state.end(
        now_ns,
        field(ended, offset!(task_run_delay)),
        &kernel_counts(ended),
    );
    let record = &mut state.record;
    record.exit_code = field::<i32>(ended, offset!(task_exit_code)) as u32;
    if !emit::<TaskRecord>(record, Counter::TasksSent, Counter::TasksLost) {
        warn!(&ctx, "ring buffer full: the record of task {} is lost", pid);
    }
    Traced {
        pid,
        ..Traced::at(now_ns)
    }
    .emit(TraceKind::Exit);
    // Tells a reader of the table that the slot is free.
    record.kind = 0;
    return_slot(pid, slot);
    0
}
