//! Data that several charts share, and the checks on it.

use crate::error::PlotError;
use crate::style::SeriesStyle;

/// A range around a value: the least and greatest of the repetitions, or a confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Low end, in the unit of the value.
    pub low: f64,
    /// High end, at least `low`.
    pub high: f64,
}

/// A value with its interval, e.g. the median of the repetitions between least and greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value itself.
    pub value: f64,
    /// What it may as well have been.
    pub interval: Interval,
}

impl Estimate {
    /// An estimate from its three numbers.
    #[must_use]
    pub const fn new(value: f64, low: f64, high: f64) -> Self {
        Self {
            value,
            interval: Interval { low, high },
        }
    }
}

/// Name and style of what the bars or parts of a chart stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Colour and marker.
    pub style: SeriesStyle,
}

impl Series {
    /// A series with this name and style.
    pub fn new(name: impl Into<String>, style: SeriesStyle) -> Self {
        Self {
            name: name.into(),
            style,
        }
    }
}

pub(crate) fn check_finite(series: &str, what: &'static str, value: f64) -> Result<(), PlotError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(PlotError::NotFinite {
        series: series.into(),
        what,
        value,
    })
}

pub(crate) fn check_not_negative(
    series: &str,
    what: &'static str,
    value: f64,
) -> Result<(), PlotError> {
    check_finite(series, what, value)?;
    if value >= 0.0 {
        return Ok(());
    }
    Err(PlotError::Negative {
        series: series.into(),
        what,
        value,
    })
}

/// Checks both ends with `check`, and their order.
pub(crate) fn check_interval(
    series: &str,
    interval: Interval,
    check: fn(&str, &'static str, f64) -> Result<(), PlotError>,
) -> Result<(), PlotError> {
    check(series, "the interval's low end", interval.low)?;
    check(series, "the interval's high end", interval.high)?;
    if interval.low <= interval.high {
        return Ok(());
    }
    Err(PlotError::Interval {
        series: series.into(),
        low: interval.low,
        high: interval.high,
    })
}

/// The least and the greatest of the values, if there are any.
pub(crate) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_be_drawn_are_refused_by_name() {
        let error = check_finite("event", "value", f64::NAN).unwrap_err();
        assert_eq!(
            error.to_string(),
            "series \"event\": value is NaN; leave it out or pass a finite number"
        );
        assert!(check_not_negative("event", "value", f64::INFINITY).is_err());
        assert!(check_not_negative("event", "value", -1.0).is_err());
        assert!(check_not_negative("event", "value", 0.0).is_ok());
        let reversed = Interval {
            low: 2.0,
            high: 1.0,
        };
        assert!(check_interval("event", reversed, check_finite).is_err());
    }

    #[test]
    fn the_extent_of_nothing_is_nothing() {
        assert_eq!(extent([]), None);
        assert_eq!(extent([3.0, 1.0, 2.0]), Some((1.0, 3.0)));
    }
}
