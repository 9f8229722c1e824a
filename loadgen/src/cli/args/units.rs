//! Times, numbers, rates and stages as they are written on the command line.

use std::time::Duration;

use loadgen::{Profile, Stage};

/// A time above 0: `10s`, `500ms`, `2m`, `1h`; a bare number is in seconds, as with ab.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a time above 0 such as 10, 10s, 500ms or 2m");
    let units = [
        ("ms", 1e-3),
        ("us", 1e-6),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let (number, seconds) = units
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .unwrap_or((text, 1.0));
    plain_number(number)
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(bad)
}

/// A rate above 0: `5000`, `5k`, `100/s`, `6000/m`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let bad = || format!("{text:?} is not a rate above 0 such as 5000, 5k, 100/s or 600/m");
    let (value, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.trim_end_matches("/s"), 1.0),
        Some((value, "m")) => (value, 60.0),
        Some((value, "h")) => (value, 3600.0),
        Some(_) => return Err(bad()),
    };
    number(value)
        .map(|value| value / seconds)
        .filter(|rate| *rate > 0.0)
        .ok_or_else(bad)
}

/// Stages, one after the other: lines `FROM-TO/TIME` and steps `VALUE/TIME`.
pub(super) fn stages(text: &str) -> Result<Profile, String> {
    let stages: Result<Vec<Stage>, String> = text.split(',').map(stage).collect();
    Profile::new(stages?)
}

fn stage(text: &str) -> Result<Stage, String> {
    let bad = || format!("{text:?} is not a stage such as 0-1000/30s or 500/10s");
    let (values, length) = text.trim().split_once('/').ok_or_else(bad)?;
    let (from, to) = values.split_once('-').unwrap_or((values, values));
    Ok(Stage {
        from: number(from).ok_or_else(bad)?,
        to: number(to).ok_or_else(bad)?,
        duration: time(length)?,
    })
}

/// A number from 0 on, with k for thousands and M for millions.
fn number(text: &str) -> Option<f64> {
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => match text.strip_suffix('M') {
            Some(number) => (number, 1e6),
            None => (text, 1.0),
        },
    };
    plain_number(number).map(|number| number * factor)
}

/// Digits and a point only: what Rust reads beside that (`inf`, `1e3`, `+1`) is more
/// likely a slip.
fn plain_number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse()
        .ok()
        .filter(|number: &f64| is_plain && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_are_seconds_without() {
        for (text, ms) in [
            ("10", 10_000),
            ("0.5", 500),
            ("10s", 10_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(time("50us"), Ok(Duration::from_micros(50)));
        for bad in [
            "", "0", "0s", "-1", "s", "1d", "1 s", "inf", "nan", "1e999", ".",
        ] {
            assert!(time(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rates_are_per_second_unless_they_say_otherwise() {
        for (text, per_second) in [
            ("5000", 5000.0),
            ("5k", 5000.0),
            ("2M", 2e6),
            ("0.5", 0.5),
            ("100/s", 100.0),
            ("6k/m", 100.0),
            ("1800/h", 0.5),
        ] {
            assert_eq!(rate(text), Ok(per_second), "{text}");
        }
        for bad in ["", "0", "-5", "5/x", "k", "1/s/s", "/s", "inf"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn stages_are_lines_and_steps() {
        let profile = stages("0-1k/30s,500/10s").expect("good");
        let values: Vec<(f64, f64)> = profile.stages().iter().map(|s| (s.from, s.to)).collect();
        assert_eq!(values, [(0.0, 1000.0), (500.0, 500.0)]);
        assert_eq!(profile.duration(), Duration::from_secs(40));
        for bad in [
            "", "5", "5/", "/5s", "5-/5s", "5/0s", "0/5s", "1-2-3/5s", "5/5s,", "-1/5s",
        ] {
            assert!(stages(bad).is_err(), "{bad:?}");
        }
    }
}
