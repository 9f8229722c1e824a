//! How far the run is: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use loadgen::{Config, Progress};

/// How often a bar is drawn and the way is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Without a terminal, a line is written each time another tenth is done.
const LINES: f64 = 10.0;

/// Draws until the returned handle is dropped.
pub(super) fn draw<'s>(
    scope: &'s Scope<'s, '_>,
    config: &'s Config,
    progress: &'s Progress,
) -> Sender<()> {
    let (handle, dropped) = channel();
    scope.spawn(move || {
        let started = Instant::now();
        let mut output = Output::new();
        while dropped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let elapsed = started.elapsed();
            let done = share_done(config, progress.completed(), elapsed);
            let line = line(progress.completed(), progress.failed(), done, elapsed);
            output.show(done, line);
        }
        output.clear();
    });
    handle
}

enum Output {
    Bar(ProgressBar),
    /// Tenths told so far.
    Lines(u32),
}

impl Output {
    fn new() -> Self {
        if !super::draws_in_place() {
            return Self::Lines(0);
        }
        let bar = ProgressBar::new(1000);
        if let Ok(style) = ProgressStyle::with_template("[{bar:40}] {percent:>3}% {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    fn show(&mut self, done: f64, line: String) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(line);
                bar.set_position((done * 1000.0) as u64);
            }
            Self::Lines(told) => {
                let tenths = (done * LINES) as u32;
                if tenths > *told {
                    *told = tenths;
                    // Progress that cannot be shown must not end the run.
                    let _ = writeln!(io::stderr(), "loadgen: {line}");
                }
            }
        }
    }

    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// The share of the run that is done, from 0 to 1: of the requests or of the time,
/// whichever is further.
fn share_done(config: &Config, completed: u64, elapsed: Duration) -> f64 {
    let of_requests = config
        .requests
        .map_or(0.0, |requests| completed as f64 / requests as f64);
    let of_time = config
        .duration
        .map_or(0.0, |limit| elapsed.as_secs_f64() / limit.as_secs_f64());
    of_requests.max(of_time).clamp(0.0, 1.0)
}

fn line(completed: u64, failed: u64, done: f64, elapsed: Duration) -> String {
    let left = if done > 0.0 {
        let seconds = elapsed.as_secs_f64() * (1.0 - done) / done;
        format!("about {:.0} s left", seconds.ceil())
    } else {
        "time left not known yet".to_owned()
    };
    let failed = match failed {
        0 => String::new(),
        _ => format!(", {failed} of them failed"),
    };
    format!("{completed} requests done{failed}, {left}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::Target;

    #[test]
    fn the_share_is_that_of_what_ends_first() {
        let mut config = Config::new(Target::parse("http://127.0.0.1/").expect("good"));
        let after_5s = |config: &Config| share_done(config, 10, Duration::from_secs(5));
        assert_eq!(after_5s(&config), 0.0);
        config.requests = Some(100);
        assert_eq!(after_5s(&config), 0.1);
        config.duration = Some(Duration::from_secs(10));
        assert_eq!(after_5s(&config), 0.5);
        config.duration = Some(Duration::from_secs(1));
        assert_eq!(after_5s(&config), 1.0);
    }

    #[test]
    fn the_line_tells_what_is_left() {
        let after = Duration::from_secs(3);
        assert_eq!(line(75, 0, 0.75, after), "75 requests done, about 1 s left");
        assert_eq!(
            line(50, 2, 0.5, after),
            "50 requests done, 2 of them failed, about 3 s left"
        );
        assert_eq!(
            line(0, 0, 0.0, after),
            "0 requests done, time left not known yet"
        );
    }
}
