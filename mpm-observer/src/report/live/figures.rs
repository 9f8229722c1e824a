//! The figures of a recorded server.

use serde_json::{Value, json};

use super::{page::LivePage, words};
use crate::{
    correlate::{Phase, Phases, RunAnalysis, ServerSide},
    findings::{self, RunEvidence},
    kernel::Ports,
    recording::{ClockOffset, FORMAT, LiveServer, RunDir},
    report::text::whole,
    statistics::quantile,
};

/// The figures of a recorded server; `run` has its rows.
pub(super) struct LiveFigures {
    /// What the pages are about.
    pub title: String,
    /// The ports that were watched.
    pub watched: Ports,
    /// The server's side of all requests.
    pub side: ServerSide,
    /// Length of the recording, seconds.
    pub seconds: f64,
    /// The phases of each request by its time, ascending: from both sides where a client's rows
    /// were joined, else of the server's side.
    pub phases: Vec<Phases>,
    /// The offset between the two clocks, of a joined recording.
    pub offset: Option<ClockOffset>,
    /// Most slots that were not idle at one look.
    pub busy_max: Option<u32>,
    /// … on average.
    pub busy_mean: Option<f64>,
    /// Slots there were at most.
    pub slots: Option<u32>,
}

impl LiveFigures {
    /// Takes the figures of an analysed recording.
    pub fn of(run: &RunAnalysis) -> Self {
        let live = run.manifest.live();
        let side = ServerSide::of(&run.kernel);
        let offset = live.and_then(|live| Some(live.client.as_ref()?.offset.clone()));
        let phases = match &offset {
            Some(_) => run.phases(),
            None => server_phases(run),
        };
        let busy = || run.slots.iter().map(crate::recording::SlotRow::busy);
        let looks = run.slots.len();
        Self {
            title: live.map_or_else(String::new, |live| title(run, live)),
            watched: live.map_or_else(Ports::default, LiveServer::watched),
            side,
            seconds: run.load_seconds(),
            phases,
            offset,
            busy_max: busy().max(),
            busy_mean: (looks > 0).then(|| f64::from(busy().sum::<u32>()) / looks as f64),
            slots: run.slots.iter().map(|row| row.busy() + row.idle).max(),
        }
    }

    /// Answered requests per second.
    pub fn per_second(&self) -> f64 {
        if self.seconds > 0.0 {
            self.side.answered as f64 / self.seconds
        } else {
            0.0
        }
    }

    /// The mean of a phase over the requests, ns.
    pub fn mean_ns(&self, phase: Phase) -> f64 {
        let sum: u64 = self.phases.iter().map(|phases| phases.get(phase)).sum();
        sum as f64 / self.phases.len().max(1) as f64
    }

    /// Whether a phase begins on one host and ends on the other.
    pub fn crosses(&self, phase: Phase) -> bool {
        self.offset.is_some() && matches!(phase, Phase::ToServer | Phase::ToClient)
    }

    /// How wrong the clock offset may be at most, ns; `None` on one clock.
    pub fn bound_ns(&self) -> Option<u64> {
        self.offset.as_ref().map(ClockOffset::bound_ns)
    }

    /// A sum over the requests, per request.
    pub fn per_request(&self, sum: u64) -> Option<f64> {
        let counted = self.side.answered - self.side.touched;
        (counted > 0).then(|| sum as f64 / counted as f64)
    }

    /// All figures for programs; units are at the end of each key.
    pub fn json(&self, run: &RunAnalysis, page: &LivePage) -> Value {
        let side = &self.side;
        let times = |times: &[u64]| {
            json!({
                "p50_ns": quantile(times, 0.5),
                "p90_ns": quantile(times, 0.9),
                "p99_ns": quantile(times, 0.99),
                "p999_ns": quantile(times, 0.999),
                "max_ns": times.last(),
            })
        };
        let phases = Phase::ALL
            .into_iter()
            .map(|phase| (phase.name().to_owned(), json!(self.mean_ns(phase))));
        let manifest = &run.manifest;
        json!({
            "format": FORMAT,
            "summary": page.summary,
            "warnings": page.warnings,
            "observer_version": manifest.observer_version,
            "server": manifest.live(),
            "mpm": manifest.mpm,
            "httpd": manifest.httpd_version,
            "ports": manifest.live().map(|live| &live.ports),
            "seconds": self.seconds,
            "requests": {
                "answered": side.answered,
                "unanswered": side.unanswered,
                "touched_by_a_loss": side.touched - side.begun_before,
                "begun_before": side.begun_before,
                "connections": side.connections,
                "connections_that_stood": side.stood,
                "bytes_out": side.bytes_out,
                "per_second": self.per_second(),
            },
            "server_part": times(&side.times_ns),
            "accept_queue_wait": times(&side.accept_waits_ns),
            "run_queue_wait": times(&side.run_queue_waits_ns),
            "per_request": {
                "voluntary_switches": self.per_request(side.voluntary),
                "involuntary_switches": self.per_request(side.involuntary),
                "minor_faults": self.per_request(side.faults_minor),
                "major_faults": self.per_request(side.faults_major),
            },
            "mean_phases_ns": phases.collect::<serde_json::Map<String, Value>>(),
            "slots": {
                "most": self.slots,
                "busy_max": self.busy_max,
                "busy_mean": self.busy_mean,
            },
            "client": self.offset.as_ref().map(|_| json!({
                "ok": run.ok(),
                "failed": run.failed(),
                "joined_share": run.joined_share(),
                "latency": times(&run.latencies_ns),
                "outcomes": run.outcomes,
            })),
            "findings": page.group,
            "counters": manifest.counters,
        })
    }
}

