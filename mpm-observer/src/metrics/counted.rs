//! A counter whose source begins anew with each server.

/// Adds what a counter of the probes grew by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    total: u64,
    last: u64,
}

impl Counted {
    /// The source has this value now.
    pub(super) const fn update(&mut self, value: u64) {
        // The sums of several CPUs' counters are not of one moment.
        self.total += value.saturating_sub(self.last);
        if value > self.last {
            self.last = value;
        }
    }

    /// The source begins at 0 again.
    pub(super) const fn restart(&mut self) {
        self.last = 0;
    }

    /// All that it grew by.
    pub(super) const fn total(self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_source_goes_on_where_the_total_was() {
        let mut counted = Counted::default();
        counted.update(5);
        counted.update(7);
        counted.restart();
        counted.update(2);
        assert_eq!(counted.total(), 9);
    }
}
