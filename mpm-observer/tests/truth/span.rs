//! Lengths as exactly as they are known.

/// A length that is known to lie between two.
///
/// What is done to a request begins and ends between two looks at the clock, and on a busy machine
/// much can come between these. A truth with both ends says so; a wider tolerance would hide what
/// is known well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub least_ns: u64,
    /// Not less than `least_ns`.
    pub most_ns: u64,
}

impl Span {
    /// From the lesser to the greater.
    pub fn between(one_ns: u64, other_ns: u64) -> Self {
        Self {
            least_ns: one_ns.min(other_ns),
            most_ns: one_ns.max(other_ns),
        }
    }

    /// Of two moments: how long after a third they are.
    pub fn since(self, begin_ns: u64) -> Self {
        Self::between(self.least_ns - begin_ns, self.most_ns - begin_ns)
    }

    /// How far a length is outside, negative below it.
    pub fn distance_ns(self, length_ns: i64) -> i64 {
        let (least_ns, most_ns) = (self.least_ns.cast_signed(), self.most_ns.cast_signed());
        length_ns - length_ns.clamp(least_ns, most_ns)
    }
}

/// One that is known exactly.
impl From<u64> for Span {
    fn from(length_ns: u64) -> Self {
        Self::between(length_ns, length_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_within_is_right_and_one_outside_wrong_by_its_distance() {
        let span = Span::between(20, 10);
        let distances = [9, 10, 15, 20, 23, -1].map(|length_ns| span.distance_ns(length_ns));
        assert_eq!(distances, [-1, 0, 0, 0, 3, -11]);
        assert_eq!(Span::from(5).distance_ns(7), 2);
    }
}
