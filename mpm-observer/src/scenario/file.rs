//! The shape of a scenario file. The reference documentation of the format is made from the
//! comments here: one for each key.

use std::collections::BTreeMap;

use loadgen::Arrivals;
use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::mpm::Mpm;

/// A scenario: one load on one set-up of httpd, the same for every MPM unless it says otherwise.
/// It comes from [`Scenario::parse`](super::Scenario::parse), which has checked it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Scenario {
    /// Its name on the command line and in directories: small letters, digits and `-`.
    pub name: String,
    /// Its heading in reports.
    pub title: String,
    /// One sentence that says what happens.
    pub what: String,
    /// What the tutorial does and expects, where the scenario comes from there.
    #[serde(default)]
    pub tutorial: Option<Tutorial>,
    /// What is expected where no tutorial says it: of the comparison, and of each MPM.
    #[serde(default)]
    pub expects: Option<Expectation>,
    /// The findings that every run is expected to lead to. Without any, none is.
    #[serde(default)]
    pub findings: Vec<ExpectedFinding>,
    /// What the client does.
    #[serde(default)]
    pub load: Load,
    /// How much of it, for a thorough and for a first look.
    pub size: Sizes,
    /// How httpd is set up.
    #[serde(default)]
    pub server: Server,
    /// The resource limits that httpd is started under.
    #[serde(default)]
    pub limits: Limits,
}

/// Where the scenario comes from in the tutorial, and what is said there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tutorial {
    /// The number of the tutorial's section.
    pub section: u32,
    /// The command the tutorial gives.
    pub command: String,
    /// The scenario with the same load in a fair set-up, where this one is unfair as the tutorial
    /// has it (unequal slots, a cold start). Each claim is judged in both. Default: this one is fair.
    #[serde(default)]
    pub fair: Option<String>,
    /// What it says the outcome will be.
    pub expects: Expectation,
    /// The statements of its summary table that this scenario bears on.
    #[serde(default)]
    pub claims: Vec<ClaimText>,
}

/// The expected outcome in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expectation {
    /// Of the comparison as a whole.
    pub overall: String,
    /// Of prefork, where it says something of its own.
    #[serde(default)]
    pub prefork: Option<String>,
    /// Of worker, where it says something of its own.
    #[serde(default)]
    pub worker: Option<String>,
    /// Of event, where it says something of its own.
    #[serde(default)]
    pub event: Option<String>,
}

impl Expectation {
    /// What is expected of one MPM, if anything is said about it.
    pub fn of(&self, mpm: Mpm) -> Option<&str> {
        match mpm {
            Mpm::Prefork => self.prefork.as_deref(),
            Mpm::Worker => self.worker.as_deref(),
            Mpm::Event => self.event.as_deref(),
        }
    }
}

/// A finding that every run of a scenario with these MPMs is expected to lead to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectedFinding {
    /// Name of the rule that finds it.
    pub rule: String,
    /// The MPMs. Default: all that the scenario is run with.
    #[serde(default = "all_mpms")]
    pub mpms: Vec<Mpm>,
    /// What its sentence says among other things: a system call, an error number, a value.
    #[serde(default)]
    pub says: Vec<String>,
}

fn all_mpms() -> Vec<Mpm> {
    Mpm::ALL.to_vec()
}

/// One statement of the tutorial's summary table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClaimText {
    /// The row of the summary table.
    pub row: SummaryRow,
    /// The statement in one sentence.
    pub says: String,
    /// The measured quantity that it is about, by the report's name for it; as the tutorial
    /// measures it.
    #[serde(default)]
    pub metric: Option<String>,
    /// The same quantity measured fairly, where the tutorial's way is not: `memory_bytes` where it
    /// sums the resident sizes of processes that share most of them. Default: `metric` is fair.
    #[serde(default)]
    pub fair_metric: Option<String>,
    /// The MPM that is said to differ from the others. Without it the report shows the figures
    /// and judges nothing.
    #[serde(default)]
    pub subject: Option<Mpm>,
    /// The MPMs that it is compared with; it has to differ from each of them. Default: all others.
    #[serde(default)]
    pub against: Vec<Mpm>,
    /// In which way: `"more"` or `"less"` of the metric than each of the others, or `"fails"`: in
    /// requests, or with the metric `run_failed` in runs.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// By how many per cent it must differ at least for the statement to hold, as for "far
    /// ahead": the larger value against the smaller one, or for `"fails"` the failed share in
    /// points. Default: any difference beyond the margin; for `"fails"` 50.
    #[serde(default)]
    pub by_percent: Option<u32>,
    /// Up to how many per cent (points for `"fails"`) a difference counts as none. Default: 5.
    #[serde(default)]
    pub margin_percent: Option<u32>,
}

impl ClaimText {
    /// Up to how many per cent a difference counts as none.
    pub fn margin(&self) -> u32 {
        self.margin_percent.unwrap_or(5)
    }

