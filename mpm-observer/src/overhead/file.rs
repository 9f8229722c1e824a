//! The file `overhead.json` in an experiment's directory, and its gist in a few lines.

use std::path::Path;

use super::{Case, Costs, Overhead, Watcher};
use crate::{
    recording::{RecordingError, read_json, write_json},
    statistics::Interval,
};

const FILE: &str = "overhead.json";

impl Overhead {
    /// Writes it into the experiment's directory, or any other.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), RecordingError> {
        write_json(&dir.join(FILE), self)
    }

    /// Reads it from the experiment's directory; `None` if it was not measured.
    ///
    /// # Errors
    /// When the file is broken or of another format.
    pub fn read(dir: &Path) -> Result<Option<Self>, RecordingError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        read_json(&path).map(Some)
    }

    /// The observer's cases, MPM by MPM.
    pub fn observer(&self) -> impl Iterator<Item = &Case> + Clone {
        self.cases
            .iter()
            .filter(|case| case.watcher == Watcher::Observer)
    }

    /// The observer's costs over the pairs of all MPMs together.
    #[must_use]
    pub fn of_all_mpms(&self, keep_alive: bool) -> Costs {
        let cases = self
            .observer()
            .filter(move |case| case.keep_alive == keep_alive);
        Costs::of(cases.flat_map(|case| &case.pairs))
    }

    /// A line for each kind of load on what the observer costs, over all MPMs together, such as
    /// `observer's cost, keep-alive: throughput −1.3 % [−2.9, +0.4], server CPU per request
    /// +1.6 % [+1.2, +2.1] (18 pairs)`: medians with their 95 % bootstrap intervals.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        [true, false]
            .into_iter()
            .filter_map(|keep_alive| self.line(keep_alive))
            .collect()
    }

    /// The line on one kind of load; `None` if it was not measured.
    #[must_use]
    pub fn line(&self, keep_alive: bool) -> Option<String> {
        let cases = self.observer().filter(|case| case.keep_alive == keep_alive);
        let pairs: usize = cases.map(|case| case.pairs.len()).sum();
        let gist = gist(&self.of_all_mpms(keep_alive));
        let load = load_name(keep_alive);
        (pairs > 0).then(|| format!("observer's cost, {load}: {gist} ({pairs} pairs)"))
    }
}

impl Case {
    /// What the watcher costs here, in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let load = load_name(self.keep_alive);
        format!("{}, {load}: {}", self.watcher.name(), gist(&self.costs))
    }
}

/// What connections do, in words.
pub(super) fn load_name(keep_alive: bool) -> &'static str {
    if keep_alive {
        "keep-alive"
    } else {
        "new connections"
    }
}

fn gist(costs: &Costs) -> String {
    format!(
        "throughput {}, server CPU per request {}",
        percent(costs.throughput),
        percent(costs.server_cpu)
    )
}

/// A ratio as a change in per cent, with its interval.
pub(super) fn percent(interval: Option<Interval>) -> String {
    let change = |ratio: f64| {
        let percent = (ratio - 1.0) * 100.0;
        // A minus sign is as wide as a plus; a zero has neither.
        match format!("{percent:+.1}").as_str() {
            "+0.0" | "-0.0" => "0.0".to_owned(),
            text => text.replace('-', "\u{2212}"),
        }
    };
    match interval {
        None => "unknown (too few pairs)".to_owned(),
        Some(Interval {
            median, low, high, ..
        }) => format!("{} % [{}, {}]", change(median), change(low), change(high)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{overhead::cost::tests::pair, recording::FORMAT, scenario::Mpm};

    /// Three cases, each with pairs of these ratios.
    pub(in crate::overhead) fn overhead(factors: &[f64]) -> Overhead {
        let case = |mpm, keep_alive, watcher| {
            let pairs: Vec<_> = factors.iter().map(|&factor| pair(factor)).collect();
            Case {
                mpm,
                keep_alive,
                watcher,
                costs: Costs::of(&pairs),
                pairs,
            }
        };
        Overhead {
            format: FORMAT,
            observer_version: "1".into(),
            kernel: "6.18".into(),
            server_cpus: vec![0],
            client_cpus: vec![1],
            connections: 64,
            body_bytes: 1000,
            half_ms: 150,
            slice_ms: Some(40),
            cases: vec![
                case(Mpm::Prefork, true, Watcher::Observer),
                case(Mpm::Event, true, Watcher::Observer),
                case(Mpm::Event, true, Watcher::Strace),
            ],
        }
    }

    #[test]
    fn the_gist_pools_the_pairs_of_all_mpms_and_leaves_other_watchers_out() {
        assert_eq!(
            overhead(&[0.8, 0.8, 0.8]).lines(),
            [
                "observer's cost, keep-alive: throughput \u{2212}20.0 % [\u{2212}20.0, \u{2212}20.0], \
                 server CPU per request +25.0 % [+25.0, +25.0] (6 pairs)"
            ]
        );
    }

    #[test]
    fn too_few_pairs_are_said_to_tell_nothing() {
        let lines = overhead(&[0.9]).lines();
        assert!(lines[0].contains("throughput unknown (too few pairs)"));
    }

    #[test]
    fn no_change_has_no_sign() {
        let none = Interval {
            median: 1.0001,
            low: 0.99996,
            high: 1.004,
            n: 6,
        };
        assert_eq!(percent(Some(none)), "0.0 % [0.0, +0.4]");
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Overhead::read(dir.path()).unwrap(), None);
        let overhead = overhead(&[0.5, 2.0, 0.25, 0.5, 1.0, 4.0]);
        overhead.write(dir.path()).unwrap();
        assert_eq!(Overhead::read(dir.path()).unwrap(), Some(overhead));
    }

    #[test]
    fn a_later_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let later = Overhead {
            format: FORMAT + 1,
            ..overhead(&[1.0])
        };
        later.write(dir.path()).unwrap();
        let error = Overhead::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("overhead.json has format"), "{error}");
    }
}
