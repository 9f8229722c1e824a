//! Figures in few letters.

/// A duration with two or three digits: "870 us", "3.14 ms", "12.3 s".
pub(super) fn duration(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let decimals = match value {
        _ if unit == "us" || value >= 99.95 => 0,
        _ if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

/// The same to two digits: a value of a logarithmic scale.
pub(super) fn rough_duration(ns: u64) -> String {
    let scale = 10_u64.pow(ns.max(1).ilog10().saturating_sub(1));
    let ns = (ns + scale / 2) / scale * scale;
    let (value, unit) = match ns {
        0..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let decimals = usize::from(value < 9.95);
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_or_three_digits() {
        let cases = [
            (0, "0 us"),
            (870_400, "870 us"),
            (3_141_592, "3.14 ms"),
            (9_999_000, "10.0 ms"),
            (31_415_926, "31.4 ms"),
            (314_159_265, "314 ms"),
            (3_141_592_653, "3.14 s"),
            (3_600_000_000_000, "3600 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn rough_durations_have_two_digits() {
        let cases = [
            (1_090, "1.1 us"),
            (87_400, "87 us"),
            (874_000, "870 us"),
            (3_141_592, "3.1 ms"),
            (314_159_265, "310 ms"),
            (9_990_000_000, "10 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(rough_duration(ns), text);
        }
    }
}
