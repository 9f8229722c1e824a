//! trace: the full stream of events, for as long as the loader says; and who wakes whom.
//!
//! Without a trace `tracing()` is a constant 0, so that the verifier takes everything that
//! depends on it out of the programs, and the programs of this file are not attached.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use mpm_observer_common::{RecordKind, TraceEvent, TraceKind, WakeContext};

use crate::{
    maps::{count_at, interrupts, output, slot_of, trace_window},
    memory::{current_task, field, offset, tracing},
};

/// Numbers of the kernel's software interrupts.
const TIMER_SOFTIRQ: u32 = 1;
const NET_TX_SOFTIRQ: u32 = 2;
const NET_RX_SOFTIRQ: u32 = 3;
const HRTIMER_SOFTIRQ: u32 = 8;

/// What is on a CPU besides its task.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Interrupts {
    /// The software interrupt that runs, by its number plus one; 0: none.
    softirq: u32,
    /// 1: a timer's function runs.
    timer: u32,
    /// 1: a device's interrupt runs.
    device: u32,
}

/// Forgets what ran on this CPU besides its task. A CPU switches tasks outside of interrupts
/// alone, so that an exit from one that was not seen stays without effect from then on.
#[inline(always)]
pub(crate) fn no_interrupts() {
    if tracing()
        && let Some(interrupts) = interrupts()
    {
        *interrupts = Interrupts::default();
    }
}

/// What is known of an event.
pub(crate) struct Traced {
    pub(crate) now_ns: u64,
    pub(crate) conn: u64,
    pub(crate) pid: u32,
    pub(crate) other: u32,
    pub(crate) value: i32,
    pub(crate) remote_port: u16,
}

impl Traced {
    /// An event of nobody.
    #[inline(always)]
    pub(crate) fn at(now_ns: u64) -> Self {
        Self {
            now_ns,
            conn: 0,
            pid: 0,
            other: 0,
            value: 0,
            remote_port: 0,
        }
    }

    /// An event of a connection.
    #[inline(always)]
    pub(crate) fn of(sk: *const c_void, now_ns: u64) -> Self {
        let remote_port = if tracing() {
            u16::from_be(field(sk, offset!(sk_dport)))
        } else {
            0
        };
        Self {
            conn: sk as u64,
            remote_port,
            ..Self::at(now_ns)
        }
    }

    /// Emits it, if there is a trace and it lies in its window.
    #[inline(always)]
    pub(crate) fn emit(self, kind: TraceKind) {
        if !tracing() {
            return;
        }
        let window = trace_window();
        if self.now_ns < window.from_ns || self.now_ns >= window.until_ns {
            return;
        }
        let event = TraceEvent {
            kind: RecordKind::Trace as u32,
            event: kind as u32,
            time_ns: self.now_ns,
            conn: self.conn,
            pid: self.pid,
            other: self.other,
            value: self.value,
            remote_port: self.remote_port,
            // SAFETY: no arguments.
            cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        };
        count_at(kind.source().sent());
        if !output(&event) {
            count_at(kind.source().lost());
        }
    }
}

/// `sched_waking(task_struct *p)`, in the waker.
#[btf_tracepoint]
pub fn sched_waking(ctx: BtfTracePointContext) -> i32 {
    let woken: *const c_void = ctx.arg(0);
    let pid: u32 = field(woken, offset!(task_pid));
    if slot_of(pid) == 0 {
        return 0;
    }
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    Traced {
        pid,
        other: field(current_task(), offset!(task_pid)),
        value: wake_context() as i32,
        ..Traced::at(now_ns)
    }
    .emit(TraceKind::Wake);
    0
}

#[inline(always)]
fn wake_context() -> WakeContext {
    let Some(interrupts) = interrupts() else {
        return WakeContext::Task;
    };
    if interrupts.timer != 0 {
        return WakeContext::Timer;
    }
    if interrupts.device != 0 {
        return WakeContext::Interrupt;
    }
    match interrupts.softirq.wrapping_sub(1) {
        u32::MAX => WakeContext::Task,
        NET_RX_SOFTIRQ | NET_TX_SOFTIRQ => WakeContext::Network,
        TIMER_SOFTIRQ | HRTIMER_SOFTIRQ => WakeContext::Timer,
        _ => WakeContext::Interrupt,
    }
}

/// `softirq_entry(unsigned int vec_nr)`
#[btf_tracepoint]
pub fn softirq_entry(ctx: BtfTracePointContext) -> i32 {
    let number: u32 = ctx.arg(0);
    if let Some(interrupts) = interrupts() {
        interrupts.softirq = number + 1;
    }
    0
}

/// `softirq_exit(unsigned int vec_nr)`
#[btf_tracepoint]
pub fn softirq_exit(_ctx: BtfTracePointContext) -> i32 {
    if let Some(interrupts) = interrupts() {
        interrupts.softirq = 0;
    }
    0
}

/// `hrtimer_expire_entry(hrtimer *hrtimer, ktime_t *now)`
#[btf_tracepoint]
pub fn hrtimer_expire_entry(_ctx: BtfTracePointContext) -> i32 {
    if let Some(interrupts) = interrupts() {
        interrupts.timer = 1;
    }
    0
}

/// `hrtimer_expire_exit(hrtimer *hrtimer)`
#[btf_tracepoint]
pub fn hrtimer_expire_exit(_ctx: BtfTracePointContext) -> i32 {
    if let Some(interrupts) = interrupts() {
        interrupts.timer = 0;
    }
    0
}

/// `irq_handler_entry(int irq, irqaction *action)`
#[btf_tracepoint]
pub fn irq_handler_entry(_ctx: BtfTracePointContext) -> i32 {
    if let Some(interrupts) = interrupts() {
        interrupts.device = 1;
    }
    0
}

/// `irq_handler_exit(int irq, irqaction *action, int ret)`
#[btf_tracepoint]
pub fn irq_handler_exit(_ctx: BtfTracePointContext) -> i32 {
    if let Some(interrupts) = interrupts() {
        interrupts.device = 0;
    }
    0
}
