//! When requests start: as soon as there is a free slot, or by the clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What makes the next request start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Pace {
    /// A closed loop: a slot sends its next request when its last one has an outcome.
    Closed {
        /// Pause between an outcome and the next request of its slot.
        think: Duration,
        /// How many of the slots are used, over the time of the run; `None`: all, always.
        connections: Option<Profile>,
    },
    /// An open loop: requests are due by a schedule, whatever the server does. One that
    /// finds no free slot waits for it, and its latency counts from when it was due.
    Open {
        /// How requests are distributed in time.
        arrivals: Arrivals,
        /// Requests per second, over the time of the run.
        rate: Profile,
    },
}

impl Pace {
    /// A closed loop without pauses.
    pub const CLOSED: Self = Self::Closed {
        think: Duration::ZERO,
        connections: None,
    };

    /// Whether requests start by a schedule.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// How the requests of an open loop are distributed in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At even distances.
    Constant,
    /// Each independent of the others, as from many clients: exponential distances.
    Poisson,
}

/// A value over time: straight lines from one stage to the next. After the last stage
/// its end value stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile(Vec<Stage>);

/// A part of a [`Profile`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Value at its begin.
    pub from: f64,
    /// Value at its end.
    pub to: f64,
    /// How long it lasts.
    pub duration: Duration,
}

impl Profile {
    /// The same value always.
    #[must_use]
    pub fn constant(value: f64) -> Self {
        Self(vec![Stage {
            from: value,
            to: value,
            duration: Duration::ZERO,
        }])
    }

    /// One stage after the other.
    ///
    /// # Errors
    /// Says which value is not a finite number from 0 on, or that there is no value above 0.
    pub fn new(stages: Vec<Stage>) -> Result<Self, String> {
        let values = || stages.iter().flat_map(|stage| [stage.from, stage.to]);
        if let Some(bad) = values().find(|value| !value.is_finite() || *value < 0.0) {
            return Err(format!("{bad} is not a value from 0 on"));
        }
        if !values().any(|value| value > 0.0) {
            return Err("at least one value must be above 0".to_owned());
        }
        Ok(Self(stages))
    }

    /// Its stages.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.0
    }

    /// How long its stages last together.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.0.iter().map(|stage| stage.duration).sum()
    }

    /// Its highest value.
    #[must_use]
    pub fn max(&self) -> f64 {
        let values = self.0.iter().flat_map(|stage| [stage.from, stage.to]);
        values.fold(0.0, f64::max)
    }

    /// Its value `at_s` seconds after its begin.
    #[must_use]
    pub fn value_at(&self, at_s: f64) -> f64 {
        let mut begin_s = 0.0;
        for stage in &self.0 {
            let length_s = stage.duration.as_secs_f64();
            if at_s < begin_s + length_s {
                let part = (at_s - begin_s) / length_s;
                return stage.from + (stage.to - stage.from) * part;
            }
            begin_s += length_s;
        }
        self.last()
    }

    /// The area under it up to `at_s` seconds after its begin: with a rate, the requests
    /// due until then.
    #[must_use]
    pub fn area_to(&self, at_s: f64) -> f64 {
        let (mut begin_s, mut area) = (0.0, 0.0);
        for stage in &self.0 {
            let length_s = stage.duration.as_secs_f64();
            if at_s <= begin_s {
                return area;
            }
            if length_s == 0.0 {
                continue;
            }
            let part_s = (at_s - begin_s).min(length_s);
            let end = stage.from + (stage.to - stage.from) * part_s / length_s;
            area += (stage.from + end) / 2.0 * part_s;
            begin_s += length_s;
        }
        area + self.last() * (at_s - begin_s).max(0.0)
    }

    /// When, in seconds after its begin, the area under it reaches `area`; `None` if never.
    #[must_use]
    pub fn time_of_area(&self, area: f64) -> Option<f64> {
        let (mut begin_s, mut left) = (0.0, area);
        for stage in &self.0 {
            let length_s = stage.duration.as_secs_f64();
            let whole = (stage.from + stage.to) / 2.0 * length_s;
            if left < whole || (left == whole && whole > 0.0) {
                return Some(begin_s + stage.time_of_area(left, length_s));
            }
            left -= whole;
            begin_s += length_s;
        }
        (self.last() > 0.0).then(|| begin_s + left / self.last())
    }

    /// The value that stays after the last stage.
    #[must_use]
    pub fn last(&self) -> f64 {
        self.0.last().map_or(0.0, |stage| stage.to)
    }
}

impl Stage {
    /// Solves `from t + slope t² / 2 = area` in the form that stays exact for small slopes.
    fn time_of_area(&self, area: f64, length_s: f64) -> f64 {
        let slope = (self.to - self.from) / length_s;
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        let below = self.from + root;
        if below > 0.0 {
            (2.0 * area / below).min(length_s)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(from: f64, to: f64, seconds: u64) -> Stage {
        Stage {
            from,
            to,
            duration: Duration::from_secs(seconds),
        }
    }

    fn profile() -> Profile {
        // 0 to 100 in 10 s (500), 50 for 4 s (200), down to 0 in 2 s (50).
        Profile::new(vec![
            stage(0.0, 100.0, 10),
            stage(50.0, 50.0, 4),
            stage(50.0, 0.0, 2),
        ])
        .expect("good")
    }

    #[test]
    fn values_follow_the_lines_and_stay_at_the_end() {
        let values = [0.0, 5.0, 11.0, 15.0, 99.0].map(|at_s| profile().value_at(at_s));
        assert_eq!(values, [0.0, 50.0, 50.0, 25.0, 0.0]);
        assert_eq!(Profile::constant(7.0).value_at(3.0), 7.0);
        assert_eq!(profile().duration(), Duration::from_secs(16));
        assert_eq!((profile().max(), profile().last()), (100.0, 0.0));
    }

    #[test]
    fn areas_add_up_and_lead_back_to_their_time() {
        let profile = profile();
        for (at_s, area) in [
            (0.0, 0.0),
            (5.0, 125.0),
            (10.0, 500.0),
            (12.0, 600.0),
            (16.0, 750.0),
        ] {
            assert!((profile.area_to(at_s) - area).abs() < 1e-9, "{at_s}");
            let time_s = profile.time_of_area(area).expect("reached");
            assert!((time_s - at_s).abs() < 1e-9, "{area}: {time_s}");
        }
        assert_eq!(profile.time_of_area(750.1), None);
        assert_eq!(Profile::constant(10.0).time_of_area(25.0), Some(2.5));
        assert_eq!(Profile::constant(10.0).area_to(2.5), 25.0);
    }

    #[test]
    fn values_that_are_none_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(Profile::new(vec![stage(1.0, bad, 1)]).is_err());
        }
        assert!(Profile::new(vec![stage(0.0, 0.0, 1)]).is_err());
        assert!(Profile::new(Vec::new()).is_err());
    }
}
