//! The state machine of a task's time: every moment of its life counts to exactly one of on CPU,
//! woken, preempted and blocked.

use crate::record::{BlockedIn, RecordKind, TaskFlags, TaskRecord};

/// Where a task is, and what the time since [`TaskState::since_ns`] will count as.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffCpu {
    /// On a CPU.
    Running = 0,
    /// Off it, though it could run.
    Preempted = 1,
    /// Off it because it blocked; from its wake-up on it waits for a CPU.
    Blocked = 2,
}

/// The kernel's own counters of a task.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts {
    /// `nvcsw`
    pub voluntary: u64,
    /// `nivcsw`
    pub involuntary: u64,
    /// `min_flt`
    pub faults_minor: u64,
    /// `maj_flt`
    pub faults_major: u64,
}

/// One live task of the server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskState {
    // What changes at every switch comes first, next to the record's own such figures.
    /// Until when its time has been counted.
    pub since_ns: u64,
    /// Length of the last blocked interval, not yet split at the wake-up, or 0. The kernel adds
    /// to `run_delay` only after the tracepoint of the switch, so it is split at the next event.
    pub unsplit_ns: u64,
    /// `run_delay` when it was last read.
    pub run_delay_ns: u64,
    /// When it last read or sent on a connection.
    pub last_io_ns: u64,
    /// When it was last woken, as far as that is known already.
    pub woken_ns: u64,
    /// When it ran after that.
    pub running_ns: u64,
    /// `preempted_ns` at that moment.
    pub preempted_base_ns: u64,
    /// An [`OffCpu`].
    pub off_cpu: u32,
    /// A [`BlockedIn`]: of the current or last blocked interval.
    pub blocked_in: u32,
    /// 1 while a fault on a page that is not present waits to be told what was mapped.
    pub fault_open: u32,
    /// Zero.
    pub reserved: u32,
    /// What is emitted at its end; `totals` is kept up to date in place.
    pub record: TaskRecord,
    /// The kernel's counters when the watch began.
    pub base: KernelCounts,
}

impl TaskState {
    /// A task that was made at `now_ns` and has not run yet, or whose following begins then.
    #[inline(always)]
    #[must_use]
    pub fn begin(now_ns: u64) -> Self {
        Self {
            record: TaskRecord {
                kind: RecordKind::Task as u32,
                created_ns: now_ns,
                ..TaskRecord::default()
            },
            since_ns: now_ns,
            off_cpu: OffCpu::Blocked as u32,
            ..Self::default()
        }
    }

    /// Brings the totals of a task that is on a CPU up to `now_ns`. `run_delay_ns` is the
    /// kernel's total of its waits for a CPU.
    #[inline(always)]
    pub fn account(&mut self, now_ns: u64, run_delay_ns: u64) {
        let sched = &mut self.record.totals.sched;
        if self.unsplit_ns != 0 {
            let waited_ns = run_delay_ns
                .saturating_sub(self.run_delay_ns)
                .min(self.unsplit_ns);
            sched.woken_wait_ns += waited_ns;
            if let Some(blocked_ns) = sched.blocked_ns.get_mut(self.blocked_in as usize) {
                *blocked_ns += self.unsplit_ns - waited_ns;
            }
            self.woken_ns = self.running_ns - waited_ns;
            self.unsplit_ns = 0;
        }
        self.run_delay_ns = run_delay_ns;
        sched.on_cpu_ns += now_ns.saturating_sub(self.since_ns);
        self.since_ns = now_ns;
    }

    /// It leaves its CPU: `blocked` in something, or not of its own will.
    #[inline(always)]
    pub fn switch_out(&mut self, now_ns: u64, run_delay_ns: u64, blocked: Option<u32>) {
        self.account(now_ns, run_delay_ns);
        let sched = &mut self.record.totals.sched;
        if let Some(blocked_in) = blocked {
            sched.voluntary += 1;
            self.off_cpu = OffCpu::Blocked as u32;
            self.blocked_in = blocked_in;
        } else {
            sched.involuntary += 1;
            self.off_cpu = OffCpu::Preempted as u32;
        }
    }

    /// It gets a CPU.
    #[inline(always)]
    pub fn switch_in(&mut self, now_ns: u64) {
        let off_ns = now_ns.saturating_sub(self.since_ns);
        let sched = &mut self.record.totals.sched;
        if self.off_cpu == OffCpu::Blocked as u32 {
            self.unsplit_ns = off_ns;
            self.running_ns = now_ns;
            self.preempted_base_ns = sched.preempted_ns;
        } else {
            sched.preempted_ns += off_ns;
        }
        self.off_cpu = OffCpu::Running as u32;
        self.since_ns = now_ns;
    }

    /// Whether the kernel's counters are still to be taken with [`TaskState::set_base`].
    #[inline(always)]
    #[must_use]
    pub fn wants_base(&self) -> bool {
        self.record.flags & TaskFlags::BASE_WANTED != 0
    }

    /// Takes the kernel's counters of a task that was there before it was followed.
    #[inline(always)]
    pub fn set_base(&mut self, base: KernelCounts, run_delay_ns: u64) {
        self.record.flags &= !TaskFlags::BASE_WANTED;
        self.base = base;
        self.run_delay_ns = run_delay_ns;
    }

    /// It ends: the record is complete.
    #[inline(always)]
    pub fn end(&mut self, now_ns: u64, run_delay_ns: u64, kernel: &KernelCounts) {
        self.account(now_ns, run_delay_ns);
        let record = &mut self.record;
        record.exited_ns = now_ns;
        record.kernel_voluntary = kernel.voluntary - self.base.voluntary;
        record.kernel_involuntary = kernel.involuntary - self.base.involuntary;
        record.kernel_faults_minor = kernel.faults_minor - self.base.faults_minor;
        record.kernel_faults_major = kernel.faults_major - self.base.faults_major;
    }
}

/// Bits of `task_struct.__state`: not to be woken by signals.
const TASK_UNINTERRUPTIBLE: u32 = 2;
/// … stopped by a signal, or by a tracer.
const TASK_STOPPED_OR_TRACED: u32 = 4 | 8;

/// What a task is blocked in. `state` is its `__state`, `in_iowait` whether it waits for a
/// device, `by_call` what the system call says ([`Settings::syscalls`](crate::Settings)), or
/// `None` outside of one.
#[inline(always)]
#[must_use]
pub fn blocked_in(state: u32, in_iowait: bool, by_call: Option<u32>) -> u32 {
    if state & TASK_STOPPED_OR_TRACED != 0 {
        return BlockedIn::Stopped as u32;
    }
    if in_iowait {
        return match by_call {
            None => BlockedIn::Fault as u32,
            Some(call) if call == BlockedIn::Send as u32 => BlockedIn::Fault as u32,
            Some(_) => BlockedIn::File as u32,
        };
    }
    if state & TASK_UNINTERRUPTIBLE != 0 {
        return BlockedIn::KernelLock as u32;
    }
    by_call.unwrap_or(BlockedIn::Other as u32)
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
