//! Progress with time left: a bar on a terminal, a line per run elsewhere.

use std::{
    collections::HashMap,
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// What a run is taken to last before any has ended.
const FIRST_GUESS: Duration = Duration::from_secs(5);

/// The progress of an experiment.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// The runs to come, by scenario.
    to_come: Vec<String>,
    done: usize,
    run_began: Instant,
    past: HashMap<String, Vec<Duration>>,
}

impl Progress {
    /// For runs of these scenarios, in this order.
    pub(crate) fn new(scenarios_in_order: Vec<String>) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(scenarios_in_order.len() as u64);
            let style = ProgressStyle::with_template("[{bar:24}] {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self {
            bar,
            to_come: scenarios_in_order,
            done: 0,
            run_began: Instant::now(),
            past: HashMap::new(),
        }
    }

    /// Only these runs are still to come: for what is known better as it goes on.
    pub(crate) fn expect(&mut self, rest: Vec<String>) {
        self.to_come.truncate(self.done);
        self.to_come.extend(rest);
        if let Some(bar) = &self.bar {
            bar.set_length(self.to_come.len() as u64);
        }
    }

    /// A run begins.
    pub(crate) fn begin(&mut self, name: &str) {
        self.run_began = Instant::now();
        self.step(name, "starting httpd");
    }

    /// What the run does now.
    pub(crate) fn step(&self, name: &str, doing: &str) {
        if let Some(bar) = &self.bar {
            let (number, all) = (self.done + 1, self.to_come.len());
            let left = self.time_left();
            bar.set_message(format!("run {number}/{all} {name}: {doing} · {left}"));
        }
    }

    /// A run has ended; `result` is one line.
    pub(crate) fn end(&mut self, name: &str, result: &str) {
        self.note_end();
        let line = format!("{:>3}/{} {name}: {result}", self.done, self.to_come.len());
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.done as u64);
                bar.println(line);
            }
            None => eprintln!("{line} · {}", self.time_left()),
        }
    }

    /// A run has ended that needs no line of its own.
    pub(crate) fn pass(&mut self) {
        self.note_end();
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
        }
    }

    fn note_end(&mut self) {
        if self.done < self.to_come.len() {
            let scenario = self.to_come[self.done].clone();
            self.past
                .entry(scenario)
                .or_default()
                .push(self.run_began.elapsed());
            self.done += 1;
        }
        self.run_began = Instant::now();
    }

    /// The whole is over; the bar goes.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// The rest, from the mean of the same scenario's runs, else of all runs.
    fn time_left(&self) -> String {
        let mean = |lengths: &[Duration]| {
            lengths.iter().sum::<Duration>() / u32::try_from(lengths.len().max(1)).unwrap_or(1)
        };
        let all: Vec<Duration> = self.past.values().flatten().copied().collect();
        let general = if all.is_empty() {
            FIRST_GUESS
        } else {
            mean(&all)
        };
        let left: Duration = self.to_come[self.done.min(self.to_come.len())..]
            .iter()
            .map(|scenario| self.past.get(scenario).map_or(general, |past| mean(past)))
            .sum();
        describe(left.saturating_sub(self.run_began.elapsed()))
    }
}

fn describe(left: Duration) -> String {
    match left.as_secs() {
        0 => "nearly done".into(),
        seconds @ 1..90 => format!("about {seconds} s left"),
        seconds => format!("about {} min left", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_to_come_can_become_more_or_less() {
        let mut progress = Progress::new(vec!["a".into(), "a".into()]);
        progress.pass();
        progress.expect(vec!["a".into(), "b".into(), "b".into()]);
        assert_eq!((progress.done, progress.to_come.len()), (1, 4));
        progress.expect(vec![]);
        assert_eq!(progress.to_come, ["a"]);
        assert_eq!(progress.time_left(), "nearly done");
    }

    #[test]
    fn time_left_is_said_in_seconds_then_minutes() {
        assert_eq!(describe(Duration::ZERO), "nearly done");
        assert_eq!(describe(Duration::from_secs(42)), "about 42 s left");
        assert_eq!(describe(Duration::from_secs(89)), "about 89 s left");
        assert_eq!(describe(Duration::from_secs(150)), "about 3 min left");
    }
}
