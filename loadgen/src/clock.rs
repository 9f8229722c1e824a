//! The clocks everything here is measured with.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC, the clock that the kernel's probes use too.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read_ns(ClockId::CLOCK_MONOTONIC)
}

/// CPU time that the calling thread has used so far, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read_ns(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Nanoseconds that the calling thread has waited for a CPU so far, where the
/// kernel keeps the figure (`/proc/thread-self/schedstat`, its second number).
#[must_use]
pub fn thread_run_delay_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Waits until CLOCK_MONOTONIC shows `until_ns`, or until `stopped`: then `false`.
pub(crate) fn sleep_until(until_ns: u64, stopped: impl Fn() -> bool) -> bool {
    /// How often `stopped` is asked.
    const STEP_NS: u64 = 50_000_000;
    loop {
        let left_ns = until_ns.saturating_sub(monotonic_ns());
        if left_ns == 0 {
            return true;
        }
        if stopped() {
            return false;
        }
        std::thread::sleep(Duration::from_nanos(left_ns.min(STEP_NS)));
    }
}

fn read_ns(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux this builds for, so the call cannot fail.
    clock_gettime(clock).map_or(0, |t| {
        t.tv_sec().unsigned_abs() * 1_000_000_000 + t.tv_nsec().unsigned_abs()
    })
}
