//! The last minute in sentences. They carry the names of the rules for recorded runs
//! ([`crate::findings::rules::RULES`]) where these look for the same.

use serde::Serialize;

use loadgen::terminal::duration;

use super::minute::{Group, Kind, Minute, Sender, SlotsSeen};
use crate::{
    findings::{
        errno_name,
        occupancy::{HALF_HEAD, KEPT, SLOW_READER, WORK},
        reached::Reached,
        words::{call, mb, signal_name, who},
    },
    live::SlotState,
    recording::FailureRow,
    wording::{plural, whole},
};

/// Something that went wrong in the last minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What found it, in small letters with `-`.
    pub rule: &'static str,
    /// What happened.
    pub text: String,
    /// What it rests on.
    pub evidence: String,
    /// How often in the last minute.
    pub count: u64,
    /// How long ago the last time was.
    pub last_ago_ns: u64,
}

/// What went wrong in the minute before `now_ns`; the worst first. `lost`: what the observer lost in
/// its window.
pub(super) fn findings(minute: &Minute, now_ns: u64, lost: u64) -> Vec<Finding> {
    let slots = [no_slots(minute, now_ns), slots_taken(minute, now_ns)];
    let mut found: Vec<Finding> = slots.into_iter().flatten().collect();
    let mut groups: Vec<&Group> = minute.groups(now_ns).collect();
    groups.sort_by_key(|group| (rank(&group.kind), std::cmp::Reverse(group.count(now_ns))));
    found.extend(groups.into_iter().map(|group| of_group(group, now_ns)));
    if lost > 0 {
        found.push(Finding {
            rule: "observer-loses",
            text: format!(
                "{} lost on the way to the observer: the figures are too low",
                plural(lost, "record")
            ),
            evidence: "the programs' books: sent = received + lost".into(),
            count: lost,
            last_ago_ns: 0,
        });
    }
    found
}

const fn rank(kind: &Kind) -> u8 {
    match kind {
        Kind::OutOfMemory => 0,
        Kind::Killed { .. } => 1,
        Kind::GaveUp { .. } => 2,
        Kind::Refused { .. } => 3,
        Kind::QueueFull => 4,
        Kind::Reset => 5,
    }
}

/// What most of the slots of some looks did.
fn mostly(looks: &[&SlotsSeen]) -> &'static str {
    let sum = |states: &[SlotState]| -> u32 {
        let places = SlotState::ALL.iter().enumerate();
        places
            .filter(|(_, state)| states.contains(state))
            .map(|(place, _)| looks.iter().map(|seen| seen.by_state[place]).sum::<u32>())
            .sum()
    };
    let by = [
        (KEPT, sum(&[SlotState::KeepAlive])),
        (HALF_HEAD, sum(&[SlotState::ReadingClient])),
        (SLOW_READER, sum(&[SlotState::Sending])),
        ("waited for a client to close", sum(&[SlotState::Closing])),
        ("waited for a CPU", sum(&[SlotState::RunQueue])),
        ("waited for a lock", sum(&[SlotState::Lock])),
        ("waited for a disk", sum(&[SlotState::Disk])),
        (
            "waited for something else, such as a backend",
            sum(&[SlotState::Other]),
        ),
        (WORK, sum(&[SlotState::OnCpu])),
    ];
    let most = by.into_iter().max_by_key(|(_, count)| *count);
    most.map_or(WORK, |(words, _)| words)
}

/// How often, and who waited.
struct Waited {
    looks: String,
    most: String,
    longest: String,
}

impl Waited {
    fn at(looks: &[&SlotsSeen], minute: &Minute) -> Self {
        let most = looks.iter().map(|seen| seen.waiting).max().unwrap_or(0);
        let longest = looks.iter().map(|seen| seen.longest_wait_ns).max();
        Self {
            looks: format!(
                "{} of the {} of the last minute",
                looks.len(),
                plural(minute.looks().len() as u64, "look")
            ),
            most: plural(u64::from(most), "connection"),
            longest: match longest.unwrap_or(0) {
                0 => String::new(),
                longest_ns => format!(", the first of them for {}", duration(longest_ns)),
            },
        }
    }
}

fn no_slots(minute: &Minute, now_ns: u64) -> Option<Finding> {
    let without = minute.looks().iter().filter(|seen| seen.is_without());
    let without: Vec<&SlotsSeen> = without.collect();
    let last = without.last()?;
    let waited = Waited::at(&without, minute);
    Some(Finding {
        rule: "no-slots",
        text: format!(
            "there was no slot at all while up to {} waited{}: httpd restarts, or has lost its \
             children",
            waited.most, waited.longest
        ),
        evidence: waited.looks,
        count: without.len() as u64,
        last_ago_ns: now_ns.saturating_sub(last.at_ns),
    })
}

fn slots_taken(minute: &Minute, now_ns: u64) -> Option<Finding> {
    let exhausted = minute.looks().iter().filter(|seen| seen.is_exhausted());
    let exhausted: Vec<&SlotsSeen> = exhausted.collect();
    let last = exhausted.last()?;
    let waited = Waited::at(&exhausted, minute);
    Some(Finding {
        rule: "slots-taken",
        text: format!(
            "all {} were taken, most of which {}, while up to {} waited{}",
            plural(u64::from(last.slots()), "slot"),
            mostly(&exhausted),
            waited.most,
            waited.longest
        ),
        evidence: waited.looks,
        count: exhausted.len() as u64,
        last_ago_ns: now_ns.saturating_sub(last.at_ns),
    })
}

