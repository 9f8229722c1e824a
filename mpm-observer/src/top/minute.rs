//! What failed in the last minute, in bounded memory: equal failures are one group.

use std::collections::{HashMap, HashSet, VecDeque};

use mpm_observer_common::{FailureRecord, TaskFlags, TaskRecord};

use crate::{
    findings::reached::Reached,
    live::{Look, SlotState},
    recording::{FailureKind, FailureRow, Purpose},
};

/// How long something is told.
const LENGTH_S: u64 = 60;
const SECOND_NS: u64 = 1_000_000_000;
/// Kinds of failures told apart; further ones take the place of the oldest.
const GROUPS: usize = 64;
/// Looks that are kept.
const LOOKS: usize = 600;
/// Signals and victims that are remembered until their processes end.
const REMEMBERED: usize = 1_024;

/// What makes failures equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A system call was refused at a limit.
    Refused {
        /// The limit.
        limit: Reached,
        /// The call's name.
        call: String,
        /// What it was for.
        purpose: Purpose,
        /// Its error number.
        errno: u32,
    },
    /// A connection found the accept queue full.
    QueueFull,
    /// The server's side reset a connection.
    Reset,
    /// The kernel killed a process for want of memory.
    OutOfMemory,
    /// A process was ended by a signal.
    Killed {
        /// The signal.
        signal: u8,
    },
    /// A child ended by itself with a status that is not 0.
    GaveUp {
        /// The status.
        status: u8,
    },
}

/// Who sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// It was not told.
    Unknown,
    /// The kernel.
    Kernel,
    /// A task of the server.
    Server,
    /// Another task.
    Task(u32),
}

/// Equal failures of the last minute.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What they are.
    pub kind: Kind,
    /// The last of them.
    pub last: FailureRow,
    /// Of processes that a signal ended, who sent it to the last one.
    pub sender: Sender,
    seconds: Seconds,
}

impl Group {
    /// How many in the last minute.
    pub(super) fn count(&self, now_ns: u64) -> u64 {
        self.seconds.sum(now_ns)
    }
}

/// Counts by second of the last minute.
#[derive(Clone, Debug)]
struct Seconds {
    newest_s: u64,
    counts: [u32; LENGTH_S as usize],
}

impl Seconds {
    const fn new(now_s: u64) -> Self {
        Self {
            newest_s: now_s,
            counts: [0; LENGTH_S as usize],
        }
    }

    fn add(&mut self, now_ns: u64) {
        let now_s = now_ns / SECOND_NS;
        let passed = now_s.saturating_sub(self.newest_s);
        for second in 0..passed.min(LENGTH_S) {
            self.counts[((now_s - second) % LENGTH_S) as usize] = 0;
        }
        self.newest_s = self.newest_s.max(now_s);
        let place = (now_s % LENGTH_S) as usize;
        self.counts[place] = self.counts[place].saturating_add(1);
    }

    fn sum(&self, now_ns: u64) -> u64 {
        let passed = (now_ns / SECOND_NS).saturating_sub(self.newest_s);
        (passed..LENGTH_S)
            .map(|age| {
                let second = self.newest_s + LENGTH_S + passed - age;
                u64::from(self.counts[(second % LENGTH_S) as usize])
            })
            .sum()
    }
}

/// What one look showed of the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotsSeen {
    /// When.
    pub at_ns: u64,
    /// Slots, by state.
    pub by_state: [u32; SlotState::ALL.len()],
    /// Connections that waited for one: in the accept queue, or with bytes that nobody reads.
    pub waiting: u32,
    /// How long the first of those with bytes had waited.
    pub longest_wait_ns: u64,
}

impl SlotsSeen {
    pub(super) fn of(look: &Look) -> Self {
        let connections = &look.connections;
        let queued = look.queues.iter().map(|queue| queue.length).sum::<u32>();
        Self {
            at_ns: look.at_ns,
            by_state: by_state(look),
            waiting: queued.max(connections.unread),
            longest_wait_ns: match connections.unread_since_ns {
                0 => 0,
                since_ns => look.at_ns.saturating_sub(since_ns),
            },
        }
    }

    /// All slots.
    pub(super) fn slots(&self) -> u32 {
        self.by_state.iter().sum()
    }

    /// Whether there was no slot at all while somebody waited for one, as in the middle of a graceful
    /// restart.
    pub(super) fn is_without(&self) -> bool {
        self.slots() == 0 && self.waiting > 0
    }

    /// Whether all slots were taken while somebody waited for one.
    pub(super) fn is_exhausted(&self) -> bool {
        let idle = SlotState::ALL.iter().zip(self.by_state);
        let idle: u32 = idle
            .filter(|(state, _)| !state.is_busy())
            .map(|(_, count)| count)
            .sum();
        self.slots() > 0 && idle == 0 && self.waiting > 0
    }
}

/// Slots of a look, by state.
pub(super) fn by_state(look: &Look) -> [u32; SlotState::ALL.len()] {
    SlotState::ALL.map(|state| {
        let here = |slot: Option<SlotState>| slot == Some(state);
        look.tasks.iter().filter(|task| here(task.slot)).count() as u32
    })
}

