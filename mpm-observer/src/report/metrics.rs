//! The table of metrics: every figure of a run that the report knows. Tables, charts, JSON and the
//! answers to claims are made from it.

use loadgen::Outcome;
use plots::Unit;

use crate::{
    claims,
    correlate::{RateKept, RunAnalysis, TaskDeltas},
    statistics::{gini, quantile},
};

/// Which direction is the better one, where that can be said at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Less,
    /// More is better.
    More,
    /// Neither: it describes.
    Neither,
}

/// How the figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// Exact, as a whole number.
    Whole,
    /// Three significant digits.
    Three,
    /// Two decimals; never rounded up to all or down to none.
    Hundredths,
    /// 1 for yes, 0 for no: written over the repetitions as `2 of 3`.
    YesNo,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in scenario files and in the JSON; ends with the unit if it has one.
    pub key: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    /// What exactly it is.
    pub meaning: &'static str,
    /// Unit of its values.
    pub unit: Unit,
    /// How it is written.
    pub digits: Digits,
    /// Which direction is better.
    pub better: Better,
    /// Whether it stands in the first table of a scenario.
    pub is_key_figure: bool,
    /// Its value in a run; `None` if the run has none.
    pub of: fn(&RunAnalysis) -> Option<f64>,
}

impl Metric {
    const fn new(
        key: &'static str,
        label: &'static str,
        (unit, digits, better): (Unit, Digits, Better),
        of: fn(&RunAnalysis) -> Option<f64>,
        meaning: &'static str,
    ) -> Self {
        Self {
            key,
            label,
            meaning,
            unit,
            digits,
            better,
            is_key_figure: false,
            of,
        }
    }

    const fn key_figure(mut self) -> Self {
        self.is_key_figure = true;
        self
    }

    /// Position in [`METRICS`] of the metric with this key.
    #[must_use]
    pub fn index(key: &str) -> Option<usize> {
        METRICS.iter().position(|metric| metric.key == key)
    }
}

const COUNT: (Unit, Digits, Better) = (Unit::Count, Digits::Whole, Better::Neither);
const FEWER: (Unit, Digits, Better) = (Unit::Count, Digits::Whole, Better::Less);
const EACH: (Unit, Digits, Better) = (Unit::Count, Digits::Three, Better::Less);
const TIME: (Unit, Digits, Better) = (Unit::Nanoseconds, Digits::Three, Better::Less);
const BYTES: (Unit, Digits, Better) = (Unit::Bytes, Digits::Three, Better::Less);
const SHARE: (Unit, Digits, Better) = (Unit::Percent, Digits::Hundredths, Better::More);
const RATE: (Unit, Digits, Better) = (Unit::PerSecond, Digits::Three, Better::Neither);
const LOSS: (Unit, Digits, Better) = (Unit::Percent, Digits::Three, Better::Less);

