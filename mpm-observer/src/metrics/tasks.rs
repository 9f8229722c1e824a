//! What the tasks do: time, switches, faults, and the children that come and go.

use std::collections::{BTreeMap, HashMap, HashSet};

use mpm_observer_common::{BlockedIn, TaskFlags, TaskRecord, TaskTotals};
use nix::sys::signal::Signal;

use super::{
    Exposition, Family,
    counted::Counted,
    family::{as_f64, label, seconds},
};
use crate::{
    httpd::{Facts, Role, role},
    live::Look,
    scenario::Mpm,
};

const BOTH: &str = "looks, task records";
const ROLE_LABEL: super::Label = label("role", "");

static TASKS: Family = Family::gauge(
    "httpd_tasks",
    "Tasks (processes and threads) that live",
    "looks",
)
.labels(&[ROLE_LABEL]);
static CHILDREN: Family = Family::gauge("httpd_children", "Child processes that live", "looks");
static STARTED: Family = Family::counter(
    "httpd_children_started_total",
    "Child processes made since the probes were attached",
    BOTH,
);
static ENDED: Family = Family::counter(
    "httpd_children_ended_total",
    "Child processes that ended, by exit status (0 is ok) or signal",
    "task records",
)
.labels(&[
    label("how", "ok, error, signal"),
    label("signal", "such as SIGSEGV, or empty"),
]);
static CPU: Family =
    Family::counter("httpd_task_cpu_seconds_total", "Time on a CPU", BOTH).labels(&[ROLE_LABEL]);
static RUN_QUEUE: Family = Family::counter(
    "httpd_task_run_queue_seconds_total",
    "Time ready to run and without a CPU",
    BOTH,
)
.labels(&[ROLE_LABEL, label("kind", "woken, preempted")]);
static BLOCKED: Family = Family::counter(
    "httpd_task_blocked_seconds_total",
    "Time blocked, idle waiting included",
    BOTH,
)
.labels(&[
    ROLE_LABEL,
    label(
        "reason",
        "other, futex, poll, send, receive, file, fault, sleep, stopped, kernel_lock",
    ),
]);
static SWITCHES: Family = Family::counter("httpd_context_switches_total", "Context switches", BOTH)
    .labels(&[ROLE_LABEL, label("kind", "voluntary, involuntary")]);
static FAULTS: Family = Family::counter(
    "httpd_page_faults_total",
    "Page faults by what was mapped",
    BOTH,
)
.labels(&[
    ROLE_LABEL,
    label("kind", "anonymous, file, shared, copy_on_write, other"),
]);
static ACCEPTS: Family = Family::counter(
    "httpd_accepts_total",
    "Calls of accept by how they ended; again: the queue was empty",
    BOTH,
)
.labels(&[label("outcome", "accepted, again, interrupted, failed")]);

/// The families, in the order of the documentation.
pub(super) static FAMILIES: &[&Family] = &[
    &TASKS, &CHILDREN, &STARTED, &ENDED, &CPU, &RUN_QUEUE, &BLOCKED, &SWITCHES, &FAULTS, &ACCEPTS,
];

/// By [`BlockedIn`] number.
const REASONS: [&str; BlockedIn::COUNT] = [
    "other",
    "futex",
    "poll",
    "send",
    "receive",
    "file",
    "fault",
    "sleep",
    "stopped",
    "kernel_lock",
];
const FAULT_KINDS: [&str; 4] = ["anonymous", "file", "shared", "copy_on_write"];
const OUTCOMES: [&str; 4] = ["accepted", "again", "interrupted", "failed"];

/// After so many looks without it, a task's record is taken to be lost.
const LOOKS_UNTIL_LOST: u32 = 60;

/// Cumulative figures, of one task or of all of a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    on_cpu_ns: u64,
    run_queue_ns: [u64; 2],
    blocked_ns: [u64; BlockedIn::COUNT],
    switches: [u64; 2],
    faults: [u64; FAULT_KINDS.len()],
    all_faults: u64,
    accepts: [u64; OUTCOMES.len()],
}

impl Figures {
    const fn of(totals: &TaskTotals) -> Self {
        let sched = &totals.sched;
        Self {
            on_cpu_ns: sched.on_cpu_ns,
            run_queue_ns: [sched.woken_wait_ns, sched.preempted_ns],
            blocked_ns: sched.blocked_ns,
            switches: [sched.voluntary, sched.involuntary],
            faults: [
                totals.faults_anon,
                totals.faults_file,
                totals.faults_shmem,
                totals.faults_cow,
            ],
            all_faults: totals.faults_user + totals.faults_kernel,
            accepts: [
                totals.accepts,
                totals.accepts_again,
                totals.accepts_interrupted,
                totals.accepts_failed,
            ],
        }
    }

