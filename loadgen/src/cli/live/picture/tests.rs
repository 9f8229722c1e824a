use std::time::Duration;

use loadgen::{Arrivals, Profile, Row, Target};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::way::Way;
use super::*;

const ORIGIN_NS: u64 = 1_000_000_000_000;

fn row(outcome: Outcome, end_s: f64, latency_ms: f64) -> Row {
    let end_ns = ORIGIN_NS + (end_s * 1e9) as u64;
    let start_ns = end_ns - (latency_ms * 1e6) as u64;
    Row {
        local_ip: [0; 16],
        remote_ip: [0; 16],
        intended_ns: start_ns,
        start_ns,
        connect_start_ns: start_ns,
        connected_ns: start_ns,
        sent_ns: start_ns,
        first_byte_ns: end_ns,
        last_byte_ns: end_ns,
        end_ns,
        loop_wake_ns: end_ns,
        body_bytes: 5,
        header_bytes: 50,
        request_bytes: 50,
        slot: 0,
        ordinal: 0,
        thread: 0,
        url: 0,
        local_port: 40_000,
        remote_port: 80,
        status: 200,
        errno: 0,
        outcome,
        flags: 0,
        detail: 0,
    }
}

/// Thirty seconds: 100 quick answers each, from second 20 on also a slow one, and two
/// refused connections in second 25.
fn model() -> Model {
    let mut model = Model::new(ORIGIN_NS);
    for second in 0..30 {
        for index in 0..100 {
            let at_s = f64::from(second) + f64::from(index) / 100.0;
            model.add(&row(Outcome::Ok, at_s, 3.0));
        }
        if second >= 20 {
            model.add(&row(Outcome::Ok, f64::from(second) + 0.5, 700.0));
        }
    }
    for _ in 0..2 {
        model.add(&Row {
            status: 0,
            errno: 111,
            ..row(Outcome::Refused, 25.5, 1.0)
        });
    }
    model
}

fn config() -> Config {
    let mut config = Config::new(Target::parse("http://127.0.0.1:8080/index.html").expect("good"));
    config.duration = Some(Duration::from_secs(60));
    config.concurrency = 500;
    config.keep_alive = true;
    config
}

struct Case {
    config: Config,
    model: Model,
    elapsed_s: f64,
    glyphs: &'static Glyphs,
    paused: bool,
    help: bool,
}

impl Case {
    fn new() -> Self {
        Self {
            config: config(),
            model: model(),
            elapsed_s: 31.5,
            glyphs: &Glyphs::UNICODE,
            paused: false,
            help: false,
        }
    }

