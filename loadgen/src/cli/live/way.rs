//! How far a run is.

use std::time::Duration;

use loadgen::Config;

/// How far a run is at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Way {
    /// Time since its begin, the warm-up included.
    pub(super) elapsed: Duration,
    /// The part that is done, from 0 to 1: of the requests or of the time, whichever is
    /// further.
    pub(super) done: f64,
    /// Whether it still warms up.
    pub(super) is_warming_up: bool,
}

impl Way {
    pub(super) fn new(config: &Config, completed: u64, elapsed: Duration) -> Self {
        let measured = elapsed.saturating_sub(config.warm_up);
        let of_requests = config
            .requests
            .map_or(0.0, |requests| completed as f64 / requests as f64);
        let of_time = config
            .duration
            .map_or(0.0, |limit| measured.as_secs_f64() / limit.as_secs_f64());
        Self {
            elapsed,
            done: of_requests.max(of_time).clamp(0.0, 1.0),
            is_warming_up: elapsed < config.warm_up,
        }
    }

    /// Seconds of the run after the warm-up.
    pub(super) fn measured_s(&self, config: &Config) -> f64 {
        self.elapsed.saturating_sub(config.warm_up).as_secs_f64()
    }

    /// "40 %, about 12 s left".
    pub(super) fn text(&self, config: &Config) -> String {
        if self.is_warming_up {
            let left = config.warm_up.saturating_sub(self.elapsed).as_secs_f64();
            return format!("warming up, {:.0} s left of it", left.ceil());
        }
        if self.done == 0.0 {
            return "time left not known yet".to_owned();
        }
        let seconds = self.measured_s(config) * (1.0 - self.done) / self.done;
        let percent = (self.done * 100.0).floor();
        format!("{percent:.0} %, about {} left", clock(seconds.ceil()))
    }
}

/// Seconds as people say them: "45 s", "12 min 5 s", "3 h 10 min".
fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::Target;

    fn config() -> Config {
        Config::new(Target::parse("http://127.0.0.1/").expect("good"))
    }

    #[test]
    fn the_part_is_that_of_what_ends_first() {
        let mut config = config();
        let after_5s = |config: &Config| Way::new(config, 10, Duration::from_secs(5)).done;
        assert_eq!(after_5s(&config), 0.0);
        config.requests = Some(100);
        assert_eq!(after_5s(&config), 0.1);
        config.duration = Some(Duration::from_secs(10));
        assert_eq!(after_5s(&config), 0.5);
        config.duration = Some(Duration::from_secs(1));
        assert_eq!(after_5s(&config), 1.0);
    }

    #[test]
    fn the_text_tells_what_is_left() {
        let mut config = config();
        let text = |config: &Config, s| Way::new(config, 0, Duration::from_secs(s)).text(config);
        assert_eq!(text(&config, 3), "time left not known yet");
        config.duration = Some(Duration::from_secs(4));
        assert_eq!(text(&config, 3), "75 %, about 1 s left");
        config.duration = Some(Duration::from_secs(1000));
        assert_eq!(text(&config, 100), "10 %, about 15 min 0 s left");
        config.duration = Some(Duration::from_secs(100_000));
        assert_eq!(text(&config, 50_000), "50 %, about 13 h 53 min left");
    }

    #[test]
    fn the_warm_up_is_no_part_of_the_way() {
        let mut config = config();
        config.duration = Some(Duration::from_secs(10));
        config.warm_up = Duration::from_secs(5);
        let way = |s| Way::new(&config, 0, Duration::from_secs(s));
        assert_eq!(way(3).text(&config), "warming up, 2 s left of it");
        assert_eq!(way(7).text(&config), "20 %, about 8 s left");
    }
}
