//! Figures in few letters.

/// A duration with two or three digits: `870 us`, `3.14 ms`, `12.3 s`.
#[must_use]
pub fn duration(ns: u64) -> String {
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
}