    fn draw(&self, width: u16, height: u16) -> Vec<String> {
        let elapsed = Duration::from_secs_f64(self.elapsed_s);
        let state = State {
            way: Way::new(&self.config, 3012, elapsed),
            completed: 3012,
            failed: 2,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
        terminal
            .draw(|frame| {
                Picture {
                    config: &self.config,
                    state: &state,
                    model: &self.model,
                    now_ns: ORIGIN_NS + elapsed.as_nanos() as u64,
                    glyphs: self.glyphs,
                    has_keys: true,
                    paused: self.paused,
                    help: self.help,
                }
                .draw(frame.area(), frame.buffer_mut());
            })
            .expect("drawn");
        let buffer = terminal.backend().buffer();
        (0..height)
            .map(|y| {
                (0..width)
                    .map(|x| buffer[(x, y)].symbol())
                    .collect::<String>()
            })
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

/// The line that holds all of these words.
fn line_with<'l>(lines: &'l [String], words: &[&str]) -> &'l str {
    lines
        .iter()
        .find(|line| words.iter().all(|word| line.contains(word)))
        .unwrap_or_else(|| panic!("no line with {words:?} in\n{}", lines.join("\n")))
}

#[test]
fn a_usual_window_shows_everything() {
    let lines = Case::new().draw(80, 24);
    assert!(lines[0].starts_with("loadgen http://127.0.0.1:8080/index.html "));
    assert!(lines[0].ends_with(" 500 at once, keep-alive"));
    assert_eq!(lines[0].len(), 80);
    line_with(&lines, &["━", "52 %, about 29 s left"]);
    line_with(
        &lines,
        &[
            "answers",
            "101/s (last 10 s), 96/s (whole run)",
            "3012 done, 2 failed",
        ],
    );
    line_with(
        &lines,
        &["latency", "p50", "p90", "p99", "p99.9", "longest"],
    );
    line_with(&lines, &["last 10 s", "3.0 ms", "710 ms"]);
    line_with(&lines, &["whole run", "3.00 ms", "700 ms"]);
    line_with(
        &lines,
        &["3010  answered with 2xx or 3xx", "(1010 in the last 10 s)"],
    );
    line_with(&lines, &["2  connection refused", "(2 in the last 10 s)"]);
    line_with(
        &lines,
        &["last failure 6 s ago: connection refused, Connection refused"],
    );
    assert_eq!(lines[23], "q end   p pause   ? help");
}

#[test]
fn the_map_shows_when_it_was_slow_and_when_it_failed() {
    let lines = Case::new().draw(80, 24);
    let column = |second: usize| usize::from(super::super::chart::GUTTER) + second;
    let signs = |line: &str, second: usize| line.chars().nth(column(second)).unwrap_or(' ');
    // A row is named for the longest latency in it.
    let slow = line_with(&lines, &["1.0 s"]);
    for second in 0..30 {
        assert_eq!(signs(slow, second) == '░', second >= 20, "{second}: {slow}");
    }
    let quick = line_with(&lines, &[" ms ", "██"]);
    assert!((0..30).all(|second| signs(quick, second) == '█'), "{quick}");
    let failed = line_with(&lines, &["failed", "!"]);
    for second in 0..30 {
        assert_eq!(signs(failed, second) == '!', second == 25, "{failed}");
    }
    let time = line_with(&lines, &["0 s", "20 s"]);
    assert_eq!(time.find("20 s"), Some(column(20)));
}

#[test]
fn a_small_window_shows_the_essentials() {
    let lines = Case::new().draw(40, 10);
    line_with(&lines, &["loadgen http://127.0.0.1:8080/"]);
    line_with(&lines, &["52 %, about 29 s left"]);
    line_with(&lines, &["101/s"]);
    line_with(&lines, &["last 10 s: p50 3.0 ms, p99 3.0 ms"]);
    line_with(&lines, &["3012 done, 2 failed"]);
    line_with(&lines, &["failed", "!"]);
    line_with(&lines, &["█"]);
    line_with(&lines, &["q end"]);
}

#[test]
fn no_window_is_too_small_or_too_large() {
    let mut case = Case::new();
    for help in [false, true] {
        case.help = help;
        for width in (1..40).chain([79, 80, 81, 140, 250]) {
            for height in (1..30).chain([60, 100]) {
                let lines = case.draw(width, height);
                assert!(lines.iter().any(|line| !line.is_empty()));
            }
        }
    }
}

#[test]
fn a_run_that_has_just_begun_says_so() {
    let mut case = Case::new();
    case.model = Model::new(ORIGIN_NS);
    case.elapsed_s = 1.0;
    let lines = case.draw(80, 24);
    line_with(&lines, &["the first seconds of latencies are on their way"]);
    line_with(&lines, &["last 10 s", "-"]);
}

#[test]
fn a_missed_rate_is_said_and_a_kept_one_is_not() {
    let mut case = Case::new();
    let mut with = |rate| {
        case.config.pace = Pace::Open {
            arrivals: Arrivals::Constant,
            rate: Profile::constant(rate),
        };
        case.draw(80, 24)
    };
    line_with(&with(150.0), &["101/s of 150/s asked, missed"]);
    let kept = with(101.0);
    assert!(!line_with(&kept, &["101/s of 101/s asked"]).contains("missed"));
}

#[test]
fn a_locale_without_unicode_gets_plain_signs() {
    let mut case = Case::new();
    case.glyphs = &Glyphs::ASCII;
    assert!(case.draw(80, 24).concat().is_ascii());
    assert!(case.draw(40, 10).concat().is_ascii());
}

#[test]
fn pause_and_help_are_seen() {
    let mut case = Case::new();
    case.paused = true;
    line_with(&case.draw(80, 24), &["paused, the run goes on"]);
    case.help = true;
    let lines = case.draw(80, 24);
    line_with(&lines, &["q or Ctrl-C", "ends the run"]);
    assert!(!lines.concat().contains("last 10 s"));
}
