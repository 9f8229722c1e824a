//! mod_status, by the names of apache_exporter (<https://github.com/Lusitaniae/apache_exporter>),
//! so that dashboards and alerts made for it keep working.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Exposition, Family, Sample, Value, family::label};

static UP: Family = Family::gauge(
    "apache_up",
    "1 if mod_status answered when it was asked last",
    "mod_status",
);
static FAILURES: Family = Family::counter(
    "apache_exporter_scrape_failures_total",
    "How often mod_status did not answer, or not properly",
    "mod_status",
);
static VERSION: Family = Family::gauge(
    "apache_version",
    "Version of the server as a number: 2.04062 for 2.4.62",
    "ServerVersion",
);
static INFO: Family = Family::gauge(
    "apache_info",
    "1 for the version and the MPM of the server",
    "ServerVersion, ServerMPM",
)
.labels(&[label("version", ""), label("mpm", "")]);
static GENERATION: Family = Family::gauge(
    "apache_generation",
    "Generation of the configuration: how often it was read again",
    "ParentServer…Generation",
)
.labels(&[label("type", "config, mpm")]);
static LOAD: Family = Family::gauge("apache_load", "Load of the machine", "Load1, Load5, Load15")
    .labels(&[label("interval", "1min, 5min, 15min")]);
static ACCESSES: Family = Family::counter(
    "apache_accesses_total",
    "Requests that mod_status counted",
    "Total Accesses",
);
static SENT: Family = Family::counter(
    "apache_sent_kilobytes_total",
    "Kilobytes sent",
    "Total kBytes",
);
static DURATION: Family = Family::counter(
    "apache_duration_ms_total",
    "Total duration of the requests, milliseconds",
    "Total Duration",
);
static CPU_TIME: Family = Family::counter(
    "apache_cpu_time_ms_total",
    "CPU time of the server and its children, milliseconds",
    "CPUUser, CPUSystem, CPUChildren…",
)
.labels(&[label("type", "user, system")]);
static CPU_LOAD: Family = Family::gauge(
    "apache_cpuload",
    "CPU use in percent since the start",
    "CPULoad",
);
static UPTIME: Family = Family::counter(
    "apache_uptime_seconds_total",
    "Time since the start of the server",
    "Uptime",
);
static WORKERS: Family = Family::gauge("apache_workers", "Slots", "BusyWorkers, IdleWorkers")
    .labels(&[label("state", "busy, idle")]);
static PROCESSES: Family = Family::gauge(
    "apache_processes",
    "Child processes (event)",
    "Processes, Stopping",
)
.labels(&[label("state", "all, stopping")]);
static CONNECTIONS: Family = Family::gauge(
    "apache_connections",
    "Connections (event)",
    "ConnsTotal, ConnsAsync…",
)
.labels(&[label("state", "total, writing, keepalive, closing")]);
static SCOREBOARD: Family = Family::gauge(
    "apache_scoreboard",
    "Places of the scoreboard by state",
    "Scoreboard",
)
.labels(&[label(
    "state",
    "idle, startup, read, reply, keepalive, dns, closing, logging, graceful_stop, idle_cleanup, open_slot",
)]);
static BALANCER_STATUS: Family = Family::gauge(
    "apache_proxy_balancer_status",
    "1 for the status that a balancer's worker has",
    "ProxyBalancer[…]Worker[…]Status",
)
.labels(&[
    label("balancer", ""),
    label("worker", ""),
    label("status", ""),
]);
const BALANCER: &[super::Label] = &[label("balancer", ""), label("worker", "")];
static BALANCER_ACCESSES: Family = Family::counter(
    "apache_proxy_balancer_accesses_total",
    "Requests given to a balancer's worker",
    "ProxyBalancer[…]Worker[…]Elected",
)
.labels(BALANCER);
static BALANCER_BUSY: Family = Family::gauge(
    "apache_proxy_balancer_busy",
    "Requests that a balancer's worker works on",
    "ProxyBalancer[…]Worker[…]Busy",
)
.labels(BALANCER);
static BALANCER_SENT: Family = Family::counter(
    "apache_proxy_balancer_request_kbytes_total",
    "Kilobytes sent to a balancer's worker",
    "ProxyBalancer[…]Worker[…]Sent",
)
.labels(BALANCER);
static BALANCER_RECEIVED: Family = Family::counter(
    "apache_proxy_balancer_response_kbytes_total",
    "Kilobytes received from a balancer's worker",
    "ProxyBalancer[…]Worker[…]Rcvd",
)
.labels(BALANCER);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[
    &UP,
    &FAILURES,
    &VERSION,
    &INFO,
    &GENERATION,
    &LOAD,
    &ACCESSES,
    &SENT,
    &DURATION,
    &CPU_TIME,
    &CPU_LOAD,
    &UPTIME,
    &WORKERS,
    &PROCESSES,
    &CONNECTIONS,
    &SCOREBOARD,
    &BALANCER_STATUS,
    &BALANCER_ACCESSES,
    &BALANCER_BUSY,
    &BALANCER_SENT,
    &BALANCER_RECEIVED,
];

