//! Numbers with units, as a reader expects them: 350 µs, 1.2 ms, 12.3 k/s, 26 MB.

/// What a number counts, and in which unit the caller passes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A duration in nanoseconds.
    Nanoseconds,
    /// A duration in seconds.
    Seconds,
    /// Bytes; shown with decimal prefixes, 1 MB = 10^6 bytes.
    Bytes,
    /// Something counted, also per something that the title names (switches per request).
    Count,
    /// Something per second.
    PerSecond,
    /// Per cent; 50 is one half.
    Percent,
    /// A factor; 1 is "the same".
    Ratio,
}

/// Prefixes by their factor, the largest first.
const PREFIXES: [(f64, &str); 5] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
const TIMES: [(f64, &str); 4] = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];

/// How all labels of one linear axis are written: one unit, one number of decimals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AxisFormat {
    divisor: f64,
    suffix: String,
    decimals: usize,
}

impl AxisFormat {
    pub(crate) fn write(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".into();
        }
        let number = format!("{:.*}", self.decimals, value / self.divisor);
        format!("{}{}", group_digits(&number), self.suffix)
    }
}

impl Unit {
    /// Writes a value with three significant digits and its unit.
    #[must_use]
    pub fn format(self, value: f64) -> String {
        if value == 0.0 {
            return format!("0{}", self.zero_suffix());
        }
        // Rounding first, so that 999,900 ns is 1 ms and not 1000 µs.
        let value = round_significant(value, 3);
        let (divisor, suffix) = self.scale_for(value);
        format!("{}{suffix}", plain_number(value / divisor))
    }

    /// The format for the labels of a linear axis whose largest label is `largest` and whose
    /// labels are `step` apart.
    pub(crate) fn axis_format(self, largest: f64, step: f64) -> AxisFormat {
        let (divisor, suffix) = self.scale_for(round_significant(largest, 3));
        let scaled = step / divisor;
        let decimals = (0..9)
            .find(|&d| {
                let shifted = scaled * 10f64.powi(d);
                (shifted - shifted.round()).abs() < 1e-6 * shifted.max(1.0) && shifted > 0.5
            })
            .unwrap_or(9);
        AxisFormat {
            divisor,
            suffix,
            decimals: usize::try_from(decimals).unwrap_or(0),
        }
    }

    /// Divisor and suffix for values of this size.
    fn scale_for(self, value: f64) -> (f64, String) {
        let magnitude = value.abs();
        let of = |table: &[(f64, &'static str)], base: f64| {
            // The tolerance lets 1e6 * 1e-9 count as 1e-3.
            table
                .iter()
                .find(|(factor, _)| magnitude * base >= factor * (1.0 - 1e-9))
                .or(table.last())
                .map_or((1.0, ""), |(factor, prefix)| (factor / base, *prefix))
        };
        match self {
            Self::Nanoseconds | Self::Seconds => {
                let base = if self == Self::Seconds { 1.0 } else { 1e-9 };
                let (divisor, unit) = of(&TIMES, base);
                (divisor, format!(" {unit}"))
            }
            Self::Bytes => {
                let (divisor, prefix) = of(&PREFIXES, 1.0);
                (divisor, format!(" {prefix}B"))
            }
            Self::Count => {
                let (divisor, prefix) = of(&PREFIXES, 1.0);
                let gap = if prefix.is_empty() { "" } else { " " };
                (divisor, format!("{gap}{prefix}"))
            }
            Self::PerSecond => {
                let (divisor, prefix) = of(&PREFIXES, 1.0);
                let gap = if prefix.is_empty() { "" } else { " " };
                (divisor, format!("{gap}{prefix}/s"))
            }
            Self::Percent => (1.0, " %".into()),
            Self::Ratio => (1.0, "×".into()),
        }
    }

    fn zero_suffix(self) -> &'static str {
        match self {
            Self::Nanoseconds | Self::Seconds => " s",
            Self::Bytes => " B",
            Self::Count => "",
            Self::PerSecond => "/s",
            Self::Percent => " %",
            Self::Ratio => "×",
        }
    }
}

/// A whole number with commas between the thousands.
pub(crate) fn whole(value: u64) -> String {
    group_digits(&value.to_string())
}