    /// By how many per cent the MPM must differ at least, if the statement says so. One that
    /// fails does so as a rule: in half of its requests.
    pub fn least_percent(&self) -> Option<u32> {
        match self.direction {
            Some(Direction::Fails) => Some(self.by_percent.unwrap_or(50)),
            _ => self.by_percent,
        }
    }

    /// The MPMs, of these, that the subject is compared with.
    pub fn others(&self, mpms: &[Mpm]) -> Vec<Mpm> {
        let compared = |mpm: &Mpm| self.against.is_empty() || self.against.contains(mpm);
        let others = mpms
            .iter()
            .copied()
            .filter(|mpm| self.subject != Some(*mpm));
        others.filter(compared).collect()
    }
}

/// In which way an MPM is said to differ from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// It has more of the metric than each of the others.
    More,
    /// It has less of the metric than each of the others.
    Less,
    /// Its requests fail, or httpd does not start with it.
    Fails,
}

/// A row of the tutorial's summary table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SummaryRow {
    /// Many connections at once, each for one request.
    HighLoad,
    /// Connections that stay open.
    KeepAlive,
    /// Large files.
    LargeFile,
    /// Under a memory limit.
    MemoryLimit,
    /// Memory and CPU used.
    ResourceUse,
    /// More connections than slots.
    Overload,
}

impl SummaryRow {
    /// All rows in the tutorial's order.
    pub const ALL: [SummaryRow; 6] = [
        SummaryRow::HighLoad,
        SummaryRow::KeepAlive,
        SummaryRow::LargeFile,
        SummaryRow::MemoryLimit,
        SummaryRow::ResourceUse,
        SummaryRow::Overload,
    ];

    /// The row's heading.
    pub fn title(self) -> &'static str {
        match self {
            SummaryRow::HighLoad => "High load",
            SummaryRow::KeepAlive => "Keep-alive",
            SummaryRow::LargeFile => "Large files",
            SummaryRow::MemoryLimit => "Memory limit",
            SummaryRow::ResourceUse => "Resource use",
            SummaryRow::Overload => "Overload",
        }
    }
}

/// What the client does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Load {
    /// Whether connections are kept for further requests. Default: false.
    pub keep_alive: bool,
    /// How long one request may take, in seconds. Default: 30.
    pub timeout_s: u32,
    /// How the requests of an open loop are distributed in time: `"constant"` or `"poisson"`.
    /// Default: constant; only with a size's `requests_per_s`.
    pub arrivals: Arrivals,
    /// Requests of this time at the load's begin are left out of all figures, in seconds.
    /// Default: 0.
    pub warm_up_s: u32,
    /// The size of the file that is asked for, in bytes. Default: 1000.
    pub body_bytes: u64,
    /// Connections of slow clients that are there before the load and stay until its end.
    /// Default: none.
    pub held: Option<Held>,
}

/// Slow clients beside the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Held {
    /// What they do: `"half-header"`, `"idle-keep-alive"` or `"slow-reader"`.
    pub kind: HeldKind,
    /// How many there are.
    pub connections: u32,
    /// How much each reads in a second, for a slow reader. Default: 16384.
    #[serde(default = "slow")]
    pub bytes_per_s: u32,
    /// The size of the file that a slow reader asks for, in bytes. Default: 10 MiB.
    #[serde(default = "ten_mebibytes")]
    pub body_bytes: u64,
}

fn slow() -> u32 {
    16_384
}

fn ten_mebibytes() -> u64 {
    10 << 20
}

/// What a slow client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldKind {
    /// Sends half of a request's head and then a byte now and then (slowloris).
    HalfHeader,
    /// Has had one answer and keeps its connection without asking again.
    IdleKeepAlive,
    /// Asks for a large file and reads it slowly.
    SlowReader,
}

impl Default for Load {
    fn default() -> Self {
        Load {
            keep_alive: false,
            timeout_s: 30,
            arrivals: Arrivals::Constant,
            warm_up_s: 0,
            body_bytes: 1000,
            held: None,
        }
    }
}

/// The two sizes of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Sizes {
    /// The tutorial's own numbers.
    pub full: SizeNumbers,
    /// Small enough for a first look: a few seconds a run.
    pub quick: SizeNumbers,
}

/// The numbers of one size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SizeNumbers {
    /// Requests in all.
    pub requests: u64,
    /// Connections at once.
    pub concurrency: u32,
    /// An open loop: so many requests are due each second, whatever the server does, and their
    /// latency counts from then. Default: a closed loop, each connection's next request follows
    /// its answer.
    #[serde(default)]
    pub requests_per_s: Option<u32>,
    /// Slots of every MPM in this size; `server.<mpm>.max_request_workers` goes before it.
    #[serde(default)]
    pub max_request_workers: Option<u32>,
    /// How often each MPM is run; with fewer than 6 no claim is judged. Default: 6.
    #[serde(default = "six")]
    pub repetitions: u32,
    /// When the load is cut off, in seconds. Default: 120.
    #[serde(default = "two_minutes")]
    pub max_duration_s: u32,
}

