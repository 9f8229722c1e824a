//! Order statistics of plain numbers.

use serde::{Deserialize, Serialize};

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

/// A median with the interval that holds the true one, as far as the values tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The middle value.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How many values.
    pub n: usize,
}

impl Interval {
    /// Fewer values have no interval: that all of five lie on one side of the true median happens
    /// in one of sixteen cases, which is more than the 5 % that an interval may miss.
    pub const MIN_VALUES: usize = 6;
    /// How often values are drawn again.
    const DRAWS: usize = 2000;
    /// Where the pseudo-random numbers begin: equal values give an equal interval.
    const SEED: u64 = 0x6d70_6d6f_6273_7276;

    /// The median of `values` with its 95 % percentile bootstrap interval (Efron and Tibshirani,
    /// An Introduction to the Bootstrap, chapter 13). Values that are no numbers are left out;
    /// `None` if fewer than [`Interval::MIN_VALUES`] stay.
    #[must_use]
    pub fn of_median(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        let n = values.len();
        if n < Self::MIN_VALUES {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let mut random = SplitMix64(Self::SEED);
        let mut drawn = vec![0.0; n];
        let mut medians = Vec::with_capacity(Self::DRAWS);
        for _ in 0..Self::DRAWS {
            for value in &mut drawn {
                *value = values[random.below(n)];
            }
            drawn.sort_by(f64::total_cmp);
            medians.extend(median_of_sorted(&drawn));
        }
        medians.sort_by(f64::total_cmp);
        Some(Self {
            median: median_of_sorted(&values)?,
            low: medians[rank(medians.len(), 0.025)?],
            high: medians[rank(medians.len(), 0.975)?],
            n,
        })
    }
}

/// The 95 % interval of a share of which `count` in `n` were seen, by Wilson (Probable inference, the
/// law of succession, and statistical inference, 1927): low and high end, within 0 and 1. Without
/// any trial it is all of that.
#[must_use]
pub fn wilson(count: u32, n: u32) -> (f64, f64) {
    /// Quantile 0.975 of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (f64::from(n), f64::from(count.min(n)) / f64::from(n));
    let weight = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / weight;
    let half = Z / weight * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding must not put the ends on the wrong side of the share itself.
    (
        (middle - half).clamp(0.0, share),
        (middle + half).clamp(share, 1.0),
    )
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`, each as likely as any other up to one in 2^64 / n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0)
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
    fn the_generator_gives_the_published_sequence() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        let interval = Interval::of_median([1.5; 8]).unwrap();
        assert_eq!(
            (interval.median, interval.low, interval.high),
            (1.5, 1.5, 1.5)
        );
    }

    #[test]
    fn too_few_values_have_no_interval() {
        assert_eq!(Interval::of_median([1.0, 2.0, 3.0, 4.0, 5.0]), None);
        assert_eq!(
            Interval::of_median([1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN]),
            None
        );
        assert!(Interval::of_median([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).is_some());
    }

    #[test]
    fn the_ends_agree_with_the_exact_distribution_of_the_bootstrapped_median() {
        // The median of 11 draws from 1 to 11 is at most k with the chance that at least 6 draws
        // are at most k: 0.007 for 2, 0.051 for 3 (binomial), and the same from above. So the
        // quantile 0.025 is 3.
        let interval = Interval::of_median((1..=11).map(f64::from)).unwrap();
        assert_eq!(
            (interval.median, interval.low, interval.high),
            (6.0, 3.0, 9.0)
        );
        assert_eq!(interval.n, 11);
    }

    #[test]
    fn an_interval_covers_the_true_median_about_as_often_as_it_says() {
        let mut random = SplitMix64(1);
        let repeats = 200;
        let covered = (0..repeats)
            .filter(|_| {
                let values: Vec<f64> = (0..15).map(|_| random.below(1_000_000) as f64).collect();
                let interval = Interval::of_median(values).unwrap();
                interval.low <= 500_000.0 && 500_000.0 <= interval.high
            })
            .count();
        assert!((180..=199).contains(&covered), "{covered} of {repeats}");
    }

    #[test]
    fn wilsons_interval_agrees_with_published_values() {
        // Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I.
        for (count, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (found_low, found_high) = wilson(count, n);
            assert!((found_low - low).abs() < 5e-5, "{count}/{n}: {found_low}");
            assert!(
                (found_high - high).abs() < 5e-5,
                "{count}/{n}: {found_high}"
            );
        }
        assert_eq!(wilson(5, 5).1, 1.0);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
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
