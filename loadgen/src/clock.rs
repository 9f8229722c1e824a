//! The clocks everything here is measured with.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

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

/// How often the two clocks are read to find a reading that nothing interrupted.
const WALL_READINGS: usize = 8;

/// Where the wall clock stood against CLOCK_MONOTONIC at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallOffset {
    /// Added to a time of CLOCK_MONOTONIC, it gives nanoseconds since 1970 in UTC.
    pub offset_ns: i64,
    /// The reading is off by so much at most. What the wall clock is set or slewed
    /// afterwards (NTP: up to 0.5 ms per second) is not in it.
    pub error_ns: u64,
}

impl WallOffset {
    /// Reads both clocks now; the tightest of a few readings counts.
    #[must_use]
    pub fn measure() -> Self {
        let reading = || {
            let before_ns = monotonic_ns();
            let wall_ns = read_ns(ClockId::CLOCK_REALTIME);
            let apart_ns = monotonic_ns() - before_ns;
            Self {
                offset_ns: wall_ns.wrapping_sub(before_ns + apart_ns / 2).cast_signed(),
                error_ns: apart_ns.div_ceil(2),
            }
        };
        (1..WALL_READINGS).fold(reading(), |best, _| {
            let next = reading();
            if next.error_ns < best.error_ns {
                next
            } else {
                best
            }
        })
    }

    /// Nanoseconds since 1970 in UTC of a time of CLOCK_MONOTONIC.
    #[must_use]
    pub fn wall_ns(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_add_signed(self.offset_ns)
    }
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
    // These clocks exist on every Linux this builds for, so the call cannot fail.
    clock_gettime(clock).map_or(0, |t| {
        t.tv_sec().unsigned_abs() * 1_000_000_000 + t.tv_nsec().unsigned_abs()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_leads_from_one_clock_to_the_other() {
        let offset = WallOffset::measure();
        let before_ns = read_ns(ClockId::CLOCK_REALTIME);
        let between_ns = offset.wall_ns(monotonic_ns());
        let after_ns = read_ns(ClockId::CLOCK_REALTIME);
        // The slack is for a wall clock that is being slewed meanwhile.
        let slack_ns = offset.error_ns + 1_000_000;
        assert!(between_ns + slack_ns >= before_ns && between_ns <= after_ns + slack_ns);
    }
}
