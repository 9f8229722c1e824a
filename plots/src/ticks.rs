//! Where the ticks of an axis stand: pure arithmetic.

/// Ticks of a linear axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinearTicks {
    /// Distance of the ticks, 1, 2 or 5 times a power of ten.
    pub step: f64,
    /// Multiples of the step that lie in the range.
    pub values: Vec<f64>,
}

/// The least step of 1, 2 or 5 times a power of ten that cuts `span` into at most `parts` parts.
pub(crate) fn nice_step(span: f64, parts: usize) -> f64 {
    let raw = span / parts.max(1) as f64;
    if raw <= 0.0 || !raw.is_finite() {
        return 1.0;
    }
    let power = 10f64.powi(raw.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|mantissa| mantissa * power)
        .find(|step| *step >= raw * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// Ticks inside `low..=high`, at most `parts` + 1 of them.
pub(crate) fn linear_ticks(low: f64, high: f64, parts: usize) -> LinearTicks {
    let step = nice_step(high - low, parts);
    let tolerance = 1e-9;
    let first = (low / step - tolerance).ceil() as i64;
    let last = (high / step + tolerance).floor() as i64;
    LinearTicks {
        step,
        values: (first..=last).map(|i| i as f64 * step).collect(),
    }
}

/// Widens a range to whole steps.
pub(crate) fn snap_outwards(low: f64, high: f64, parts: usize) -> (f64, f64) {
    let step = nice_step(high - low, parts);
    let tolerance = 1e-9;
    (
        (low / step + tolerance).floor() * step,
        (high / step - tolerance).ceil() * step,
    )
}

/// Widens a positive range to at least one decade, and its ends to 1, 2 or 5 times a power of ten.
pub(crate) fn log_range(low: f64, high: f64) -> (f64, f64) {
    let missing = (10.0 * low / high).max(1.0).sqrt();
    let (low, high) = (low / missing, high * missing);
    let below = |value: f64| {
        let power = 10f64.powi((value.log10() + 1e-9).floor() as i32);
        [5.0, 2.0, 1.0]
            .into_iter()
            .map(|mantissa| mantissa * power)
            .find(|candidate| *candidate <= value * (1.0 + 1e-9))
            .unwrap_or(power)
    };
    let above = |value: f64| {
        let power = 10f64.powi((value.log10() - 1e-9).floor() as i32);
        [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|mantissa| mantissa * power)
            .find(|candidate| *candidate >= value * (1.0 - 1e-9))
            .unwrap_or(10.0 * power)
    };
    (below(low), above(high))
}

/// How densely a log axis is labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogDensity {
    /// At 1, 2 and 5 times every power of ten.
    OneTwoFive,
    /// At every n-th power of ten, counted from the lowest on the axis.
    Decades(usize),
}

/// Labelled ticks in `low..=high`.
pub(crate) fn log_ticks(low: f64, high: f64, density: LogDensity) -> Vec<f64> {
    let first = (low.log10() - 1e-9).floor() as i32;
    let last = (high.log10() + 1e-9).floor() as i32;
    let inside = |value: &f64| *value >= low * (1.0 - 1e-9) && *value <= high * (1.0 + 1e-9);
    let decades = first..=last;
    match density {
        LogDensity::OneTwoFive => decades
            .flat_map(|e| [1.0, 2.0, 5.0].map(|mantissa| mantissa * 10f64.powi(e)))
            .filter(inside)
            .collect(),
        LogDensity::Decades(every) => decades
            .map(|e| 10f64.powi(e))
            .filter(inside)
            .step_by(every.max(1))
            .collect(),
    }
}

/// Unlabelled ticks in `low..=high`: 1 to 9 times every power of ten, or only the powers of ten
/// where the axis spans so many that the others would run together.
pub(crate) fn log_minor_ticks(low: f64, high: f64) -> Vec<f64> {
    let first = (low.log10() - 1e-9).floor() as i32;
    let last = (high.log10() + 1e-9).floor() as i32;
    let mantissas = if last - first > 6 { 1..=1 } else { 1..=9 };
    (first..=last)
        .flat_map(|e| {
            mantissas
                .clone()
                .map(move |mantissa| f64::from(mantissa) * 10f64.powi(e))
        })
        .filter(|value| *value >= low * (1.0 - 1e-9) && *value <= high * (1.0 + 1e-9))
        .collect()
}

/// The place of quantile `q` on an axis of nines: 0 for 0, 1 for 0.9, 2 for 0.99.
pub(crate) fn nines(q: f64) -> f64 {
    -(1.0 - q).log10()
}

/// Quantiles with a tick from `low` to `high`, with their labels in per cent: 0, 50, 90, 99, 99.9.
pub(crate) fn nines_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let mut ticks = vec![(0.0, "0".to_string()), (0.5, "50".to_string())];
    for count in 1..=15 {
        let quantile = 1.0 - 10f64.powi(-count);
        let label = match count {
            1 => "90".to_string(),
            2 => "99".to_string(),
            _ => format!("99.{}", "9".repeat(usize::try_from(count - 2).unwrap_or(0))),
        };
        ticks.push((quantile, label));
    }
    ticks.retain(|(q, _)| *q >= low - 1e-12 && nines(*q) <= nines(high) + 1e-9);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?} != {expected:?}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-9 * b.abs(), "{found:?} != {expected:?}");
        }
    }

    #[test]
    fn steps_are_one_two_or_five_times_a_power_of_ten() {
        assert_close(
            &[
                nice_step(10.0, 10),
                nice_step(10.0, 6),
                nice_step(10.0, 4),
                nice_step(10.0, 1),
                nice_step(0.003, 4),
                nice_step(7e6, 5),
            ],
            &[1.0, 2.0, 5.0, 10.0, 0.001, 2e6],
        );
    }

    #[test]
    fn a_span_of_nothing_has_a_step_all_the_same() {
        assert_eq!(nice_step(0.0, 5), 1.0);
    }

    #[test]
    fn linear_ticks_are_multiples_of_the_step_inside_the_range() {
        let ticks = linear_ticks(0.3, 2.1, 5);
        assert_eq!(ticks.step, 0.5);
        assert_close(&ticks.values, &[0.5, 1.0, 1.5, 2.0]);
        assert_close(
            &linear_ticks(-4.0, 4.0, 4).values,
            &[-4.0, -2.0, 0.0, 2.0, 4.0],
        );
        assert_close(&linear_ticks(0.0, 0.3, 3).values, &[0.0, 0.1, 0.2, 0.3]);
    }

    #[test]
    fn snapping_never_cuts_the_data_and_leaves_whole_steps_alone() {
        assert_eq!(snap_outwards(0.0, 11.0, 4), (0.0, 15.0));
        assert_eq!(snap_outwards(0.0, 20.0, 4), (0.0, 20.0));
        assert_eq!(snap_outwards(-3.0, 7.0, 5), (-4.0, 8.0));
    }

    #[test]
    fn a_log_range_spans_a_decade_at_least_and_ends_on_one_two_five() {
        assert_eq!(log_range(1.5, 700.0), (1.0, 1000.0));
        assert_eq!(log_range(2.0, 500.0), (2.0, 500.0));
        let (low, high) = log_range(3.0, 3.0);
        assert!(low <= 3.0 && high >= 3.0 && high / low >= 10.0);
        assert_close(&[low, high], &[0.5, 10.0]);
    }

    #[test]
    fn log_ticks_follow_the_density() {
        assert_close(
            &log_ticks(2.0, 100.0, LogDensity::OneTwoFive),
            &[2.0, 5.0, 10.0, 20.0, 50.0, 100.0],
        );
        assert_close(
            &log_ticks(2.0, 1000.0, LogDensity::Decades(1)),
            &[10.0, 100.0, 1000.0],
        );
        assert_close(
            &log_ticks(1e-3, 1e3, LogDensity::Decades(2)),
            &[1e-3, 0.1, 10.0, 1e3],
        );
    }

    #[test]
    fn minor_ticks_thin_out_over_many_decades() {
        assert_close(&log_minor_ticks(8.0, 30.0), &[8.0, 9.0, 10.0, 20.0, 30.0]);
        assert_eq!(log_minor_ticks(1.0, 1e8).len(), 9);
    }

    #[test]
    fn each_further_nine_is_one_step_to_the_right() {
        assert_eq!(nines(0.0), 0.0);
        assert!((nines(0.9) - 1.0).abs() < 1e-12);
        assert!((nines(0.999) - 3.0).abs() < 1e-12);
        assert!((nines(0.5) - std::f64::consts::LOG10_2).abs() < 1e-12);
    }

    #[test]
    fn the_nines_axis_is_labelled_in_per_cent_up_to_its_end() {
        let labels = |low, high| -> Vec<String> {
            nines_ticks(low, high).into_iter().map(|(_, l)| l).collect()
        };
        assert_eq!(labels(0.0, 0.9995), ["0", "50", "90", "99", "99.9"]);
        assert_eq!(
            labels(0.5, 0.999_99),
            ["50", "90", "99", "99.9", "99.99", "99.999"]
        );
        assert_eq!(labels(0.5, 0.5), ["50"]);
    }
}