/// The phases of the server's side, by time.
fn server_phases(run: &RunAnalysis) -> Vec<Phases> {
    let answered = run
        .kernel
        .iter()
        .filter(|row| row.is_whole() && row.pickup_ns != 0 && row.last_send_ns != 0);
    let mut phases: Vec<Phases> = answered
        .map(crate::correlate::server_phases)
        .filter(|phases| phases.wall_ns > 0)
        .collect();
    phases.sort_by_key(|phases| phases.wall_ns);
    phases
}

fn title(run: &RunAnalysis, live: &LiveServer) -> String {
    let host = match live.host.as_str() {
        "" => String::new(),
        host => format!(" on {host}"),
    };
    format!("httpd, {} (pid {}){host}", run.manifest.mpm, live.pid)
}

/// What the rules found.
pub(super) fn findings_of(
    run_dir: &RunDir,
    run: &RunAnalysis,
    title: &str,
) -> Option<findings::Group> {
    let look = findings::look(&RunEvidence::read(run_dir, "recording", run));
    findings::group(title, &[look])
}

/// Requests, how long the server's part took, and what went wrong, in one line.
pub(super) fn summary(figures: &LiveFigures, group: Option<&findings::Group>) -> String {
    let wrong =
        words::went_wrong(group).map_or_else(String::new, |rules| format!("; went wrong: {rules}"));
    let unanswered = words::not_answered(&figures.side);
    let length = plots::Unit::Seconds.format(figures.seconds);
    if figures.side.answered == 0 {
        return format!(
            "nothing was served on {} in {length}{unanswered}{wrong}",
            figures.watched.in_words()
        );
    }
    let time = |q| match figures.side.time_ns(q) {
        Some(time_ns) => plots::Unit::Nanoseconds.format(time_ns as f64),
        None => "unknown".into(),
    };
    let waited = figures
        .side
        .longest_wait()
        .map_or_else(String::new, |phase| {
            let share = 100.0 * figures.side.share(phase);
            format!(
                "; it waited mostly: {} ({share:.0} % of the time)",
                phase.name()
            )
        });
    format!(
        "{} answered in {length}, {} per second{unanswered}; the server's part took {} (median), \
         {} (p99){waited}{wrong}",
        crate::wording::plural(figures.side.answered, "request"),
        whole(figures.per_second().round() as u64),
        time(0.5),
        time(0.99),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recording::FailureKind,
        report::made_up::{
            analysed,
            rows::{Figures, of_live_server, rows},
        },
        scenario::Mpm,
    };

    #[test]
    fn the_head_tells_what_was_not_answered_and_what_went_wrong() {
        let mut made_up = of_live_server(rows(Mpm::Event, 1, &Figures::default()));
        let head = |run: &RunAnalysis| {
            let figures = LiveFigures::of(run);
            let dir = tempfile::tempdir().unwrap();
            let group = findings_of(&RunDir::at(dir.path()), run, &figures.title);
            summary(&figures, group.as_ref())
        };
        // The made-up samples have overflows of another server's queue.
        let clean = head(&analysed(made_up.clone()));
        assert!(
            !clean.contains("not answered") && !clean.contains("went wrong"),
            "{clean}"
        );
        for row in &mut made_up.kernel[..3] {
            row.last_send_ns = 0;
        }
        let mut run = analysed(made_up);
        run.failures.push(crate::recording::FailureRow {
            kind: FailureKind::AcceptQueueFull,
            t_ns: run.load_ns().0,
            ..Default::default()
        });
        let failed = head(&run);
        assert!(
            failed.starts_with("96 requests answered in 2 s, 48 per second; 3 not answered; "),
            "{failed}"
        );
        assert!(
            failed.ends_with("; went wrong: accept queue full"),
            "{failed}"
        );
    }

    #[test]
    fn of_a_time_without_an_answer_no_times_are_told() {
        let mut made_up = of_live_server(rows(Mpm::Event, 1, &Figures::default()));
        made_up.kernel.clear();
        let figures = LiveFigures::of(&analysed(made_up));
        assert_eq!(
            summary(&figures, None),
            "nothing was served on port 8080 in 2 s"
        );
    }
}