fn of_group(group: &Group, now_ns: u64) -> Finding {
    let count = group.count(now_ns);
    let row = &group.last;
    let (rule, text) = match &group.kind {
        Kind::Refused { limit, errno, .. } => (
            rule_of(*limit),
            format!(
                "{} failed with {}{}",
                call(row),
                errno_name(*errno),
                at(*limit, row)
            ),
        ),
        Kind::QueueFull => {
            let of = match row.queue_limit {
                Some(limit) => format!(" of {}", plural(u64::from(limit), "connection")),
                None => String::new(),
            };
            (
                "accept-queue-full",
                format!(
                    "the accept queue{of} was full and {} dropped",
                    plural(count, "packet")
                ),
            )
        }
        Kind::Reset => (
            "resets-sent",
            format!("the server's side reset {}", plural(count, "connection")),
        ),
        Kind::OutOfMemory => (
            "killed-for-memory",
            format!(
                "{} killed by the kernel (SIGKILL) for want of memory{}",
                plural(count, "task"),
                of_group_memory(row)
            ),
        ),
        Kind::Killed { signal } => (
            if is_fault(*signal) {
                "crashed"
            } else {
                "killed"
            },
            format!("{} ended by {}", processes(count), signal_name(*signal)),
        ),
        Kind::GaveUp { status } => (
            "gave-up",
            format!(
                "{} ended with status {status}{}",
                processes(count),
                // httpd's own numbers: APEXIT_CHILDSICK and APEXIT_CHILDFATAL.
                match status {
                    7 => " (sick: out of a resource)",
                    15 => " (fatal: httpd ends)",
                    _ => "",
                }
            ),
        ),
    };
    Finding {
        rule,
        text,
        evidence: example(group, count, now_ns),
        count,
        last_ago_ns: now_ns.saturating_sub(row.t_ns),
    }
}

fn processes(count: u64) -> String {
    match count {
        1 => "1 process".into(),
        count => format!("{} processes", whole(count)),
    }
}

/// The last one of its kind.
fn example(group: &Group, count: u64, now_ns: u64) -> String {
    let row = &group.last;
    let times = match count {
        1 => "once".to_owned(),
        count => format!("{} times, last", whole(count)),
    };
    let by = match &group.kind {
        Kind::QueueFull | Kind::Reset if row.remote_port == 0 => String::new(),
        Kind::QueueFull | Kind::Reset => format!(" by a packet from port {}", row.remote_port),
        Kind::OutOfMemory | Kind::Killed { .. } | Kind::GaveUp { .. } => {
            let sender = match group.sender {
                Sender::Unknown => String::new(),
                Sender::Kernel => ", sent by the kernel".into(),
                Sender::Server => ", sent by a task of httpd".into(),
                Sender::Task(tid) => format!(", sent by task {tid}, which is none of httpd's"),
            };
            format!(": {} (process {}){sender}", who(&row.role), row.pid)
        }
        Kind::Refused { .. } => format!(
            " by {} (task {} of process {})",
            who(&row.role),
            row.tid,
            row.pid
        ),
    };
    let ago_s = now_ns.saturating_sub(row.t_ns) / 1_000_000_000;
    format!("{times}{by}, {ago_s} s ago")
}

/// SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS.
fn is_fault(signal: u8) -> bool {
    [4, 5, 6, 7, 8, 11, 24, 25, 31].contains(&signal)
}

fn rule_of(limit: Reached) -> &'static str {
    match limit {
        Reached::AddressSpace => "address-space",
        Reached::Data => "data",
        Reached::OpenFiles => "open-files",
        Reached::SystemFiles => "open-files-of-the-system",
        Reached::UserTasks => "tasks-of-the-user",
        Reached::CgroupTasks => "tasks-of-the-cgroup",
        Reached::CgroupMemory => "memory-of-the-cgroup",
        Reached::DiskSpace => "disk-full",
        Reached::Unknown => "other-failed-calls",
    }
}

/// How much of a limit was used, after the failure.
fn at(limit: Reached, row: &FailureRow) -> String {
    let bytes = |used: Option<u64>, limit: Option<u64>, of: &str| match (used, limit) {
        (Some(used), Some(limit)) => {
            format!(", at {} of {} of {of}", mb(used as f64), mb(limit as f64))
        }
        _ => format!(", at the limit of {of}"),
    };
    let counts = |used: Option<u64>, limit: Option<u64>, of: &str| match (used, limit) {
        (Some(used), Some(limit)) => format!(", at {} of {} {of}", whole(used), whole(limit)),
        _ => format!(", at the limit of {of}"),
    };
    match limit {
        Reached::AddressSpace => bytes(
            row.address_space,
            row.address_space_limit,
            "address space (ulimit -v)",
        ),
        Reached::Data => bytes(row.data, row.data_limit, "writable memory (ulimit -d)"),
        Reached::OpenFiles => counts(
            row.open_files,
            row.open_files_limit,
            "open files (ulimit -n)",
        ),
        Reached::SystemFiles => ", at the system's open files (fs.file-max)".into(),
        Reached::UserTasks => counts(
            row.processes,
            row.processes_limit,
            "tasks of its user (ulimit -u)",
        ),
        Reached::CgroupTasks => counts(
            row.cgroup_tasks,
            row.cgroup_tasks_limit,
            "tasks of the control group (pids.max)",
        ),
        Reached::CgroupMemory => bytes(
            row.cgroup_memory,
            row.cgroup_memory_limit,
            "memory of the control group (memory.max)",
        ),
        Reached::DiskSpace => ": no room on the file system".into(),
        Reached::Unknown => String::new(),
    }
}

fn of_group_memory(row: &FailureRow) -> String {
    match (row.cgroup_memory, row.cgroup_memory_limit) {
        (Some(used), Some(limit)) => format!(
            ", the control group at {} of {} (memory.max)",
            mb(used as f64),
            mb(limit as f64)
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
