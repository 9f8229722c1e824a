//! A line now and then, where there is no screen to draw on.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use loadgen::terminal::duration;

use super::Watch;

/// How often the way is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// A line is written each time another tenth is done.
const TENTHS: f64 = 10.0;

/// But at the latest after this time.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// Writes lines to standard error until the run has ended.
pub(super) fn write(watch: &Watch<'_>, ended: &Receiver<()>) {
    let mut due = Due::default();
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let state = watch.state();
        if due.is_now(state.way.done, state.way.elapsed) {
            let p99_ns = {
                let model = watch.model.look();
                let latencies = model.latencies();
                (latencies.count() > 0).then(|| latencies.percentile_ns(99.0))
            };
            let seconds = state.way.measured_s(watch.config);
            let line = line(
                &state.way.text(watch.config),
                (state.completed, state.failed),
                seconds,
                p99_ns,
            );
            // Progress that cannot be shown must not end the run.
            let _ = writeln!(io::stderr(), "loadgen: {line}");
        }
    }
}

/// Says when a line is due.
#[derive(Default)]
struct Due {
    /// Tenths told so far.
    tenths: u32,
    told: Duration,
}

impl Due {
    fn is_now(&mut self, done: f64, elapsed: Duration) -> bool {
        let tenths = (done * TENTHS) as u32;
        let is_due = tenths > self.tenths || elapsed - self.told >= LONGEST_SILENCE;
        if is_due {
            self.tenths = tenths;
            self.told = elapsed;
        }
        is_due
    }
}

fn line(way: &str, (completed, failed): (u64, u64), seconds: f64, p99_ns: Option<u64>) -> String {
    let rate = match completed {
        0 => 0.0,
        _ => completed as f64 / seconds.max(1e-3),
    };
    let failed = match failed {
        0 => "none failed".to_owned(),
        _ => format!("{failed} of them failed"),
    };
    let p99 = p99_ns.map_or(String::new(), |ns| format!(", p99 {}", duration(ns)));
    format!("{way}: {completed} requests done, {failed}, {rate:.0}/s{p99}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_way_count_failures_rate_and_p99() {
        assert_eq!(
            line("75 %, about 1 s left", (7500, 0), 3.0, Some(12_345_678)),
            "75 %, about 1 s left: 7500 requests done, none failed, 2500/s, p99 12.3 ms"
        );
        assert_eq!(
            line("50 %, about 3 s left", (50, 2), 2.0, None),
            "50 %, about 3 s left: 50 requests done, 2 of them failed, 25/s"
        );
        let at_once = line("time left not known yet", (0, 0), 0.0, None);
        assert!(at_once.ends_with("0 requests done, none failed, 0/s"));
    }

    #[test]
    fn a_line_is_due_at_each_tenth_and_after_a_long_silence() {
        let mut due = Due::default();
        let at = Duration::from_secs;
        assert!(!due.is_now(0.05, at(1)));
        assert!(due.is_now(0.11, at(2)));
        assert!(!due.is_now(0.19, at(3)));
        assert!(due.is_now(0.19, at(12)));
        assert!(!due.is_now(0.19, at(21)));
        assert!(due.is_now(0.45, at(21)));
    }
}
