//! The record of a failure: made in the ring buffer itself, for want of room on a program's stack.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use mpm_observer_common::{FailureRecord, FailureSource, RecordKind};

use crate::maps::{count_at, reserve, submit};

/// Sends a failure that `fill` completes: it gets a record without limits, uses and queue.
#[inline(always)]
pub(crate) fn fail(source: FailureSource, fill: impl FnOnce(&mut FailureRecord)) {
    count_at(source.sent());
    let Some(mut entry) = reserve() else {
        count_at(source.lost());
        return;
    };
    let record = FailureRecord::cleared(&mut entry);
    record.kind = RecordKind::Failure as u32;
    record.source = source as u32;
    // SAFETY: no arguments.
    record.time_ns = unsafe { bpf_ktime_get_ns() };
    record.queue_length = u32::MAX;
    record.queue_limit = u32::MAX;
    fill(record);
    submit(entry);
}
