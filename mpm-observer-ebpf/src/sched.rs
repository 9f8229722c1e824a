//! sched: on-CPU time, run-queue wait, blocked time and switches of each task.
//!
//! One hook, `sched_switch`. When a task was woken is not traced: the kernel itself adds up how
//! long each task waited for a CPU (`sched_info.run_delay`), so the time off the CPU is split
//! with the difference of that, which saves the wake-up hook.

use core::ffi::{c_int, c_void};

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use mpm_observer_common::{OffCpu, TaskFlags, TaskState};

use crate::{
    maps::{slot_of, task},
    memory::{field, offset},
};

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, unsigned prev_state)`
#[btf_tracepoint]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let prev: *const c_void = ctx.arg(1);
    let next: *const c_void = ctx.arg(2);
    let prev_slot = slot_of(field(prev, offset!(task_pid)));
    let next_slot = slot_of(field(next, offset!(task_pid)));
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
        switch_out(state, prev, now_ns, preempt & 0xff == 0 && prev_state != 0);
    }
    if next_slot != 0
        && let Some(state) = task(next_slot)
    {
        switch_in(state, next, now_ns);
    }
    0
}

#[inline(always)]
fn switch_out(state: &mut TaskState, prev: *const c_void, now_ns: u64, voluntary: bool) {
    account(state, prev, now_ns);
    let totals = &mut state.record.totals.sched;
    if voluntary {
        totals.voluntary += 1;
        state.off_cpu = OffCpu::Blocked as u32;
    } else {
        totals.involuntary += 1;
        state.off_cpu = OffCpu::Preempted as u32;
    }
}

#[inline(always)]
fn switch_in(state: &mut TaskState, next: *const c_void, now_ns: u64) {
    let off_ns = now_ns.saturating_sub(state.since_ns);
    if state.off_cpu == OffCpu::Blocked as u32 {
        state.unsplit_ns = off_ns;
    } else {
        state.record.totals.sched.preempted_ns += off_ns;
    }
    state.off_cpu = OffCpu::Running as u32;
    state.since_ns = now_ns;
    if state.record.flags & TaskFlags::BASE_WANTED != 0 {
        state.record.flags &= !TaskFlags::BASE_WANTED;
        state.base_voluntary = field(next, offset!(task_nvcsw));
        state.base_involuntary = field(next, offset!(task_nivcsw));
        state.base_faults_minor = field(next, offset!(task_min_flt));
        state.base_faults_major = field(next, offset!(task_maj_flt));
        state.run_delay_ns = field(next, offset!(task_run_delay));
    }
}

/// Brings the totals of a task that is on a CPU up to `now_ns`.
#[inline(always)]
pub(crate) fn account(state: &mut TaskState, task: *const c_void, now_ns: u64) {
    let run_delay_ns: u64 = field(task, offset!(task_run_delay));
    let totals = &mut state.record.totals.sched;
    if state.unsplit_ns != 0 {
        let waited_ns = run_delay_ns
            .saturating_sub(state.run_delay_ns)
            .min(state.unsplit_ns);
        totals.woken_wait_ns += waited_ns;
        totals.blocked_ns += state.unsplit_ns - waited_ns;
        state.unsplit_ns = 0;
    }
    state.run_delay_ns = run_delay_ns;
    totals.on_cpu_ns += now_ns.saturating_sub(state.since_ns);
    state.since_ns = now_ns;
}
