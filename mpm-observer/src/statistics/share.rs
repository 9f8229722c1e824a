//! Intervals of shares, right for few runs and for none or all of them.

use super::{Ends, NORMAL_QUANTILE_975};

/// Wilson's 95 % score interval of a share of `n` (Wilson, Probable inference, 1927; without
/// continuity correction). `share` is from 0 to 1 and need not be a whole number of `n`: a mean of
/// values from 0 to 1 varies at most as much as one of zeros and ones, so its interval is at
/// least as wide as need be. Without values it is all from 0 to 1.
#[must_use]
pub fn wilson(share: f64, n: usize) -> Ends {
    if n == 0 {
        return Ends {
            low: 0.0,
            high: 1.0,
        };
    }
    let n = n as f64;
    let z2 = NORMAL_QUANTILE_975 * NORMAL_QUANTILE_975;
    let middle = share + z2 / (2.0 * n);
    let half = NORMAL_QUANTILE_975 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z2 / n;
    // At a share of 0 or 1 rounding may leave the range.
    Ends {
        low: ((middle - half) / whole).max(0.0),
        high: ((middle + half) / whole).min(1.0),
    }
}

/// Newcombe's 95 % interval of the difference of two shares, of `one` less the `other`, each with
/// its n (Newcombe, Interval estimation for the difference between independent proportions,
/// Statistics in Medicine 17, 1998, method 10): it is built from the two score intervals, so that
/// it has a width where both shares are 0, both 1, or one of each.
#[must_use]
pub fn newcombe(one: (f64, usize), other: (f64, usize)) -> Ends {
    let (a, b) = (wilson(one.0, one.1), wilson(other.0, other.1));
    let difference = one.0 - other.0;
    let below = (one.0 - a.low).hypot(b.high - other.0);
    let above = (a.high - one.0).hypot(other.0 - b.low);
    Ends {
        low: difference - below,
        high: difference + above,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_ends(found: Ends, low: f64, high: f64, what: &str) {
        let close = |a: f64, b: f64| (a - b).abs() < 5.1e-5;
        assert!(
            close(found.low, low) && close(found.high, high),
            "{what}: {found:?}, not {low} to {high}"
        );
    }

    #[test]
    fn shares_have_the_published_score_intervals() {
        // Newcombe, Two-sided confidence intervals for the single proportion, Statistics in
        // Medicine 17, 1998, table I, method 3.
        for (count, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let share = f64::from(count) / n as f64;
            assert_ends(wilson(share, n), low, high, &format!("{count}/{n}"));
        }
    }

    #[test]
    fn differences_of_shares_have_the_published_intervals() {
        // Newcombe, Interval estimation for the difference between independent proportions,
        // table II, cases (a) to (h), method 10.
        for ((a, m), (b, n), low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((6, 7), (2, 7), 0.0582, 0.8062),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((0, 10), (0, 10), -0.2775, 0.2775),
            ((10, 10), (0, 20), 0.6791, 1.0),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ] {
            let share = |count: i32, n: usize| (f64::from(count) / n as f64, n);
            let found = newcombe(share(a, m), share(b, n));
            assert_ends(found, low, high, &format!("{a}/{m} - {b}/{n}"));
        }
    }

    #[test]
    fn swapping_the_shares_mirrors_the_interval() {
        let (a, b) = ((0.3, 7), (1.0, 5));
        let (there, back) = (newcombe(a, b), newcombe(b, a));
        assert_eq!((there.low, there.high), (-back.high, -back.low));
    }

    #[test]
    fn nothing_known_is_everything_possible() {
        assert_eq!(
            wilson(0.0, 0),
            Ends {
                low: 0.0,
                high: 1.0
            }
        );
    }

    /// n over k.
    fn ways(n: i32, k: i32) -> f64 {
        (0..k).fold(1.0, |ways, i| ways * f64::from(n - i) / f64::from(i + 1))
    }

    #[test]
    fn the_difference_is_covered_in_about_95_of_100_cases_for_few_runs_too() {
        // The exact chance that the interval holds the true difference, over all outcomes.
        for n in [6, 8, 20] {
            let mut sum = 0.0;
            let mut count = 0.0;
            for (p, q) in [(0.05, 0.05), (0.1, 0.5), (0.5, 0.5), (0.9, 0.2), (0.3, 0.7)] {
                let chance = |k: i32, p: f64| ways(n, k) * p.powi(k) * (1.0 - p).powi(n - k);
                let mut covered = 0.0;
                for (a, b) in (0..=n).flat_map(|a| (0..=n).map(move |b| (a, b))) {
                    let share = |k: i32| (f64::from(k) / f64::from(n), n as usize);
                    let ends = newcombe(share(a), share(b));
                    if (ends.low..=ends.high).contains(&(p - q)) {
                        covered += chance(a, p) * chance(b, q);
                    }
                }
                assert!((0.91..=1.0).contains(&covered), "{n} {p} {q}: {covered}");
                sum += covered;
                count += 1.0;
            }
            assert!((0.935..=0.99).contains(&(sum / count)), "{n}: {sum}");
        }
    }
}