/// The last minute.
#[derive(Debug, Default)]
pub(super) struct Minute {
    groups: Vec<Group>,
    looks: VecDeque<SlotsSeen>,
    /// Tasks of the server and their roles, as of the last look.
    roles: HashMap<u32, String>,
    /// Signals that were sent to processes, by process.
    signals: Remembered<FailureRow>,
    /// Processes that the kernel kills for want of memory.
    victims: Remembered<()>,
}

impl Minute {
    /// The server was looked at.
    pub(super) fn look(&mut self, look: &Look) {
        self.looks.push_back(SlotsSeen::of(look));
        let oldest_ns = look.at_ns.saturating_sub(LENGTH_S * SECOND_NS);
        while self.looks.len() > LOOKS
            || self
                .looks
                .front()
                .is_some_and(|seen| seen.at_ns < oldest_ns)
        {
            self.looks.pop_front();
        }
        self.groups.retain(|group| group.count(look.at_ns) > 0);
        self.roles = look
            .tasks
            .iter()
            .map(|task| (task.record.pid, task.role.name().to_owned()))
            .collect();
    }

    /// The kernel told of a failure.
    pub(super) fn failure(&mut self, record: &FailureRecord) {
        let role = self.roles.get(&record.pid).cloned().unwrap_or_default();
        let Some(row) = FailureRow::new(record, role) else {
            return;
        };
        let kind = match row.kind {
            FailureKind::Call => Kind::Refused {
                limit: Reached::of(&row),
                call: row.call.clone(),
                purpose: row.purpose,
                errno: row.errno,
            },
            FailureKind::AcceptQueueFull => Kind::QueueFull,
            FailureKind::ResetSent => Kind::Reset,
            FailureKind::OomKill => {
                self.victims.put(row.pid, ());
                Kind::OutOfMemory
            }
            // Whether it ends the process is told by its end.
            FailureKind::Signal => {
                self.signals.put(row.pid, row);
                return;
            }
        };
        self.count(kind, row, Sender::Unknown);
    }

    /// A task has ended.
    pub(super) fn ended(&mut self, record: &TaskRecord) {
        if record.flags & TaskFlags::THREAD != 0 {
            return;
        }
        let (signal, status) = (record.exit_code as u8 & 0x7f, (record.exit_code >> 8) as u8);
        let sent = self.signals.take(record.tgid);
        // What the exit status of another program means is not known.
        let is_helper = record.flags & TaskFlags::OTHER_PROGRAM != 0;
        if signal == 0 && (status == 0 || is_helper) {
            return;
        }
        let is_victim = self.victims.take(record.tgid).is_some();
        let sender = match &sent {
            Some(sent) if sent.signal != signal => Sender::Unknown,
            None => Sender::Unknown,
            Some(sent) if sent.by_kernel => Sender::Kernel,
            Some(sent) if self.roles.contains_key(&sent.by_tid) => Sender::Server,
            Some(sent) => Sender::Task(sent.by_tid),
        };
        // SIGHUP, SIGINT, SIGUSR1 and SIGTERM are the parent's orders to a child that it has no
        // need of.
        let is_order =
            matches!(signal, 1 | 2 | 10 | 15) && matches!(sender, Sender::Server | Sender::Unknown);
        if is_order || (is_victim && signal == 9) {
            return;
        }
        let kind = match signal {
            0 => Kind::GaveUp { status },
            signal => Kind::Killed { signal },
        };
        let row = FailureRow {
            t_ns: record.exited_ns,
            tid: record.pid,
            pid: record.tgid,
            role: self.roles.get(&record.pid).cloned().unwrap_or_default(),
            signal,
            ..FailureRow::default()
        };
        self.count(kind, row, sender);
    }

    fn count(&mut self, kind: Kind, row: FailureRow, sender: Sender) {
        let now_ns = row.t_ns;
        let place = self.groups.iter().position(|group| group.kind == kind);
        let place = place.unwrap_or_else(|| {
            if self.groups.len() == GROUPS {
                self.groups.remove(0);
            }
            self.groups.push(Group {
                kind,
                last: FailureRow::default(),
                sender,
                seconds: Seconds::new(now_ns / SECOND_NS),
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        group.seconds.add(now_ns);
        group.last = row;
        group.sender = sender;
    }

    /// The failures of the last minute.
    pub(super) fn groups(&self, now_ns: u64) -> impl Iterator<Item = &Group> {
        self.groups
            .iter()
            .filter(move |group| group.count(now_ns) > 0)
    }

    /// The looks of the last minute, the newest last.
    pub(super) const fn looks(&self) -> &VecDeque<SlotsSeen> {
        &self.looks
    }
}

/// By process id; the oldest are forgotten.
#[derive(Debug)]
struct Remembered<T> {
    known: HashMap<u32, T>,
    order: VecDeque<u32>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T> Remembered<T> {
    fn put(&mut self, pid: u32, what: T) {
        if self.known.insert(pid, what).is_none() {
            self.order.push_back(pid);
        }
        if self.order.len() > REMEMBERED {
            // Those that were taken are in the order still.
            let alive: HashSet<u32> = self.known.keys().copied().collect();
            self.order.retain(|pid| alive.contains(pid));
            while self.order.len() > REMEMBERED / 2 {
                if let Some(oldest) = self.order.pop_front() {
                    self.known.remove(&oldest);
                }
            }
        }
    }

    fn take(&mut self, pid: u32) -> Option<T> {
        self.known.remove(&pid)
    }
}

#[cfg(test)]
#[path = "minute_tests.rs"]
mod tests;
