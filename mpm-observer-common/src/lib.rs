//! The types that both sides of the kernel border share: what the eBPF programs keep per task
//! and per connection, and the records that leave the kernel.
//!
//! All times are nanoseconds of `CLOCK_MONOTONIC`; all counts begin at zero with the task, the
//! connection or the request they belong to. Layouts are `repr(C)` without implicit padding, so
//! that a record can be copied byte by byte.
#![no_std]

mod config;
mod conn;
mod counter;
mod failure;
mod record;
mod task;
mod trace;
mod words;

pub use config::{ABSENT, Offsets, PORTS, SYSCALLS, Settings, TraceWindow};
pub use conn::{ConnState, Worker};
pub use counter::Counter;
pub use failure::{
    ARENA_BYTES, CallWatch, FailureFlags, FailureRecord, FailureSource, Mapping, Mappings, arena_in,
};
pub use record::{
    Address, BlockedIn, RecordKind, RequestFlags, RequestRecord, SchedTotals, TaskFlags,
    TaskRecord, TaskTotals,
};
pub use task::{KernelCounts, OffCpu, RESTARTED, TaskState, blocked_in};
pub use trace::{TraceEvent, TraceKind, TraceSource, WakeContext};

/// Most connections of the server that can be followed at once.
pub const MAX_CONNS: u32 = 65_536;
/// Most tasks of the server that can be alive at once.
pub const MAX_TASKS: u32 = 16_384;
/// Size of the ring buffer that carries records to user space, unless told otherwise (bytes).
pub const RING_BYTES: u32 = 8 << 20;

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `repr(C)`, plain integers, no padding (held by the tests below).
    unsafe impl aya::Pod for crate::Settings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::Offsets {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::TaskState {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::ConnState {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::TraceWindow {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::Mappings {}
}

#[cfg(test)]
mod tests {
    use core::mem::size_of;

    use super::*;

    #[test]
    fn no_type_has_padding() {
        const BLOCKED: usize = 8 * BlockedIn::COUNT;
        assert_eq!(size_of::<Settings>(), 2 * PORTS + 4 * 4 + 2 * SYSCALLS);
        assert_eq!(size_of::<TraceWindow>(), 2 * 8);
        assert_eq!(size_of::<Offsets>(), 65 * 4);
        assert_eq!(
            size_of::<RequestRecord>(),
            8 + 32 + 8 + 20 * 8 + BLOCKED + 10 * 4
        );
        assert_eq!(
            size_of::<RequestRecord>() - RequestRecord::SHORT,
            BLOCKED + 3 * 8
        );
        assert_eq!(size_of::<SchedTotals>(), 5 * 8 + BLOCKED);
        assert_eq!(size_of::<TaskTotals>(), size_of::<SchedTotals>() + 11 * 8);
        assert_eq!(
            size_of::<TaskRecord>(),
            8 * 4 + 16 + size_of::<TaskTotals>() + 4 * 8
        );
        assert_eq!(
            size_of::<TaskState>(),
            size_of::<TaskRecord>() + 3 * 8 + 4 * 8 + 4 * 8 + 4 * 4 + 2 * 8 + 2 * 4
        );
        assert_eq!(
            size_of::<ConnState>(),
            64 + size_of::<RequestRecord>() + 8 + size_of::<SchedTotals>() + 24 + 8
        );
        assert_eq!(size_of::<TraceEvent>(), 4 * 2 + 8 * 2 + 4 * 3 + 2 * 2);
        assert_eq!(
            size_of::<FailureRecord>(),
            16 * 4 + 8 + 2 * 8 + 5 * 8 + 14 * 8
        );
        assert_eq!(size_of::<Mappings>(), 7 * 8);
    }

    #[test]
    fn kinds_are_read_back() {
        for kind in [
            RecordKind::Request,
            RecordKind::Task,
            RecordKind::Trace,
            RecordKind::Failure,
        ] {
            assert_eq!(RecordKind::from_word(kind as u32), Some(kind));
        }
        assert_eq!(RecordKind::from_word(0), None);
        for kind in TraceKind::ALL {
            assert_eq!(TraceKind::from_word(kind as u32), Some(kind));
        }
        assert_eq!(TraceKind::from_word(0), None);
        assert_eq!(WakeContext::from_value(2), Some(WakeContext::Timer));
        assert_eq!(WakeContext::from_value(-1), None);
    }
}
