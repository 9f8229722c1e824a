//! Numbers as they are read: values with their unit, ranges, counts.

use plots::Unit;

use super::metrics::{Digits, Metric};
use crate::statistics::Spread;
pub(super) use crate::wording::{listing, plural, whole};

/// A value of a metric with its unit.
#[must_use]
pub(super) fn value(metric: &Metric, value: f64) -> String {
    match metric.digits {
        Digits::Three => metric.unit.format(value),
        Digits::Hundredths => percent(value),
        Digits::Whole | Digits::YesNo => count(value),
    }
}

/// A count; the median of two counts may lie halfway.
fn count(value: f64) -> String {
    if value.fract() == 0.0 && value >= 0.0 {
        whole(value as u64)
    } else {
        format!("{value:.1}")
    }
}

/// Per cent with two decimals. What is not all is not written as all, nor what is not nothing as
/// nothing.
#[must_use]
pub(super) fn percent(value: f64) -> String {
    if value == 0.0 || value == 100.0 {
        return format!("{value:.0} %");
    }
    if value > 0.0 && value < 0.01 {
        return "< 0.01 %".into();
    }
    let rounded = format!("{value:.2}");
    let rounded = if rounded == "100.00" {
        "99.99"
    } else {
        &rounded
    };
    format!("{rounded} %")
}

/// The ends of a range as `8.1–9.3 MB`; nothing if they read alike.
#[must_use]
pub(super) fn range(metric: &Metric, spread: &Spread) -> Option<String> {
    let (low, high) = (value(metric, spread.low), value(metric, spread.high));
    if low == high {
        return None;
    }
    let number_end = |text: &str| {
        text.rfind(|c: char| c.is_ascii_digit())
            .map_or(0, |at| at + 1)
    };
    let (low_end, high_end) = (number_end(&low), number_end(&high));
    if spread.low == 0.0 || low[low_end..] == high[high_end..] {
        return Some(format!("{}–{high}", &low[..low_end]));
    }
    Some(format!("{low} – {high}"))
}

/// A long text without its middle: what happened stands at the begin of a message, why at its end.
#[must_use]
pub(super) fn without_middle(text: &str) -> String {
    const BEGIN: usize = 80;
    const END: usize = 160;
    let count = text.chars().count();
    if count <= BEGIN + END {
        return text.to_owned();
    }
    let begin: String = text.chars().take(BEGIN).collect();
    let end: String = text.chars().skip(count - END).collect();
    // Whole words only.
    let begin = begin.rsplit_once(' ').map_or(&*begin, |(words, _)| words);
    let end = end.split_once(' ').map_or(&*end, |(_, words)| words);
    format!("{begin} … {end}")
}

/// A factor: `3.0`, `12`.
#[must_use]
pub(super) fn factor(value: f64) -> String {
    if value < 9.95 {
        format!("{value:.2}")
    } else {
        Unit::Count.format(value.round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::metrics::METRICS;

    fn metric(key: &str) -> &'static Metric {
        &METRICS[Metric::index(key).unwrap()]
    }

    fn spread(low: f64, median: f64, high: f64) -> Spread {
        Spread {
            median,
            low,
            high,
            n: 3,
        }
    }

    #[test]
    fn counts_are_exact() {
        assert_eq!(value(metric("ok_requests"), 9_998.0), "9,998");
        assert_eq!(value(metric("ok_requests"), 9_998.5), "9998.5");
        assert_eq!(whole(1_234_567), "1,234,567");
    }

    #[test]
    fn a_share_is_all_or_nothing_only_when_it_is() {
        assert_eq!(percent(100.0), "100 %");
        assert_eq!(percent(99.9999), "99.99 %");
        assert_eq!(percent(99.98), "99.98 %");
        assert_eq!(percent(0.001), "< 0.01 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn a_range_names_a_common_unit_once() {
        let of = |key: &str, spread: Spread| range(metric(key), &spread);
        assert_eq!(
            of("memory_bytes", spread(8.1e6, 8.8e6, 9.3e6)).unwrap(),
            "8.1–9.3 MB"
        );
        assert_eq!(
            of("latency_p50_ns", spread(800e3, 1.1e6, 1.2e6)).unwrap(),
            "800 µs – 1.2 ms"
        );
        assert_eq!(of("failed_requests", spread(0.0, 0.0, 0.0)), None);
        assert_eq!(
            of("failed_requests", spread(0.0, 0.0, 12.0)).unwrap(),
            "0–12"
        );
    }

    #[test]
    fn names_are_listed_as_one_says_them() {
        let names: Vec<String> = ["a", "b", "c"].map(String::from).into();
        assert_eq!(listing(&names), "a, b and c");
        assert_eq!(listing(&names[..2]), "a and b");
        assert_eq!(listing(&names[..1]), "a");
        assert_eq!(listing(&[]), "");
    }

    #[test]
    fn a_long_text_keeps_its_begin_and_its_end() {
        let short = "httpd ended with exit status 1";
        assert_eq!(without_middle(short), short);
        let long = format!("httpd ended: {}the cause is ä", "word ".repeat(100));
        let cut = without_middle(&long);
        assert!(cut.starts_with("httpd ended: word"), "{cut}");
        assert!(cut.contains("word … word"), "{cut}");
        assert!(cut.ends_with("the cause is ä"), "{cut}");
        assert!(cut.chars().count() < 245);
    }

    #[test]
    fn a_factor_near_one_keeps_its_hundredths() {
        assert_eq!(factor(1.049), "1.05");
        assert_eq!(factor(2.98), "2.98");
        assert_eq!(factor(16.4), "16");
    }
}