/// The letters of the scoreboard.
const SCOREBOARD_STATES: [(char, &str); 11] = [
    ('_', "idle"),
    ('S', "startup"),
    ('R', "read"),
    ('W', "reply"),
    ('K', "keepalive"),
    ('D', "dns"),
    ('C', "closing"),
    ('L', "logging"),
    ('G', "graceful_stop"),
    ('I', "idle_cleanup"),
    ('.', "open_slot"),
];

/// How mod_status answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusOutcome {
    /// With its page.
    Answered,
    /// Not within the time: as a rule, no slot was free.
    Timeout,
    /// There was no connection, or it broke.
    Refused,
    /// With something else, such as an error.
    Unreadable,
    /// It was not asked, as there is no way to it: its network cannot be entered.
    Unreachable,
}

impl StatusOutcome {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Answered,
        Self::Timeout,
        Self::Refused,
        Self::Unreadable,
        Self::Unreachable,
    ];

    /// Its name as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What mod_status said when it was asked last, and how often it was asked.
#[derive(Debug, Default)]
pub(super) struct Status {
    page: Option<StatusPage>,
    outcomes: [u64; StatusOutcome::ALL.len()],
    /// How long the last answer, or waiting for it, took.
    took_ns: Option<u64>,
    /// Whether there was a way to it the last time.
    is_reachable: bool,
}

impl Status {
    /// It was asked, or could not be; `page` if it answered.
    pub(super) fn asked(&mut self, outcome: StatusOutcome, page: Option<StatusPage>, took_ns: u64) {
        self.page = page;
        self.outcomes[outcome as usize] += 1;
        self.is_reachable = outcome != StatusOutcome::Unreachable;
        if self.is_reachable {
            self.took_ns = Some(took_ns);
        }
    }

    /// There is no server that could be asked.
    pub(super) fn end(&mut self) {
        self.page = None;
    }

    /// How often, by outcome.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = StatusOutcome::ALL.map(StatusOutcome::name);
        names.into_iter().zip(self.outcomes)
    }

    /// How long the last question took; `None` if there was none.
    pub(super) const fn took_ns(&self) -> Option<u64> {
        self.took_ns
    }

    pub(super) fn write(&self, to: &mut Exposition) {
        // Where it is never asked, nothing is said of it.
        if self.took_ns().is_none() {
            return;
        }
        // Of one that cannot be asked it is not known, and an alert must not say that it is silent.
        if self.is_reachable {
            to.number(&UP, u8::from(self.page.is_some()));
        }
        let failed = [
            StatusOutcome::Timeout,
            StatusOutcome::Refused,
            StatusOutcome::Unreadable,
        ];
        let failed = failed.map(|outcome| self.outcomes[outcome as usize]);
        to.count(&FAILURES, failed.into_iter().sum::<u64>());
        let Some(page) = &self.page else { return };
        for (&index, samples) in &page.samples {
            for sample in samples {
                to.add(FAMILIES[index], sample.labels.clone(), sample.value.clone());
            }
        }
    }
}

/// The figures of one page of mod_status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusPage {
    /// By their family's place in the table, so that they are in its order.
    samples: BTreeMap<usize, Vec<Sample>>,
}

