//! tasks: follows the server's tasks from their making to their end.
//!
//! The loader enters the first task before it executes the server; every task that one of ours
//! makes is entered in `task_newtask`, before it can run.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::warn;
use mpm_observer_common::{Counter, OffCpu, RecordKind, TaskFlags, TaskRecord, TaskState};

use crate::{
    maps::{count, emit, return_slot, slot_of, take_slot, task},
    memory::{current_task, field, offset},
    sched::account,
};

const CLONE_THREAD: u64 = 0x0001_0000;

/// `task_newtask(task_struct *task, u64 clone_flags)`, in the parent.
#[btf_tracepoint]
pub fn task_newtask(ctx: BtfTracePointContext) -> i32 {
    let parent = current_task();
    if slot_of(field(parent, offset!(task_pid))) == 0 {
        return 0;
    }
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
    *state = TaskState {
        since_ns: now_ns,
        off_cpu: OffCpu::Blocked as u32,
        ..TaskState::default()
    };
    let record = &mut state.record;
    record.kind = RecordKind::Task as u32;
    if clone_flags & CLONE_THREAD != 0 {
        record.flags = TaskFlags::THREAD;
    }
    record.pid = pid;
    record.tgid = field(child, offset!(task_tgid));
    record.parent_tgid = field(parent, offset!(task_tgid));
    record.created_ns = now_ns;
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
    account(state, ended, now_ns);
    let exit_code: i32 = field(ended, offset!(task_exit_code));
    let voluntary: u64 = field(ended, offset!(task_nvcsw));
    let involuntary: u64 = field(ended, offset!(task_nivcsw));
    let faults_minor: u64 = field(ended, offset!(task_min_flt));
    let faults_major: u64 = field(ended, offset!(task_maj_flt));
    let record = &mut state.record;
    record.exit_code = exit_code as u32;
    record.exited_ns = now_ns;
    record.kernel_voluntary = voluntary - state.base_voluntary;
    record.kernel_involuntary = involuntary - state.base_involuntary;
    record.kernel_faults_minor = faults_minor - state.base_faults_minor;
    record.kernel_faults_major = faults_major - state.base_faults_major;
    if !emit::<TaskRecord>(record, Counter::TasksSent, Counter::TasksLost) {
        warn!(&ctx, "ring buffer full: the record of task {} is lost", pid);
    }
    // Tells a reader of the table that the slot is free.
    record.kind = 0;
    return_slot(pid, slot);
    0
}
