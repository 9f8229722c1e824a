//! How many requests are sampled, as the user says it.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// How many requests become spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// A share of all, 0 to 1.
    Share(f64),
    /// So many a second.
    PerSecond(f64),
}

/// A rate that is none.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is neither a share from 0 to 1, such as 0.01, nor a rate, such as 5/s")]
pub struct BadRate(String);

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate(text.to_owned());
        let number = |text: &str| {
            let number: f64 = text.parse().map_err(|_| bad())?;
            (number.is_finite() && number >= 0.0)
                .then_some(number)
                .ok_or_else(bad)
        };
        match text.strip_suffix("/s") {
            Some(rate) => number(rate).map(Self::PerSecond),
            None => match number(text)? {
                share if share <= 1.0 => Ok(Self::Share(share)),
                _ => Err(bad()),
            },
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(out, "{share}"),
            Self::PerSecond(rate) => write!(out, "{rate}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_rates_are_told_apart() {
        assert_eq!("0.01".parse(), Ok(Rate::Share(0.01)));
        assert_eq!("1".parse(), Ok(Rate::Share(1.0)));
        assert_eq!("5/s".parse(), Ok(Rate::PerSecond(5.0)));
        assert_eq!("0".parse(), Ok(Rate::Share(0.0)));
        for text in ["", "1.1", "-0.1", "NaN", "inf/s", "5 /m", "/s"] {
            assert_eq!(
                text.parse::<Rate>(),
                Err(BadRate(text.to_owned())),
                "{text}"
            );
        }
        for text in ["0.25", "2.5/s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }
}
