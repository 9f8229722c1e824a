//! From the kernel's clock to the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen::clock::monotonic_ns;

/// The time of day when `CLOCK_MONOTONIC` was zero, as it was when this was made: the time of day
/// can be set, and is slewed, so it is to be made again now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WallClock {
    /// Nanoseconds since 1970.
    zero_ns: u64,
}

impl WallClock {
    /// Now. Of some attempts that is taken in which least time passed between the readings.
    pub(super) fn read() -> Self {
        let best = (0..3)
            .map(|_| {
                let before_ns = monotonic_ns();
                let now_ns = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| {
                        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
                    });
                (before_ns, now_ns, monotonic_ns())
            })
            .min_by_key(|(before_ns, _, after_ns)| after_ns - before_ns);
        let (before_ns, now_ns, after_ns) = best.unwrap_or_default();
        let middle_ns = before_ns + (after_ns - before_ns) / 2;
        Self {
            zero_ns: now_ns.saturating_sub(middle_ns),
        }
    }

    /// The time of day of a moment of `CLOCK_MONOTONIC`.
    pub(super) fn time_of(self, monotonic_ns: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.zero_ns.saturating_add(monotonic_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_now_and_distances_stay_what_they_are() {
        let clock = WallClock::read();
        let (before, now_ns) = (SystemTime::now(), monotonic_ns());
        let after = SystemTime::now();
        // As exact as the two readings of the time of day that it was made from.
        let slack = Duration::from_millis(100);
        let now = clock.time_of(now_ns);
        assert!(now > before - slack && now < after + slack);
        let later = clock.time_of(now_ns + 1_234_567_891);
        assert_eq!(
            later.duration_since(now).unwrap(),
            Duration::from_nanos(1_234_567_891)
        );
    }
}