    /// Adds what `new` has more than `old`.
    fn add(&mut self, new: &Self, old: &Self) {
        let each = |sums: &mut [u64], new: &[u64], old: &[u64]| {
            for ((sum, new), old) in sums.iter_mut().zip(new).zip(old) {
                *sum += new.saturating_sub(*old);
            }
        };
        self.on_cpu_ns += new.on_cpu_ns.saturating_sub(old.on_cpu_ns);
        self.all_faults += new.all_faults.saturating_sub(old.all_faults);
        each(&mut self.run_queue_ns, &new.run_queue_ns, &old.run_queue_ns);
        each(&mut self.blocked_ns, &new.blocked_ns, &old.blocked_ns);
        each(&mut self.switches, &new.switches, &old.switches);
        each(&mut self.faults, &new.faults, &old.faults);
        each(&mut self.accepts, &new.accepts, &old.accepts);
    }
}

/// Thread ids recur, so a task is known by its number and when it was made.
type Key = (u32, u64);

#[derive(Debug)]
struct Known {
    figures: Figures,
    role: Role,
    /// In how many looks it was missing.
    missing: u32,
    /// Whether it counts as started, or was there before the watch.
    is_counted: bool,
}

#[derive(Debug, Default)]
struct OfRole {
    figures: Figures,
    /// A fault counts at once, and to its kind when it is known what was mapped, so what is left
    /// would go down again for a moment.
    other_faults: Counted,
    alive: u64,
}

/// The tasks so far.
#[derive(Debug)]
pub(super) struct Tasks {
    mpm: Mpm,
    first_pid: u32,
    looked: bool,
    by_role: Vec<OfRole>,
    known: HashMap<Key, Known>,
    /// Those that ended since the last look but one: a look may still have found their state.
    ended: HashSet<Key>,
    ended_before: HashSet<Key>,
    listeners: HashSet<u32>,
    children: u64,
    children_started: u64,
    children_ended: BTreeMap<(&'static str, &'static str), u64>,
}

/// What children die by: crashes, memory, and orders to end.
const USUAL_SIGNALS: [&str; 6] = [
    "SIGABRT", "SIGBUS", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGXCPU",
];

impl Default for Tasks {
    fn default() -> Self {
        Self {
            mpm: Mpm::Prefork,
            first_pid: 0,
            looked: false,
            by_role: Role::ALL.iter().map(|_| OfRole::default()).collect(),
            known: HashMap::new(),
            ended: HashSet::new(),
            ended_before: HashSet::new(),
            listeners: HashSet::new(),
            children: 0,
            children_started: 0,
            // Of a series that begins with its first child, a rate would not show that child.
            children_ended: [("ok", ""), ("error", "")]
                .into_iter()
                .chain(USUAL_SIGNALS.map(|signal| ("signal", signal)))
                .map(|how| (how, 0))
                .collect(),
        }
    }
}

impl Tasks {
    /// A server with this first process is watched from now on.
    pub(super) fn begin(&mut self, mpm: Mpm, first_pid: u32) {
        self.end();
        (self.mpm, self.first_pid) = (mpm, first_pid);
    }

    /// There is no server any more.
    pub(super) fn end(&mut self) {
        self.known.clear();
        self.ended.clear();
        self.ended_before.clear();
        self.listeners.clear();
        self.looked = false;
        self.children = 0;
        for of_role in &mut self.by_role {
            of_role.alive = 0;
        }
    }

    /// The role of a task that read a request.
    pub(super) fn role_of_reader(&self, tid: u32) -> Role {
        if self.mpm == Mpm::Prefork {
            Role::Child
        } else if self.listeners.contains(&tid) {
            Role::Listener
        } else {
            Role::Worker
        }
    }

    pub(super) fn look(&mut self, look: &Look) {
        self.listeners.clear();
        self.children = 0;
        for of_role in &mut self.by_role {
            of_role.alive = 0;
        }
        for known in self.known.values_mut() {
            known.missing += 1;
        }
        for task in &look.tasks {
            let key = (task.record.pid, task.record.created_ns);
            if self.ended.contains(&key) || self.ended_before.contains(&key) {
                continue;
            }
            let before = self.advance(key, &task.record, task.role, !self.looked);
            let of_role = &mut self.by_role[index_of(task.role)];
            of_role.alive += 1;
            if task.role == Role::Listener {
                self.listeners.insert(task.record.pid);
            }
            if self.is_child(&task.record) {
                self.children += 1;
                // At second sight: at the first one it may be about to execute another program.
                if before == Some(false) {
                    self.count_start(key);
                }
            }
        }
        self.known
            .retain(|_, known| known.missing < LOOKS_UNTIL_LOST);
        self.ended_before = std::mem::take(&mut self.ended);
        self.looked = true;
    }

