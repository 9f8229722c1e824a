//! Statistics of plain numbers: order statistics here, intervals in files of their own.

mod bootstrap;
mod share;

pub use bootstrap::Interval;
#[cfg(test)]
pub(crate) use bootstrap::SplitMix64;
pub use share::{newcombe, wilson};

use serde::{Deserialize, Serialize};

/// The two ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ends {
    /// The lower one.
    pub low: f64,
    /// The upper one.
    pub high: f64,
}

/// Quantile 0.975 of the normal distribution.
const NORMAL_QUANTILE_975: f64 = 1.959_963_984_540_054;

/// A median with the range of the values that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle value.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// How many values.
    pub n: usize,
}

impl Spread {
    /// Median and range of `values`; `None` without values. Values that are no numbers are left
    /// out.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        let (&low, &high) = (values.first()?, values.last()?);
        Some(Self {
            median: median_of_sorted(&values)?,
            low,
            high,
            n: values.len(),
        })
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(middle(sorted[sorted.len() / 2 - 1], upper))
}

fn middle(a: f64, b: f64) -> f64 {
    (a + b) / 2.0
}

/// Index of quantile `q` (0 to 1) in `n` sorted values by the nearest-rank method: the smallest
/// value that at least a share `q` of all does not exceed. `None` for no values.
#[must_use]
pub fn rank(n: usize, q: f64) -> Option<usize> {
    // Lets q * n of, say, 0.9 * 10 be 9 in spite of rounding.
    const EPSILON: f64 = 1e-9;
    let rank = (q * n as f64 - EPSILON).ceil().max(1.0) as usize;
    (n > 0).then(|| rank.min(n) - 1)
}

/// Quantile `q` of sorted values by nearest rank.
#[must_use]
pub fn quantile(sorted: &[u64], q: f64) -> Option<u64> {
    rank(sorted.len(), q).map(|index| sorted[index])
}

/// How unevenly values are spread: 0 all equal, towards 1 all in one. `None` if they sum to 0.
#[must_use]
pub fn gini(values: &[u64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let sum: f64 = sorted.iter().map(|&value| value as f64).sum();
    if sum == 0.0 {
        return None;
    }
    let n = sorted.len() as f64;
    let weighted: f64 = (1..)
        .zip(&sorted)
        .map(|(rank, &value)| f64::from(rank) * value as f64)
        .sum();
    Some((2.0 * weighted / (n * sum) - (n + 1.0) / n).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            (spread.median, spread.low, spread.high, spread.n),
            (2.5, 1.0, 4.0, 4)
        );
        assert_eq!(Spread::of([7.0, 9.0, 8.0]).unwrap().median, 8.0);
    }

    #[test]
    fn nothing_has_no_median_and_what_is_no_number_is_left_out() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN, 1.0]).unwrap().n, 1);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=10).collect();
        assert_eq!(quantile(&values, 0.5), Some(5));
        assert_eq!(quantile(&values, 0.9), Some(9));
        assert_eq!(quantile(&values, 0.91), Some(10));
        assert_eq!(quantile(&values, 0.0), Some(1));
        assert_eq!(quantile(&values, 1.0), Some(10));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn gini_tells_even_from_uneven() {
        assert_eq!(gini(&[5, 5, 5, 5]), Some(0.0));
        assert!((gini(&[0, 0, 0, 8]).unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(gini(&[0, 0]), None);
    }
}