/// All metrics, the key figures first, in the order of the tables.
pub const METRICS: &[Metric] = &[
    Metric::new("httpd_started", "httpd started", (Unit::Count, Digits::YesNo, Better::More),
        |run| Some(f64::from(u8::from(run.manifest.start.answered))),
        "Runs in which httpd came up and answered.").key_figure(),
    Metric::new("ok_requests", "successful requests", (Unit::Count, Digits::Whole, Better::More),
        |run| Some(run.ok() as f64),
        "Requests with a complete answer of a status below 400.").key_figure(),
    Metric::new("failed_requests", "failed requests", FEWER,
        |run| Some(run.failed() as f64),
        "Requests that ended without success. Stale keep-alive attempts, which are sent again, are none.").key_figure(),
    Metric::new("requests_per_s", "successful requests per second", (Unit::PerSecond, Digits::Three, Better::More),
        RunAnalysis::throughput,
        "Successful requests divided by the length of the load.").key_figure(),
    Metric::new("latency_p50_ns", "latency, median", TIME,
        |run| latency(run, 0.5),
        "From when a successful request was due (in a closed loop its begin, connecting included) to its last byte, at the client; half took no longer.").key_figure(),
    Metric::new("latency_p99_ns", "latency, p99", TIME,
        |run| latency(run, 0.99),
        "The latency that 99 % of the successful requests did not exceed.").key_figure(),
    Metric::new("memory_bytes", "memory, maximum", BYTES,
        |run| run.sampled.cgroup_max_bytes.or(run.sampled.pss_max_bytes).map(|bytes| bytes as f64),
        "Most memory that the kernel charged to httpd's cgroup; the largest sum of PSS where there is no cgroup.").key_figure(),
    Metric::new("server_cpu_per_request_ns", "server CPU per request", TIME,
        |run| per_request(run, |tasks| tasks.all.on_cpu_ns),
        "Time that httpd's tasks ran on a CPU during the load, divided by the successful requests.").key_figure(),
    Metric::new(claims::RUN_FAILED, "runs with a failure", (Unit::Count, Digits::YesNo, Better::Less),
        |run| {
            let ended = run.ok() + run.failed();
            let started = run.manifest.start.answered;
            (!started || ended > 0).then(|| f64::from(u8::from(!started || run.failed() > 0)))
        },
        "Runs in which httpd did not come up or a request ended without success."),
    Metric::new("latency_p90_ns", "latency, p90", TIME, |run| latency(run, 0.9),
        "The latency that 90 % of the successful requests did not exceed."),
    Metric::new("latency_p999_ns", "latency, p99.9", TIME, |run| latency(run, 0.999),
        "The latency that 99.9 % of the successful requests did not exceed."),
    Metric::new("latency_max_ns", "latency, longest", TIME, |run| latency(run, 1.0),
        "The longest latency of a successful request."),
    Metric::new("stale_retries", "stale keep-alive attempts", FEWER,
        |run| Some(outcome(run, Outcome::StaleKeepAlive)),
        "Attempts on a kept connection that httpd had closed; each was sent again on a new one."),
    Metric::new("joined_percent", "requests seen from both sides", SHARE,
        |run| run.joined_share().map(|share| 100.0 * share),
        "Share of the successful requests of which the kernel's record was found too."),
    Metric::new("residual_median_percent", "time not accounted for, median", LOSS,
        |run| residual(run, 0.5),
        "Difference between a request's time and the sum of its phases, of its time: half of the requests have no more."),
    Metric::new("residual_p99_percent", "time not accounted for, p99", LOSS,
        |run| residual(run, 0.99),
        "The same; 99 % of the requests have no more."),
    Metric::new("client_cpu_per_request_ns", "client CPU per request", (Unit::Nanoseconds, Digits::Three, Better::Neither),
        client_cpu,
        "CPU time of the load generator divided by the requests it sent."),
    Metric::new("client_busiest_thread_percent", "busiest client thread", (Unit::Percent, Digits::Three, Better::Neither),
        |run| started(run)?.manifest.load.as_ref().map(|load| 100.0 * load.summary.busiest_thread_share()),
        "Share of the time in which the busiest thread of the load generator used a CPU or waited for one. From 90 % on the client is taken to be the bottleneck."),
    Metric::new("rate_asked_per_s", "requests due per second", RATE,
        |run| Some(RateKept::of(run)?.asked_per_s),
        "Requests that were due each second by the schedule of an open loop."),
    Metric::new("rate_reached_per_s", "requests begun per second", RATE,
        |run| RateKept::of(run)?.reached_per_s,
        "Requests of an open loop that the load generator began each second."),
    Metric::new("unsent_requests", "requests never begun", COUNT,
        |run| Some(RateKept::of(run)?.unsent as f64),
        "Requests of an open loop that were due before its end and never began."),
    Metric::new("switches_voluntary_per_request", "voluntary switches per request", EACH,
        |run| per_request(run, |tasks| tasks.all.voluntary),
        "Context switches in which a task of httpd blocked, per successful request."),
    Metric::new("switches_involuntary_per_request", "involuntary switches per request", EACH,
        |run| per_request(run, |tasks| tasks.all.involuntary),
        "Context switches in which a task of httpd was preempted, per successful request."),
    Metric::new("faults_user_per_request", "page faults in user mode per request", EACH,
        |run| per_request(run, |tasks| tasks.all.faults_user),
        "Page faults of httpd's tasks in user mode, per successful request."),
    Metric::new("faults_kernel_per_request", "page faults in kernel mode per request", EACH,
        |run| per_request(run, |tasks| tasks.all.faults_kernel),
        "Page faults of httpd's tasks in kernel mode, as when a mapped file is sent, per successful request."),
    Metric::new("faults_file_per_request", "file pages mapped per request", EACH,
        |run| per_request(run, |tasks| tasks.all.faults_file),
        "Faults that mapped a page of a file, per successful request."),
    Metric::new("faults_anon_per_request", "anonymous pages mapped per request", EACH,
        |run| per_request(run, |tasks| tasks.all.faults_anon),
        "Faults that mapped a fresh page, per successful request."),
    Metric::new("faults_cow_per_request", "pages copied on write per request", EACH,
        |run| per_request(run, |tasks| tasks.all.faults_cow),
        "Faults that copied a page shared since a fork, per successful request."),
    Metric::new("run_queue_wait_p50_ns", "wait for a CPU while served, median", TIME,
        |run| of_sorted(&run.run_queue_waits_ns, 0.5),
        "Time in which a task that served the request was ready and waited for a CPU; half of the requests had no more."),
    Metric::new("run_queue_wait_p99_ns", "wait for a CPU while served, p99", TIME,
        |run| of_sorted(&run.run_queue_waits_ns, 0.99),
        "The same; 99 % of the requests had no more."),
    Metric::new("accept_queue_wait_p50_ns", "wait in the accept queue, median", TIME,
        |run| of_sorted(&run.accept_waits_ns, 0.5),
        "From a connection being queued to accept4 returning it; half of the connections waited no longer."),
    Metric::new("accept_queue_wait_p99_ns", "wait in the accept queue, p99", TIME,
        |run| of_sorted(&run.accept_waits_ns, 0.99),
        "The same; 99 % of the connections waited no longer."),
    Metric::new("accept_queue_wait_max_ns", "wait in the accept queue, longest", TIME,
        |run| of_sorted(&run.accept_waits_ns, 1.0),
        "The longest wait of a connection in the accept queue."),
    Metric::new("accepts_again_per_1000_requests", "accepts in vain per 1,000 requests", EACH,
        |run| per_request(run, |tasks| tasks.all.accepts_again).map(|each| 1000.0 * each),
        "accept4 calls that found the queue empty (EAGAIN), per 1,000 successful requests."),
    Metric::new("accepts_gini", "unevenness of accepts (Gini)", (Unit::Count, Digits::Three, Better::Neither),
        |run| gini(&started(run)?.tasks.accepts_by_task),
        "How unevenly the accepts are spread over the tasks that accept (children in prefork, listeners otherwise): 0 all equal, towards 1 all in one."),
    Metric::new("cgroup_max_bytes", "memory of the cgroup, maximum", BYTES,
        |run| run.sampled.cgroup_max_bytes.map(|bytes| bytes as f64),
        "Most memory that the kernel charged to httpd's cgroup during the load."),
    Metric::new("pss_max_bytes", "sum of PSS, maximum", BYTES,
        |run| run.sampled.pss_max_bytes.map(|bytes| bytes as f64),
        "Largest sum over httpd's processes of the proportional set size: shared pages are divided among their users."),
    Metric::new("uss_bytes", "sum of USS then", BYTES,
        |run| run.sampled.uss_bytes.map(|bytes| bytes as f64),
        "At the same moment, the sum of pages that no other process has."),
    Metric::new("rss_bytes", "sum of RSS then", BYTES,
        |run| run.sampled.rss_bytes.map(|bytes| bytes as f64),
        "At the same moment, the sum of resident pages, in which shared pages are counted once for each process: far more than is used."),
    Metric::new("virtual_max_bytes", "address space, maximum", (Unit::Bytes, Digits::Three, Better::Neither),
        |run| run.sampled.virtual_max_bytes.map(|bytes| bytes as f64),
        "Largest sum of mapped address space, most of which is no memory."),
    Metric::new("tasks_max", "tasks, maximum", COUNT,
        |run| sampled(run, |figures| u64::from(figures.tasks_max)),
        "Most tasks of httpd at once, threads counted one by one."),
    Metric::new("processes_max", "processes, maximum", COUNT,
        |run| sampled(run, |figures| u64::from(figures.processes_max)),
        "Most processes of httpd at once, the parent included."),
    Metric::new("tasks_created", "tasks created during the load", COUNT,
        |run| Some(started(run)?.tasks.created as f64),
        "Processes and threads that httpd began during the load."),
    Metric::new("tasks_killed", "tasks killed by a signal", COUNT,
        |run| Some(run.tasks.killed as f64),
        "Tasks of httpd that a signal ended at any time of the run, its own stop included."),
    Metric::new("accept_queue_max", "accept queue, longest seen", FEWER,
        |run| sampled(run, |figures| u64::from(figures.accept_queue_max)),
        "Most connections in the accept queue at one of the samples."),
    Metric::new("listen_overflows", "ListenOverflows", FEWER,
        |run| sampled(run, |figures| figures.listen_overflows),
        "Connections that met a full accept queue, by the kernel's count for the whole network namespace."),
    Metric::new("listen_drops", "ListenDrops", FEWER,
        |run| sampled(run, |figures| figures.listen_drops),
        "Connection attempts that a listening socket dropped, by the kernel's count for the whole network namespace."),
    Metric::new("status_answered_percent", "looks at mod_status answered", SHARE,
        |run| {
            let looks = run.sampled.status_looks;
            (looks > 0).then(|| 100.0 * run.sampled.status_answered as f64 / looks as f64)
        },
        "Share of the looks at mod_status during the load that were answered within a second: a look needs a free slot itself."),
    Metric::new("start_time_ns", "time to start", TIME,
        |run| Some(started(run)?.manifest.start.took_ms as f64 * 1e6),
        "From httpd's first instruction to its first answer."),
    Metric::new("events_lost", "events lost", FEWER,
        |run| Some(run.manifest.counters.lost() as f64),
        "Records and entries that the probes could not deliver or keep."),
    Metric::new("observer_cpu_percent", "observer's CPU time", LOSS,
        observer_cpu,
        "CPU time of the observer (its own threads, from the run's begin to its end) against the time from the run's begin to the load's end; 100 % is one CPU."),
];

