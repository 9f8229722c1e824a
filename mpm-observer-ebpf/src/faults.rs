//! faults: user and kernel page faults of each task, and what was mapped.
//!
//! The page-fault tracepoints tell the address and why it faulted, not what lies there. A write
//! to a present page is a copy on write; for a page that was not present, the change of the
//! address space's page counters that follows (`rss_stat`) tells file, anonymous or shared memory.

use core::ffi::c_ulong;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use mpm_observer_common::TaskState;

use crate::{
    maps::{slot_of, task},
    memory::{current_task, field, offset},
};

/// Bits of x86's page-fault error code.
const PRESENT: c_ulong = 1;
const WRITE: c_ulong = 1 << 1;

/// Members of `mm_struct.rss_stat`, as `enum` in the kernel's `mm_types_task.h`.
const MM_FILEPAGES: u32 = 0;
const MM_ANONPAGES: u32 = 1;
const MM_SHMEMPAGES: u32 = 3;

#[inline(always)]
fn current_state() -> Option<&'static mut TaskState> {
    match slot_of(field(current_task(), offset!(task_pid))) {
        0 => None,
        slot => task(slot),
    }
}

#[inline(always)]
fn note_reason(state: &mut TaskState, ctx: &BtfTracePointContext) {
    let error_code: c_ulong = ctx.arg(2);
    if error_code & PRESENT == 0 {
        state.fault_open = 1;
    } else if error_code & WRITE != 0 {
        state.record.totals.faults_cow += 1;
    }
}

/// `page_fault_user(unsigned long address, pt_regs *regs, unsigned long error_code)`
#[btf_tracepoint]
pub fn page_fault_user(ctx: BtfTracePointContext) -> i32 {
    if let Some(state) = current_state() {
        state.record.totals.faults_user += 1;
        note_reason(state, &ctx);
    }
    0
}

/// `page_fault_kernel(unsigned long address, pt_regs *regs, unsigned long error_code)`
#[btf_tracepoint]
pub fn page_fault_kernel(ctx: BtfTracePointContext) -> i32 {
    if let Some(state) = current_state() {
        state.record.totals.faults_kernel += 1;
        note_reason(state, &ctx);
    }
    0
}

/// `rss_stat(mm_struct *mm, int member)`: only the first change after a fault is looked at.
#[btf_tracepoint]
pub fn rss_stat(ctx: BtfTracePointContext) -> i32 {
    let Some(state) = current_state() else {
        return 0;
    };
    if state.fault_open == 0 {
        return 0;
    }
    state.fault_open = 0;
    let member: u32 = ctx.arg(1);
    let totals = &mut state.record.totals;
    match member {
        MM_FILEPAGES => totals.faults_file += 1,
        MM_ANONPAGES => totals.faults_anon += 1,
        MM_SHMEMPAGES => totals.faults_shmem += 1,
        _ => {}
    }
    0
}
