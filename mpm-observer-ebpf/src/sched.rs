//! sched: on-CPU time, run-queue wait, blocked time by what a task is blocked in, and switches.
//!
//! One hook, `sched_switch`. When a task was woken is not traced: the kernel itself adds up how
//! long each task waited for a CPU (`sched_info.run_delay`), so the time off the CPU is split
//! with the difference of that, which saves the wake-up hook. Which system call a task blocks in
//! stands in its saved registers, which saves the system calls' hooks.

use core::ffi::{c_int, c_void};

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, generated::bpf_task_pt_regs},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use mpm_observer_common::{KernelCounts, TaskState, TraceKind, blocked_in};

use crate::{
    maps::{slot_of, task},
    memory::{blocked_in_call, field, offset},
    trace::{Traced, no_interrupts},
};

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, unsigned prev_state)`
#[btf_tracepoint]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    no_interrupts();
    let prev: *const c_void = ctx.arg(1);
    let next: *const c_void = ctx.arg(2);
    let prev_pid: u32 = field(prev, offset!(task_pid));
    let next_pid: u32 = field(next, offset!(task_pid));
    let prev_slot = slot_unless_idle(prev_pid);
    let next_slot = slot_unless_idle(next_pid);
    if prev_slot | next_slot == 0 {
        return 0;
    }
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if prev_slot != 0
        && let Some(state) = task(prev_slot)
    {
        let preempt: c_int = ctx.arg(0);
        let prev_state: u32 = ctx.arg(3);
        let blocked = (preempt & 0xff == 0 && prev_state != 0)
            .then(|| blocked_in(prev_state, in_iowait(prev), state.in_call(call(prev))));
        state.arrive(now_ns, field(prev, offset!(task_last_arrival)));
        state.switch_out(now_ns, field(prev, offset!(task_run_delay)), blocked);
        Traced {
            pid: prev_pid,
            value: blocked.unwrap_or(0) as i32,
            ..Traced::at(now_ns)
        }
        .emit(if blocked.is_some() {
            TraceKind::Block
        } else {
            TraceKind::Preempt
        });
    }
    if next_slot != 0
        && let Some(state) = task(next_slot)
    {
        state.switch_in(now_ns);
        if state.wants_base() {
            state.set_base(kernel_counts(next), field(next, offset!(task_run_delay)));
        }
        Traced {
            pid: next_pid,
            ..Traced::at(now_ns)
        }
        .emit(TraceKind::SwitchIn);
    }
    0
}

/// The slot of a task. The idle task, which takes part in every other switch, has none.
#[inline(always)]
fn slot_unless_idle(pid: u32) -> u32 {
    if pid == 0 { 0 } else { slot_of(pid) }
}

/// Whether a task waits for a device.
#[inline(always)]
fn in_iowait(task: *const c_void) -> bool {
    u32::from(field::<u8>(task, offset!(task_iowait))) & offset!(task_iowait_mask) != 0
}

/// What the system call that a task is in says of its blocking; `None` outside of one.
#[inline(always)]
fn call(task: *const c_void) -> Option<u32> {
    // SAFETY: the argument is a task whose type the verifier knows.
    let regs = unsafe { bpf_task_pt_regs(task.cast_mut().cast()) } as *const c_void;
    let number: i64 = field(regs, offset!(regs_syscall));
    (number >= 0).then(|| blocked_in_call(number as u64))
}

/// The kernel's own counters of a task.
#[inline(always)]
pub(crate) fn kernel_counts(task: *const c_void) -> KernelCounts {
    KernelCounts {
        voluntary: field(task, offset!(task_nvcsw)),
        involuntary: field(task, offset!(task_nivcsw)),
        faults_minor: field(task, offset!(task_min_flt)),
        faults_major: field(task, offset!(task_maj_flt)),
    }
}

/// Brings the totals of the running task up to `now_ns`.
#[inline(always)]
pub(crate) fn account(state: &mut TaskState, current: *const c_void, now_ns: u64) {
    state.arrive(now_ns, field(current, offset!(task_last_arrival)));
    state.account(now_ns, field(current, offset!(task_run_delay)));
}