/// The run, if httpd came up in it.
fn started(run: &RunAnalysis) -> Option<&RunAnalysis> {
    run.manifest.start.answered.then_some(run)
}

fn latency(run: &RunAnalysis, q: f64) -> Option<f64> {
    run.latency_ns(q).map(|ns| ns as f64)
}

fn of_sorted(sorted: &[u64], q: f64) -> Option<f64> {
    quantile(sorted, q).map(|value| value as f64)
}

fn outcome(run: &RunAnalysis, outcome: Outcome) -> f64 {
    run.outcomes.get(outcome.name()).copied().unwrap_or(0) as f64
}

/// A sum over tasks per request; `None` when no task was watched.
fn per_request(run: &RunAnalysis, sum: fn(&TaskDeltas) -> u64) -> Option<f64> {
    let tasks = &started(run)?.tasks;
    (tasks.all.tasks > 0).then(|| run.per_request(sum(tasks)))?
}

/// A figure of the samples; `None` when there were none.
fn sampled(run: &RunAnalysis, figure: fn(&crate::correlate::SampleSummary) -> u64) -> Option<f64> {
    (!run.samples.is_empty()).then(|| figure(&run.sampled) as f64)
}

fn client_cpu(run: &RunAnalysis) -> Option<f64> {
    let summary = &started(run)?.manifest.load.as_ref()?.summary;
    (summary.requests > 0).then(|| summary.cpu_seconds() * 1e9 / summary.requests as f64)
}