/// Rounds to so many significant digits.
fn round_significant(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = digits - 1 - magnitude;
    // Dividing by a power of ten is exact where multiplying by its inverse is not.
    if decimals >= 0 {
        let factor = 10f64.powi(decimals);
        (value * factor).round() / factor
    } else {
        let factor = 10f64.powi(-decimals);
        (value / factor).round() * factor
    }
}

/// Three significant digits without an exponent where that stays short.
fn plain_number(value: f64) -> String {
    let magnitude = value.abs();
    if !(1e-4..1e7).contains(&magnitude) {
        return format!("{value:e}").replace('-', "−");
    }
    let decimals = (2 - magnitude.log10().floor() as i32).max(0);
    let fixed = format!("{:.*}", usize::try_from(decimals).unwrap_or(0), value);
    let trimmed = if fixed.contains('.') {
        fixed.trim_end_matches('0').trim_end_matches('.')
    } else {
        &fixed
    };
    group_digits(trimmed)
}

/// Puts commas between the thousands, and a true minus sign in front.
fn group_digits(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => ("−", rest),
        None => ("", number),
    };
    let (whole, fraction) = match digits.find('.') {
        Some(dot) => digits.split_at(dot),
        None => (digits, ""),
    };
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_unit_that_keeps_them_short() {
        let format = |ns| Unit::Nanoseconds.format(ns);
        assert_eq!(format(0.0), "0 s");
        assert_eq!(format(0.5), "0.5 ns");
        assert_eq!(format(7.0), "7 ns");
        assert_eq!(format(350_000.0), "350 µs");
        assert_eq!(format(1_200_000.0), "1.2 ms");
        assert_eq!(format(1_000_000.0), "1 ms");
        assert_eq!(format(12_345_678.0), "12.3 ms");
        assert_eq!(format(2.5e9), "2.5 s");
        assert_eq!(format(1_234e9), "1,230 s");
        assert_eq!(Unit::Seconds.format(0.004), "4 ms");
        assert_eq!(Unit::Seconds.format(-0.25), "−250 ms");
    }

    #[test]
    fn rounding_moves_on_to_the_next_unit() {
        assert_eq!(Unit::Nanoseconds.format(999_900.0), "1 ms");
        assert_eq!(Unit::Nanoseconds.format(999_400.0), "999 µs");
        assert_eq!(Unit::Count.format(999_999.0), "1 M");
    }

    #[test]
    fn counts_rates_bytes_shares_and_factors_have_their_own_signs() {
        assert_eq!(Unit::PerSecond.format(12_345.0), "12.3 k/s");
        assert_eq!(Unit::PerSecond.format(42.0), "42/s");
        assert_eq!(Unit::Bytes.format(26e6), "26 MB");
        assert_eq!(Unit::Bytes.format(512.0), "512 B");
        assert_eq!(Unit::Count.format(0.0312), "0.0312");
        assert_eq!(Unit::Count.format(1500.0), "1.5 k");
        assert_eq!(Unit::Percent.format(12.5), "12.5 %");
        assert_eq!(Unit::Percent.format(0.001), "0.001 %");
        assert_eq!(Unit::Ratio.format(1.234), "1.23×");
        assert_eq!(Unit::Count.format(3e-7), "3e−7");
    }

    #[test]
    fn an_axis_has_one_unit_and_the_decimals_of_its_step() {
        let format = Unit::Nanoseconds.axis_format(2e6, 5e5);
        assert_eq!(format.write(0.0), "0");
        assert_eq!(format.write(5e5), "0.5 ms");
        assert_eq!(format.write(2e6), "2.0 ms");
        let format = Unit::Count.axis_format(400.0, 100.0);
        assert_eq!(format.write(300.0), "300");
        let format = Unit::PerSecond.axis_format(25_000.0, 2_500.0);
        assert_eq!(format.write(7_500.0), "7.5 k/s");
        let format = Unit::Ratio.axis_format(1.5, 0.25);
        assert_eq!(format.write(-0.75), "−0.75×");
    }

    #[test]
    fn whole_numbers_have_commas() {
        assert_eq!(whole(0), "0");
        assert_eq!(whole(999), "999");
        assert_eq!(whole(12_345), "12,345");
        assert_eq!(whole(1_234_567), "1,234,567");
    }
}
