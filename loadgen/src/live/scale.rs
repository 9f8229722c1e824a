//! Durations on a logarithmic scale of fixed size.

/// Bins for each doubling: a duration is known to within 4.4 %.
const BINS_PER_DOUBLING: f64 = 16.0;

/// Everything up to here is in the first bin.
const FIRST_NS: f64 = 1_000.0;

/// Number of bins: from 1 us to more than an hour.
pub const BINS: usize = 512;

/// The bin of a duration; longer ones than the scale knows are in the last.
#[must_use]
pub fn bin_of(duration_ns: u64) -> usize {
    let doublings = (duration_ns as f64 / FIRST_NS).max(1.0).log2();
    ((doublings * BINS_PER_DOUBLING).ceil() as usize).min(BINS - 1)
}

/// The longest duration of a bin.
#[must_use]
pub fn upper_ns(bin: usize) -> u64 {
    (FIRST_NS * (bin as f64 / BINS_PER_DOUBLING).exp2()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_within_its_bin() {
        for duration_ns in [
            1_001,
            2_000,
            2_001,
            12_345_678,
            999_999_999,
            3_600_000_000_000,
        ] {
            let bin = bin_of(duration_ns);
            assert!(upper_ns(bin) + 1 >= duration_ns, "{duration_ns}");
            assert!(upper_ns(bin - 1) < duration_ns, "{duration_ns}");
            assert!(upper_ns(bin) as f64 <= duration_ns as f64 * 1.045);
        }
    }

    #[test]
    fn the_ends_take_what_is_beyond_them() {
        assert_eq!((bin_of(0), bin_of(1_000)), (0, 0));
        assert_eq!(bin_of(u64::MAX), BINS - 1);
    }
}
