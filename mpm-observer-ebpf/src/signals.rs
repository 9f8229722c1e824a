//! signals: those that end one of the server's processes, with their sender; and what the kernel
//! kills for want of memory.

use core::ffi::{c_int, c_void};

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use mpm_observer_common::{FailureFlags, FailureSource};

use crate::{
    failures::fail,
    limits::note_task,
    maps::slot_of,
    memory::{current_task, field, offset, probe},
};

const SIGILL: u32 = 4;
const SIGABRT: u32 = 6;
const SIGBUS: u32 = 7;
const SIGFPE: u32 = 8;
const SIGKILL: u32 = 9;
const SIGSEGV: u32 = 11;
const SIGXCPU: u32 = 24;
const SIGXFSZ: u32 = 25;
const SIGSYS: u32 = 31;

/// What ends a process and is no ordinary stop, a bit each.
const ENDING: u32 = 1 << SIGILL
    | 1 << SIGABRT
    | 1 << SIGBUS
    | 1 << SIGFPE
    | 1 << SIGKILL
    | 1 << SIGSEGV
    | 1 << SIGXCPU
    | 1 << SIGXFSZ
    | 1 << SIGSYS;

/// Stands in place of the signal's information: sent by the kernel.
const SEND_SIG_PRIV: u64 = 1;

/// `signal_generate(int sig, kernel_siginfo *info, task_struct *task, int group, int result)`
#[btf_tracepoint]
pub fn signal_generate(ctx: BtfTracePointContext) -> i32 {
    let signal: c_int = ctx.arg(0);
    if !(1..32).contains(&signal) || ENDING & (1 << signal) == 0 {
        return 0;
    }
    let receiver: *const c_void = ctx.arg(2);
    if slot_of(field(receiver, offset!(task_pid))) == 0 {
        return 0;
    }
    let info: u64 = ctx.arg(1);
    let by_kernel = info == SEND_SIG_PRIV
        || (info > SEND_SIG_PRIV
            && probe::<i32>(info as *const c_void, offset!(siginfo_code)).unwrap_or(0) > 0);
    fail(FailureSource::Signal, |record| {
        record.signal = signal as u32;
        if by_kernel {
            record.flags = FailureFlags::BY_KERNEL;
        } else {
            record.by_pid = field(current_task(), offset!(task_pid));
        }
        note_task(record, receiver);
    });
    0
}

/// `mark_victim(task_struct *task, uid_t uid)`, in the task that ran out of memory.
#[btf_tracepoint]
pub fn mark_victim(ctx: BtfTracePointContext) -> i32 {
    let victim: *const c_void = ctx.arg(0);
    if slot_of(field(victim, offset!(task_pid))) == 0 {
        return 0;
    }
    fail(FailureSource::OomKill, |record| {
        record.signal = SIGKILL;
        record.flags = FailureFlags::BY_KERNEL;
        record.by_pid = field(current_task(), offset!(task_pid));
        note_task(record, victim);
    });
    0
}