impl StatusPage {
    /// Reads `/server-status?auto`. `None` when it lacks the number of busy slots: then it is some
    /// other page. A line that cannot be read is left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut page = Self::default();
        let (mut version, mut mpm) = ("UNKNOWN", "UNKNOWN");
        let mut cpu_s: [Option<f64>; 2] = [None; 2];
        let (mut balancer, mut worker) = ("UNKNOWN", "UNKNOWN");
        let mut has_workers = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            if let Some((family, labels)) = simple(key) {
                if let Ok(number) = value.parse() {
                    has_workers |= key == "BusyWorkers";
                    page.add(family, labels.iter().map(|&label| label.into()), number);
                }
                continue;
            }
            let cpu = match key {
                "CPUUser" | "CPUChildrenUser" => Some(0),
                "CPUSystem" | "CPUChildrenSystem" => Some(1),
                _ => None,
            };
            if let (Some(index), Ok(seconds)) = (cpu, value.parse::<f64>()) {
                *cpu_s[index].get_or_insert(0.0) += seconds;
            }
            match key {
                "ServerVersion" => {
                    version = value;
                    if let Some(number) = version_number(value) {
                        page.add(&VERSION, [], number);
                    }
                }
                "ServerMPM" => mpm = value,
                "Scoreboard" => page.add_scoreboard(value),
                _ => match balancer_key(key) {
                    Some("") => balancer = value,
                    Some("Name") => worker = value,
                    Some(figure) => page.add_balancer(balancer, worker, figure, value),
                    None => {}
                },
            }
        }
        for (kind, seconds) in ["user", "system"].into_iter().zip(cpu_s) {
            if let Some(seconds) = seconds {
                page.add(&CPU_TIME, [kind.into()], seconds * 1000.0);
            }
        }
        let labels = [version.to_owned().into(), mpm.to_owned().into()];
        page.add(&INFO, labels, 1.0);
        has_workers.then_some(page)
    }

    fn add(
        &mut self,
        family: &'static Family,
        labels: impl IntoIterator<Item = Cow<'static, str>>,
        number: f64,
    ) {
        let is_it = |known: &&Family| std::ptr::eq(*known, family);
        let Some(index) = FAMILIES.iter().position(is_it) else {
            return;
        };
        let sample = Sample {
            labels: labels.into_iter().collect(),
            value: Value::Number(number),
        };
        let samples = self.samples.entry(index).or_default();
        // A page that says something twice would make the whole exposition invalid.
        if !samples.iter().any(|known| known.labels == sample.labels) {
            samples.push(sample);
        }
    }

    fn add_scoreboard(&mut self, scoreboard: &str) {
        let mut counts: BTreeMap<char, u32> = BTreeMap::new();
        for letter in scoreboard.chars() {
            *counts.entry(letter).or_default() += 1;
        }
        for (letter, state) in SCOREBOARD_STATES {
            let count = counts.remove(&letter).unwrap_or(0);
            self.add(&SCOREBOARD, [state.into()], count.into());
        }
        for (letter, count) in counts {
            self.add(&SCOREBOARD, [letter.to_string().into()], count.into());
        }
    }

    fn add_balancer(&mut self, balancer: &str, worker: &str, figure: &str, value: &str) {
        let labels = [balancer.to_owned().into(), worker.to_owned().into()];
        let number = value.trim_end_matches(['k', 'K']).parse();
        match (figure, number) {
            ("Status", _) => {
                let status = value.to_owned().into();
                self.add(&BALANCER_STATUS, labels.into_iter().chain([status]), 1.0);
            }
            ("Elected", Ok(number)) => self.add(&BALANCER_ACCESSES, labels, number),
            ("Busy", Ok(number)) => self.add(&BALANCER_BUSY, labels, number),
            ("Sent", Ok(number)) => self.add(&BALANCER_SENT, labels, number),
            ("Rcvd", Ok(number)) => self.add(&BALANCER_RECEIVED, labels, number),
            _ => {}
        }
    }
}

/// The family and labels of a line that is one number.
fn simple(key: &str) -> Option<(&'static Family, &'static [&'static str])> {
    Some(match key {
        "ParentServerConfigGeneration" => (&GENERATION, &["config"]),
        "ParentServerMPMGeneration" => (&GENERATION, &["mpm"]),
        "Load1" => (&LOAD, &["1min"]),
        "Load5" => (&LOAD, &["5min"]),
        "Load15" => (&LOAD, &["15min"]),
        "Total Accesses" => (&ACCESSES, &[]),
        "Total kBytes" => (&SENT, &[]),
        "Total Duration" => (&DURATION, &[]),
        "CPULoad" => (&CPU_LOAD, &[]),
        "Uptime" => (&UPTIME, &[]),
        "BusyWorkers" => (&WORKERS, &["busy"]),
        "IdleWorkers" => (&WORKERS, &["idle"]),
        "Processes" => (&PROCESSES, &["all"]),
        "Stopping" => (&PROCESSES, &["stopping"]),
        "ConnsTotal" => (&CONNECTIONS, &["total"]),
        "ConnsAsyncWriting" => (&CONNECTIONS, &["writing"]),
        "ConnsAsyncKeepAlive" => (&CONNECTIONS, &["keepalive"]),
        "ConnsAsyncClosing" => (&CONNECTIONS, &["closing"]),
        _ => return None,
    })
}

/// `Apache/2.4.62 (Debian)` as 2.04062; `None` where the configuration hides the version.
fn version_number(text: &str) -> Option<f64> {
    let version = text.split('/').nth(1)?.split(' ').next()?;
    let mut parts = version.split('.');
    let mut part = || parts.next()?.parse::<u32>().ok();
    let (major, minor, patch) = (part()?, part()?, part()?);
    format!("{major}.{minor:02}{patch:03}").parse().ok()
}

/// Of `ProxyBalancer[0]Worker[1]Busy` the figure, `Busy`; nothing of `ProxyBalancer[0]Name`.
fn balancer_key(key: &str) -> Option<&str> {
    let after = |text, word| -> Option<&str> {
        let (number, rest) = str::strip_prefix(text, word)?.split_once(']')?;
        number.parse::<u32>().ok().map(|_| rest)
    };
    match after(key, "ProxyBalancer[")? {
        "Name" => Some(""),
        rest => after(rest, "Worker["),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