fn six() -> u32 {
    6
}

fn two_minutes() -> u32 {
    120
}

/// Which of the two sizes is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// For a first look.
    Quick,
    /// The tutorial's numbers.
    Full,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Size::Quick => "quick",
            Size::Full => "full",
        })
    }
}

/// What is measured of httpd's beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Every slot is started and has served before the measuring begins.
    #[default]
    Warm,
    /// Measured from the first moment, with httpd's own way of starting more children.
    Cold,
}

/// Which CPUs httpd gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cpus {
    /// CPUs of its own, apart from the load generator's, wherever there are two.
    #[default]
    Apart,
    /// All of them, as on a machine of its own. glibc takes the number of its malloc arenas from
    /// them, so a limit of the address space acts otherwise on one CPU than on several.
    All,
}

/// Who starts httpd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAs {
    /// Root, as a system's service: the parent stays root, the children become an ordinary user.
    #[default]
    Root,
    /// An ordinary user: the parent and its children are that user's.
    User,
}

/// How httpd is set up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Server {
    /// `"warm"` or `"cold"`. Default: warm.
    pub start: Start,
    /// `"apart"` or `"all"`. Default: apart.
    pub cpus: Cpus,
    /// `"root"` or `"user"`. Default: root.
    pub start_as: StartAs,
    /// Variables of httpd's environment, such as `MALLOC_ARENA_MAX`. Default: none.
    pub environment: BTreeMap<String, String>,
    /// The MPMs to run. Default: all three.
    pub mpms: Vec<Mpm>,
    /// Slots of every MPM (MaxRequestWorkers); the size and then the MPM's own section go before
    /// it. Default: 150.
    pub max_request_workers: u32,
    /// How long an idle connection is kept, in seconds (KeepAliveTimeout). Default: 5.
    pub keep_alive_timeout_s: u32,
    /// How long httpd waits for the peer, in seconds (Timeout). Default: 60.
    pub timeout_s: u32,
    /// Connections that may wait to be accepted (ListenBacklog). Default: 511.
    pub listen_backlog: u32,
    /// Whether files are mapped into memory to be sent (EnableMMAP). Default: true.
    pub mmap: bool,
    /// Whether files are sent by the kernel (EnableSendfile). Default: false.
    pub sendfile: bool,
    /// Further lines for the end of httpd.conf, in which the lab's own directives may not occur.
    pub extra_directives: Vec<String>,
    /// What is different for prefork.
    pub prefork: Option<PreforkServer>,
    /// What is different for worker.
    pub worker: Option<ThreadedServer>,
    /// What is different for event.
    pub event: Option<ThreadedServer>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            start: Start::Warm,
            cpus: Cpus::Apart,
            start_as: StartAs::Root,
            environment: BTreeMap::new(),
            mpms: Mpm::ALL.to_vec(),
            max_request_workers: 150,
            keep_alive_timeout_s: 5,
            timeout_s: 60,
            listen_backlog: 511,
            mmap: true,
            sendfile: false,
            extra_directives: Vec::new(),
            prefork: None,
            worker: None,
            event: None,
        }
    }
}

/// Settings of prefork alone. What is left out follows from the number of slots when the start is
/// warm, and is httpd's own default when it is cold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PreforkServer {
    /// Slots, one process each (MaxRequestWorkers).
    pub max_request_workers: Option<u32>,
    /// Processes there may ever be (ServerLimit). Default: the number of slots.
    pub server_limit: Option<u32>,
    /// Processes started at first (StartServers). Only for a cold start. Default: 5.
    pub start_servers: Option<u32>,
    /// Idle processes to have at least (MinSpareServers). Only for a cold start. Default: 5.
    pub min_spare_servers: Option<u32>,
    /// Idle processes to have at most (MaxSpareServers). Only for a cold start. Default: 10.
    pub max_spare_servers: Option<u32>,
}

/// Settings of worker or event alone. What is left out follows from the number of slots when the
/// start is warm, and is httpd's own default when it is cold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ThreadedServer {
    /// Slots, one thread each (MaxRequestWorkers).
    pub max_request_workers: Option<u32>,
    /// Threads that serve in one process (ThreadsPerChild). Default: 25.
    pub threads_per_child: Option<u32>,
    /// Processes there may ever be (ServerLimit). Default: slots / threads.
    pub server_limit: Option<u32>,
    /// Processes started at first (StartServers). Only for a cold start. Default: 3.
    pub start_servers: Option<u32>,
    /// Idle threads to have at least (MinSpareThreads). Only for a cold start. Default: three
    /// processes' worth.
    pub min_spare_threads: Option<u32>,
    /// Idle threads to have at most (MaxSpareThreads). Only for a cold start. Default: ten
    /// processes' worth.
    pub max_spare_threads: Option<u32>,
}