    /// A task has ended.
    pub(super) fn count(&mut self, record: &TaskRecord) {
        let key = (record.pid, record.created_ns);
        let role = self.known.get(&key).map_or_else(
            || role(Facts::of(record, self.mpm, Some(self.first_pid))),
            |known| known.role,
        );
        let before = self.advance(key, record, role, false);
        if self.is_child(record) {
            // One that no look has seen may be older than the first look.
            if before == Some(false) || (before.is_none() && self.looked) {
                self.count_start(key);
            }
            *self
                .children_ended
                .entry(how_ended(record.exit_code))
                .or_default() += 1;
        }
        self.known.remove(&key);
        self.ended.insert(key);
    }

    /// A child was made since the first look.
    fn count_start(&mut self, key: Key) {
        self.children_started += 1;
        if let Some(known) = self.known.get_mut(&key) {
            known.is_counted = true;
        }
    }

    /// Adds what a task did since it was seen last. Returns whether it counted as started before;
    /// `None` if it was not seen before: then it does as told.
    fn advance(
        &mut self,
        key: Key,
        record: &TaskRecord,
        role: Role,
        is_counted: bool,
    ) -> Option<bool> {
        let figures = Figures::of(&record.totals);
        let before = self.known.get(&key);
        let counted_before = before.map(|known| known.is_counted);
        let old = before.map_or_else(Figures::default, |known| known.figures);
        self.known.insert(
            key,
            Known {
                figures,
                role,
                missing: 0,
                is_counted: counted_before.unwrap_or(is_counted),
            },
        );
        let of_role = &mut self.by_role[index_of(role)];
        of_role.figures.add(&figures, &old);
        let told: u64 = of_role.figures.faults.iter().sum();
        let left = of_role.figures.all_faults.saturating_sub(told);
        of_role.other_faults.update(left);
        counted_before
    }

    const fn is_child(&self, record: &TaskRecord) -> bool {
        record.flags & (TaskFlags::THREAD | TaskFlags::OTHER_PROGRAM) == 0
            && record.tgid != self.first_pid
            && record.parent_tgid == self.first_pid
    }

    pub(super) fn write(&self, to: &mut Exposition) {
        let roles = || {
            let names = Role::ALL.iter().map(|role| role.name());
            names.zip(&self.by_role)
        };
        for (role, of_role) in roles() {
            to.labelled(&TASKS, [role.into()], as_f64(of_role.alive));
        }
        to.count(&CHILDREN, self.children);
        to.count(&STARTED, self.children_started);
        for ((how, signal), count) in &self.children_ended {
            to.labelled(&ENDED, [(*how).into(), (*signal).into()], as_f64(*count));
        }
        for (role, of_role) in roles() {
            to.labelled(&CPU, [role.into()], seconds(of_role.figures.on_cpu_ns));
        }
        for (role, of_role) in roles() {
            for (kind, ns) in ["woken", "preempted"]
                .iter()
                .zip(of_role.figures.run_queue_ns)
            {
                to.labelled(&RUN_QUEUE, [role.into(), (*kind).into()], seconds(ns));
            }
        }
        for (role, of_role) in roles() {
            for (reason, ns) in REASONS.iter().zip(of_role.figures.blocked_ns) {
                to.labelled(&BLOCKED, [role.into(), (*reason).into()], seconds(ns));
            }
        }
        for (role, of_role) in roles() {
            for (kind, count) in ["voluntary", "involuntary"]
                .iter()
                .zip(of_role.figures.switches)
            {
                to.labelled(&SWITCHES, [role.into(), (*kind).into()], as_f64(count));
            }
        }
        for (role, of_role) in roles() {
            for (kind, count) in FAULT_KINDS.iter().zip(of_role.figures.faults) {
                to.labelled(&FAULTS, [role.into(), (*kind).into()], as_f64(count));
            }
            let other = as_f64(of_role.other_faults.total());
            to.labelled(&FAULTS, [role.into(), "other".into()], other);
        }
        for (index, outcome) in OUTCOMES.iter().enumerate() {
            // What another program accepts is no connection of httpd's.
            let of_httpd = roles().filter(|(role, _)| *role != Role::Helper.name());
            let counts = of_httpd.map(|(_, of)| of.figures.accepts[index]);
            to.labelled(&ACCEPTS, [(*outcome).into()], as_f64(counts.sum()));
        }
    }
}

fn index_of(role: Role) -> usize {
    Role::ALL
        .iter()
        .position(|known| *known == role)
        .unwrap_or(0)
}

/// Of an exit code as `wait` gives it.
fn how_ended(exit_code: u32) -> (&'static str, &'static str) {
    match (exit_code & 0x7f, (exit_code >> 8) & 0xff) {
        (0, 0) => ("ok", ""),
        (0, _) => ("error", ""),
        (signal, _) => ("signal", signal_name(signal)),
    }
}

/// The name of a signal; a real-time one has none of its own.
pub(super) fn signal_name(signal: u32) -> &'static str {
    let known = i32::try_from(signal).ok().map(Signal::try_from);
    known.and_then(Result::ok).map_or("other", Signal::as_str)
}

#[cfg(test)]
#[path = "tasks_tests.rs"]
mod tests;
