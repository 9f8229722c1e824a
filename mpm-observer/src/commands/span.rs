//! Lengths of time on the command line.

use std::{ops::RangeInclusive, time::Duration};

/// Reads `500ms`, `30s`, `5m`, `1h`; a bare number counts seconds.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time: write 500ms, 30s, 5m or 1h");
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if !span.is_zero() => Ok(span),
        _ => Err(wrong()),
    }
}

/// The same between bounds, which are told in `words` if it is not.
pub(super) fn parse_span_within(
    bounds: &RangeInclusive<Duration>,
    words: &str,
    text: &str,
) -> Result<Duration, String> {
    let span = parse_span(text)?;
    if bounds.contains(&span) {
        Ok(span)
    } else {
        Err(format!("not between {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit_or_counts_seconds() {
        let spans = [
            ("500ms", 500),
            ("30s", 30_000),
            ("1.5m", 90_000),
            ("2h", 7_200_000),
        ];
        for (text, milliseconds) in spans {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(milliseconds)));
        }
        assert_eq!(parse_span("7"), Ok(Duration::from_secs(7)));
        for wrong in ["", "s", "0s", "-1s", "1d", "1e9h", "nan"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