/// Quantile over the requests of |residual| / wall time, per cent.
fn residual(run: &RunAnalysis, q: f64) -> Option<f64> {
    let mut shares: Vec<f64> = run
        .phases()
        .iter()
        .filter(|phases| phases.wall_ns > 0)
        .map(|phases| 100.0 * phases.residual_ns().unsigned_abs() as f64 / phases.wall_ns as f64)
        .collect();
    shares.sort_by(f64::total_cmp);
    crate::statistics::rank(shares.len(), q).map(|index| shares[index])
}

fn observer_cpu(run: &RunAnalysis) -> Option<f64> {
    let (_, end_ns) = run.load_ns();
    let length_ns = end_ns.checked_sub(run.manifest.began_ns)?;
    (length_ns > 0).then(|| 100.0 * run.manifest.observer_cpu_ns as f64 / length_ns as f64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::made_up;
    use crate::scenario::{Mpm, builtin};

    fn value(run: &RunAnalysis, key: &str) -> Option<f64> {
        (METRICS[Metric::index(key).unwrap()].of)(run)
    }

    #[test]
    fn keys_occur_once_and_key_figures_come_first() {
        let keys: BTreeSet<_> = METRICS.iter().map(|metric| metric.key).collect();
        assert_eq!(keys.len(), METRICS.len());
        let first_other = METRICS.iter().position(|metric| !metric.is_key_figure);
        assert!(
            METRICS[first_other.unwrap()..]
                .iter()
                .all(|metric| !metric.is_key_figure)
        );
    }

    #[test]
    fn keys_name_their_unit() {
        for metric in METRICS {
            let ending = match metric.unit {
                Unit::Nanoseconds => "_ns",
                Unit::Bytes => "_bytes",
                Unit::Percent => "_percent",
                Unit::PerSecond => "_per_s",
                _ => "",
            };
            assert!(metric.key.ends_with(ending), "{}", metric.key);
        }
    }

    #[test]
    fn every_metric_that_a_built_in_scenario_names_exists() {
        let tutorials = builtin()
            .into_iter()
            .filter_map(|scenario| scenario.tutorial);
        for claim in tutorials.flat_map(|tutorial| tutorial.claims) {
            let key = claim
                .metric
                .expect("every built-in claim names what it is about");
            assert!(Metric::index(&key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_made_up_run_has_the_figures_it_was_made_of() {
        let run = made_up::run(Mpm::Prefork, 1, &made_up::Figures::default());
        let figures = [
            ("httpd_started", 1.0),
            ("ok_requests", 100.0),
            ("failed_requests", 2.0),
            ("requests_per_s", 50.0),
            ("latency_p50_ns", 1_050_000.0),
            ("latency_p99_ns", 1_099_000.0),
            ("latency_max_ns", 1_100_000.0),
            ("stale_retries", 1.0),
            ("memory_bytes", 26e6),
            ("cgroup_max_bytes", 26e6),
            ("pss_max_bytes", 20e6),
            ("uss_bytes", 16e6),
            ("rss_bytes", 320e6),
            ("virtual_max_bytes", 900e6),
            ("server_cpu_per_request_ns", 300_000.0),
            ("switches_voluntary_per_request", 1.5),
            ("switches_involuntary_per_request", 0.25),
            ("faults_user_per_request", 0.1),
            ("faults_kernel_per_request", 1.0),
            ("joined_percent", 99.0),
            ("accepts_again_per_1000_requests", 70.0),
            ("tasks_max", 76.0),
            ("processes_max", 76.0),
            ("accept_queue_max", 30.0),
            ("listen_overflows", 4.0),
            ("listen_drops", 5.0),
            ("status_answered_percent", 50.0),
            ("start_time_ns", 40e6),
            ("events_lost", 0.0),
            ("accept_queue_wait_p50_ns", 100_000.0),
            ("run_queue_wait_p99_ns", 50_000.0),
            ("residual_median_percent", 0.0),
        ];
        for (key, expected) in figures {
            let found = value(&run, key).unwrap_or_else(|| panic!("{key} is missing"));
            assert!(
                (found - expected).abs() < 1e-6 * expected.max(1.0),
                "{key}: {found}"
            );
        }
    }

    #[test]
    fn an_httpd_that_did_not_start_has_failures_and_no_resource_figures() {
        let run = made_up::not_started(Mpm::Event, 1);
        assert_eq!(value(&run, "httpd_started"), Some(0.0));
        assert_eq!(value(&run, "ok_requests"), Some(0.0));
        assert_eq!(value(&run, "failed_requests"), Some(100.0));
        for key in [
            "memory_bytes",
            "server_cpu_per_request_ns",
            "tasks_max",
            "latency_p50_ns",
            "start_time_ns",
            "client_cpu_per_request_ns",
            "joined_percent",
        ] {
            assert_eq!(value(&run, key), None, "{key}");
        }
    }

    #[test]
    fn without_a_cgroup_memory_is_the_sum_of_pss() {
        let figures = made_up::Figures {
            cgroup_bytes: None,
            ..made_up::Figures::default()
        };
        let run = made_up::run(Mpm::Worker, 1, &figures);
        assert_eq!(value(&run, "memory_bytes"), Some(20e6));
    }
}
