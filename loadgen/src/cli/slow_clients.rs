//! Slow clients beside the load, or alone.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::hold::{self, Fate, HeldRow, Holder, Kind, Standing};
use loadgen::{Config, Error, Outcome};

use super::args::hold::HoldArgs;
use super::tell;

/// How long the load waits for the slow clients to come into their state. A server without a
/// free slot never answers them.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// How often is looked whether the time is over.
const LOOK: Duration = Duration::from_millis(50);

/// The slow clients of a run.
pub(super) struct SlowClients(Vec<(hold::Config, Holder)>);

impl SlowClients {
    /// Opens them all and waits until they are in their state; without any, does nothing.
    ///
    /// # Errors
    /// When they and the load do not fit into the limits, or do not go together.
    pub(super) fn start(
        args: &HoldArgs,
        load: &Config,
        quiet: bool,
        stop: &AtomicBool,
    ) -> Result<Self, Error> {
        let groups = args.groups(load)?;
        if groups.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let slow = groups.iter().map(|group| group.connections);
        let beside = match args.alone(load) {
            Some(_) => 0,
            None => load.concurrency,
        };
        let all = slow.fold(beside, u32::saturating_add);
        loadgen::check_limits(load, all)?;
        let mut started = Vec::new();
        for group in groups {
            let holder = Holder::start_from(&group, &load.sources)?;
            started.push((group, holder));
        }
        let clients = Self(started);
        let deadline = Instant::now() + SETTLE_MAX;
        for (group, holder) in &clients.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            holder.settle(left, stop, |_| {});
            if !quiet {
                tell(&progress(group, holder.standing()));
            }
        }
        Ok(clients)
    }

    /// Stays for this time, or until `stop` is set; tells every ten seconds how many are held.
    pub(super) fn wait(&self, duration: Duration, quiet: bool, stop: &AtomicBool) {
        let began = Instant::now();
        let mut told = 0;
        while began.elapsed() < duration && !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK.min(duration.saturating_sub(began.elapsed())));
            let tens = began.elapsed().as_secs() / 10;
            if !quiet && tens > told {
                told = tens;
                for (group, holder) in &self.0 {
                    tell(&progress(group, holder.standing()));
                }
            }
        }
    }

    /// Lets all go. Returns a line for each kind, and whether all came into their state.
    ///
    /// # Errors
    /// When an event loop failed.
    pub(super) fn finish(self) -> Result<(String, bool), Error> {
        let mut text = String::new();
        let mut all_held = true;
        for (group, holder) in self.0 {
            let rows = holder.finish()?;
            all_held &= rows.iter().all(|row| row.fate != Fate::NotHeld);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", summary(&group, &rows));
        }
        Ok((text, all_held))
    }
}

fn name(kind: Kind) -> String {
    match kind {
        Kind::IdleKeepAlive => "idle connections".to_owned(),
        Kind::HalfHeader { every } => {
            format!(
                "connections with half a head, a byte each {} s",
                every.as_secs_f64()
            )
        }
        Kind::SlowReader { bytes_per_s } => format!("readers at {bytes_per_s} bytes/s"),
    }
}

/// How many are held now, and what became of those that were.
fn progress(group: &hold::Config, standing: Standing) -> String {
    let all = group.connections;
    let mut text = format!("{} of {all} {} held", standing.held, name(group.kind));
    if standing.ended > 0 {
        let _ = write!(text, ", {} ended by the server", standing.ended);
    }
    if standing.finished > 0 {
        let _ = write!(text, ", {} through with their answer", standing.finished);
    }
    text
}

fn summary(group: &hold::Config, rows: &[HeldRow]) -> String {
    let of = |fate: Fate| rows.iter().filter(|row| row.fate == fate).count();
    let mut text = format!(
        "Slow clients: of {} {}, {} were held to the end, {} ended by the server",
        group.connections,
        name(group.kind),
        of(Fate::Held),
        of(Fate::Ended),
    );
    if let Kind::SlowReader { .. } = group.kind {
        let _ = write!(text, ", {} through with their answer", of(Fate::Finished));
    }
    let _ = write!(text, ", {} not held", of(Fate::NotHeld));
    let reasons: Vec<String> = Outcome::ALL
        .into_iter()
        .filter_map(|outcome| {
            let is_it = |row: &&HeldRow| row.fate == Fate::NotHeld && row.row.outcome == outcome;
            let count = rows.iter().filter(is_it).count();
            (count > 0).then(|| match outcome {
                Outcome::Aborted => format!("{count} got no answer"),
                _ => format!("{count} {}", outcome.meaning()),
            })
        })
        .collect();
    if !reasons.is_empty() {
        let _ = write!(text, " ({})", reasons.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use loadgen::Target;

    use super::*;

    #[test]
    fn those_that_have_gone_are_not_said_to_be_held() {
        let group = hold::Config {
            target: Target::parse("http://127.0.0.1:1/").expect("target"),
            connections: 3,
            kind: Kind::IdleKeepAlive,
        };
        let told = |held, ended, finished| {
            let standing = Standing {
                held,
                ended,
                finished,
            };
            progress(&group, standing)
        };
        assert_eq!(told(3, 0, 0), "3 of 3 idle connections held");
        assert_eq!(
            told(0, 3, 0),
            "0 of 3 idle connections held, 3 ended by the server"
        );
        assert_eq!(
            told(1, 1, 1),
            "1 of 3 idle connections held, 1 ended by the server, 1 through with their answer"
        );
    }
}
