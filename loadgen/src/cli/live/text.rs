//! Figures in few letters.

/// A duration to two digits: a value of a logarithmic scale.
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
