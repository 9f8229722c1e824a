//! `mpm-observer top`

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use log::LevelFilter;

use super::{
    exit::{CommandResult, Exit, failed, of_live},
    span::parse_span_within,
    target::TargetArguments,
};
use crate::{
    kernel::{Kernel, Options, count_run_time},
    lab::Interrupt,
    live::{LiveError, Server, follow},
    privileges::{self, FOR_OTHER_NETWORKS},
    top::{Model, Picture, Shared, is_possible, lines, show},
};

/// How often the end of a window is looked for.
const STEP: Duration = Duration::from_millis(20);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Options of `top`.
#[derive(Debug, Args)]
pub(super) struct TopArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// How often the screen is drawn, such as 1s or 500ms
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    interval: Duration,
    /// How much of the past rates, latencies and means are about
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    window: Duration,
    /// Measure one window and print it; Ctrl-C ends the window early
    #[arg(long)]
    once: bool,
    /// … as one JSON document (docs/top.md)
    #[arg(long, requires = "once")]
    json: bool,
    /// Have the kernel count the run time of all eBPF programs meanwhile, which costs each run two
    /// readings of a clock
    #[arg(long)]
    program_time: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_span_within(&(SHORTEST..=LONGEST), "100ms and 24h", text)
}

/// Runs it.
pub(super) fn run(arguments: &TopArguments) -> CommandResult {
    if !arguments.once && !is_possible() {
        let message = "standard output is no terminal to draw on; measure a window and print it \
                       with --once, or --once --json";
        return Err((Exit::Usage, message.into()));
    }
    let live = |error: LiveError| of_live(&error);
    // Without root nothing of another user's server can be found.
    let kernel = Kernel::read().map_err(|error| live(error.into()))?;
    let (server, ports) = arguments.target.require().map_err(live)?;
    let _counted = arguments
        .program_time
        .then(count_run_time)
        .transpose()
        .map_err(|error| live(error.into()))?;
    // Before other threads are started, which would keep theirs.
    let is_elsewhere = !server.is_in_our_network();
    privileges::drop_others(is_elsewhere.then_some(FOR_OTHER_NETWORKS))
        .map_err(|error| failed(true, &error))?;
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let window_ns = arguments.window.as_nanos() as u64;
    let window_ns = (!arguments.once).then_some(window_ns);
    let asked = arguments.target.asked_ports();
    let shared = Shared::new(Model::new(window_ns).at_ports(asked));
    let stop = AtomicBool::new(false);
    let (shown, fed) = thread::scope(|scope| {
        let feed = scope.spawn(|| {
            let _end = AtEnd(&stop);
            follow(
                &kernel,
                || arguments.target.find(),
                Options::for_port,
                &mut &shared,
                &stop,
            )
        });
        let shown = {
            let _end = AtEnd(&stop);
            let passed_on = PassedOn {
                interrupt: &interrupt,
                stop: &stop,
            };
            if arguments.once {
                let what = format!(
                    "httpd (pid {}, {}) on {}",
                    server.process.pid,
                    server.mpm,
                    ports.in_words()
                );
                // The feed's last look ends the window.
                once(arguments, &shared, &passed_on, &server, &what)
            } else {
                thread::scope(|scope| {
                    scope.spawn(|| passed_on.wait());
                    // Warnings would be written into the picture; what they tell is in it.
                    log::set_max_level(LevelFilter::Off);
                    let follows = arguments.target.names_a_place();
                    let shown = show(&shared, arguments.interval, follows, &stop);
                    log::set_max_level(LevelFilter::Warn);
                    shown
                        .map(|()| false)
                        .map_err(|error| format!("the terminal cannot be drawn on: {error}"))
                })
            }
        };
        (shown, feed.join())
    });
    let fed = fed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    fed.map_err(live)?;
    let shown = shown.map_err(|message| (Exit::Failed, message))?;
    if shown && let Some(picture) = shared.last() {
        print(&picture, arguments.json)
            .map_err(|error| (Exit::Failed, format!("cannot write: {error}")))?;
    }
    Ok(match interrupt.is_set() {
        true => Exit::Interrupted,
        false => Exit::Done,
    })
}

/// Sets a flag when it goes, however that happens.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Signals, passed on to those who wait for `stop`.
struct PassedOn<'a> {
    interrupt: &'a Interrupt,
    stop: &'a AtomicBool,
}

impl PassedOn<'_> {
    fn is_stopped(&self) -> bool {
        if self.interrupt.is_set() {
            self.stop.store(true, Ordering::SeqCst);
        }
        self.stop.load(Ordering::SeqCst)
    }

    /// Until one comes, or the end is there by other means.
    fn wait(&self) {
        while !self.is_stopped() {
            thread::sleep(STEP);
        }
    }
}

/// Waits for one window. False: it was ended before it began.
fn once(
    arguments: &TopArguments,
    shared: &Shared,
    ends: &PassedOn<'_>,
    server: &Server,
    what: &str,
) -> Result<bool, String> {
    while !shared.is_watching() {
        if ends.is_stopped() {
            return Ok(false);
        }
        thread::sleep(STEP);
    }
    let seconds = arguments.window.as_secs_f64();
    // Also tells scripts that the probes are there.
    eprintln!("mpm-observer: watching {what} for {seconds} s");
    let until = Instant::now() + arguments.window;
    while Instant::now() < until && !ends.interrupt.is_set() {
        if shared.has_ended() {
            // The feed ends too where the ports have changed, and begins anew.
            return Err(match server.process.is_alive() {
                true => format!("a reload changed the ports of {what} before the window has ended"),
                false => format!("{what} has ended before the window has"),
            });
        }
        if ends.stop.load(Ordering::SeqCst) {
            return Ok(false);
        }
        thread::sleep(STEP);
    }
    Ok(true)
}

fn print(picture: &Picture, as_json: bool) -> serde_json::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(picture)?);
    } else {
        print!("{}", lines(picture));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_bounds() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("24h"), Ok(LONGEST));
        for bad in ["", "10x", "-1s", "99ms", "25h"] {
            assert!(time(bad).is_err(), "{bad:?}");
        }
    }
}
