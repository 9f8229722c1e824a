//! What the slots were busy with, by the kernel's records of the connections.

use std::{
    collections::{HashMap, HashSet},
    ops::AddAssign,
};

use super::evidence::RunEvidence;
use crate::{recording::KernelRow, scenario::Mpm};

/// A connection that waited so long to be read is said to have waited.
const LONG_WAIT_NS: u64 = 1_000_000_000;
/// Shorter waits than this are no matter.
const SHORT_WAIT_NS: u64 = 10_000_000;
/// So many of the waits are looked into.
const MOMENTS: usize = 32;

/// Connections by what they were at one moment; sums over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    /// A request is being served.
    pub work: u64,
    /// Idle, kept for a further request, and in a slot.
    pub kept: u64,
    /// The server waits for the rest of a request.
    pub half_head: u64,
    /// The server waits for the client to read.
    pub slow_reader: u64,
    /// The answer has been sent, and the server waits for the client to close.
    pub closing: u64,
}

impl Slots {
    /// Slots that are taken.
    pub fn busy(self) -> u64 {
        self.work + self.kept + self.half_head + self.slow_reader + self.closing
    }

    /// What most of them are busy with, in words.
    pub fn mostly(self) -> &'static str {
        let kinds = [
            (self.work, WORK),
            (self.kept, KEPT),
            (self.half_head, HALF_HEAD),
            (self.slow_reader, SLOW_READER),
            (self.closing, CLOSING),
        ];
        let most = kinds.into_iter().max_by_key(|(count, _)| *count);
        most.map_or(WORK, |(_, words)| words)
    }
}

impl AddAssign for Slots {
    fn add_assign(&mut self, other: Self) {
        self.work += other.work;
        self.kept += other.kept;
        self.half_head += other.half_head;
        self.slow_reader += other.slow_reader;
        self.closing += other.closing;
    }
}

pub(crate) const WORK: &str = "served requests";
pub(crate) const KEPT: &str = "sat in keep-alive";
pub(crate) const HALF_HEAD: &str = "waited for the rest of a request's head";
pub(crate) const SLOW_READER: &str = "waited for clients to read";
const CLOSING: &str = "waited for clients to close";

/// All connections of a run.
pub(crate) struct Occupancy<'a> {
    mpm: Mpm,
    sendfile: bool,
    /// Ports of the load's connections, if none of them is kept.
    closing: HashSet<u16>,
    connections: Vec<Vec<&'a KernelRow>>,
}

impl<'a> Occupancy<'a> {
    /// Sorts the kernel's records by connection.
    pub fn of(run: &RunEvidence<'a>) -> Self {
        let own_ports: HashSet<u16> = run.run.status.iter().map(|row| row.local_port).collect();
        let mut connections: HashMap<(&str, u16, u64), Vec<&KernelRow>> = HashMap::new();
        for row in run.run.kernel.iter().filter(|row| row.accepted_ns != 0) {
            if own_ports.contains(&row.remote_port) {
                continue;
            }
            let key = (
                row.remote_addr.as_str(),
                row.remote_port,
                row.established_ns,
            );
            connections.entry(key).or_default().push(row);
        }
        for rows in connections.values_mut() {
            rows.sort_by_key(|row| row.ordinal);
        }
        Self {
            mpm: run.mpm(),
            // httpd's default, for want of a live server's configuration.
            sendfile: run.plan().is_some_and(|plan| plan.server.sendfile),
            closing: if run.plan().is_none_or(|plan| plan.load.keep_alive) {
                HashSet::new()
            } else {
                run.requests().map(|(_, row)| row.local_port).collect()
            },
            connections: connections.into_values().collect(),
        }
    }

    /// Whether any connection was recorded.
    pub fn is_known(&self) -> bool {
        !self.connections.is_empty()
    }

    /// The slots at a moment.
    pub fn at(&self, t_ns: u64) -> Slots {
        let mut slots = Slots::default();
        for rows in &self.connections {
            self.count(rows, t_ns, &mut slots);
        }
        slots
    }

    fn count(&self, rows: &[&KernelRow], t_ns: u64, slots: &mut Slots) {
        let Some((first, last)) = rows.first().zip(rows.last()) else {
            return;
        };
        if t_ns < first.accepted_ns || (last.conn_ended && t_ns >= last.end_ns) {
            return;
        }
        // Each of them accepts only what a slot is kept for.
        if t_ns < first.pickup_ns {
            slots.work += 1;
            return;
        }
        let serving = rows.iter().find(|row| {
            let end_ns = match row.last_send_ns {
                0 => row.end_ns,
                _ if row.unread_by_client => row.end_ns,
                last_send_ns => last_send_ns,
            };
            row.pickup_ns != 0 && (row.pickup_ns..end_ns).contains(&t_ns)
        });
        let Some(row) = serving else {
            // Event holds it in its listener, without a slot.
            if self.mpm != Mpm::Event && t_ns >= first.pickup_ns && first.pickup_ns != 0 {
                if self.closing.contains(&first.remote_port) {
                    slots.closing += 1;
                } else {
                    slots.kept += 1;
                }
            }
            return;
        };
        let span_ns = row.last_send_ns.max(row.pickup_ns) - row.pickup_ns;
        if row.last_send_ns == 0 || 2 * row.client_sends_ns > span_ns {
            slots.half_head += 1;
        } else if 2 * row.client_reads_ns > span_ns
            || (row.unread_by_client && t_ns >= row.last_send_ns)
        {
            // With sendfile event waits for readers in its listener.
            if !(self.mpm == Mpm::Event && self.sendfile) {
                slots.slow_reader += 1;
            }
        } else {
            slots.work += 1;
        }
    }
}

/// A connection of the load on its way to a slot.
struct Wait {
    /// Place in the client's table, if that was recorded.
    place: Option<usize>,
    begin_ns: u64,
    end_ns: u64,
    /// How long its first request was then served; `None` if no task ever read it.
    served_ns: Option<u64>,
}

impl Wait {
    fn ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.begin_ns)
    }

    /// How each connection of the load came to be read, and how many there were.
    fn all(run: &RunEvidence<'_>) -> (Vec<Self>, u64) {
        if run.run.client.is_empty() && run.plan().is_none() {
            return Self::all_of_server(run);
        }
        let kernel = run.kernel_rows();
        let mut waits = Vec::new();
        let mut connections = 0;
        for (place, row) in run.requests().filter(|(_, row)| row.ordinal == 0) {
            connections += 1;
            // What is read when the client has given up is no request to it any more.
            let read = kernel.get(&place).filter(|kernel| {
                kernel.pickup_ns != 0 && (row.is_ok() || kernel.pickup_ns < row.end_ns)
            });
            let (begin_ns, end_ns) = match read {
                Some(kernel) => (
                    kernel.queued_ns.max(kernel.established_ns),
                    kernel.pickup_ns,
                ),
                // It was connected and sent its request, and no task ever read it.
                None if row.sent_ns != 0 && !row.is_ok() && row.status == 0 => {
                    (row.sent_ns, row.end_ns)
                }
                None => continue,
            };
            if begin_ns != 0 {
                waits.push(Self {
                    place: Some(place),
                    begin_ns,
                    end_ns,
                    served_ns: read
                        .map(|kernel| kernel.last_send_ns.saturating_sub(kernel.pickup_ns)),
                });
            }
        }
        (waits, connections)
    }

    /// The same from the server's side alone. What no task ever read is no wait here: browsers
    /// connect without a request to come.
    fn all_of_server(run: &RunEvidence<'_>) -> (Vec<Self>, u64) {
        let rows = run.run.kernel.iter();
        let firsts = rows.filter(|row| row.ordinal == 0 && row.pickup_ns != 0 && row.is_whole());
        let waits: Vec<Self> = firsts
            .map(|row| Self {
                place: None,
                // Until its bytes are there the server waits for the client.
                begin_ns: row.arrival_ns.max(row.queued_ns),
                end_ns: row.pickup_ns,
                served_ns: Some(row.last_send_ns.saturating_sub(row.pickup_ns)),
            })
            .collect();
        let connections = waits.len() as u64;
        (waits, connections)
    }
}

/// Connections that waited to be read.
pub(super) struct Waits {
    /// Places in the client's table.
    pub clients: Vec<usize>,
    /// How long, ascending, ns; at least one.
    pub waits_ns: Vec<u64>,
    /// How long those that were read were then served, ascending, ns.
    served_ns: Vec<u64>,
    /// Moments in the middle of the waits, at most 32.
    pub moments_ns: Vec<u64>,
    /// Connections of the load there were.
    pub connections: u64,
    /// Of the waits, those that no task had ended when the client gave up.
    pub never_read: u64,
}

impl Waits {
    /// Those of a second and more.
    pub fn long(run: &RunEvidence<'_>) -> Option<Self> {
        let (mut waits, connections) = Wait::all(run);
        waits.retain(|wait| wait.ns() >= LONG_WAIT_NS);
        Self::of(&waits, connections)
    }

    /// Those that took longer than the service after them, if these are most of the connections.
    pub fn longer_than_service(run: &RunEvidence<'_>) -> Option<Self> {
        let (mut waits, connections) = Wait::all(run);
        waits.retain(|wait| {
            wait.ns() >= SHORT_WAIT_NS && wait.served_ns.is_some_and(|served| wait.ns() > served)
        });
        Self::of(&waits, connections).filter(|_| 2 * waits.len() as u64 > connections)
    }

    fn of(waits: &[Wait], connections: u64) -> Option<Self> {
        if waits.is_empty() {
            return None;
        }
        let step = waits.len().div_ceil(MOMENTS);
        let mut waits_ns: Vec<u64> = waits.iter().map(Wait::ns).collect();
        waits_ns.sort_unstable();
        let mut served_ns: Vec<u64> = waits.iter().filter_map(|wait| wait.served_ns).collect();
        served_ns.sort_unstable();
        let looked_at = waits.iter().step_by(step);
        Some(Self {
            moments_ns: looked_at
                .map(|wait| u64::midpoint(wait.begin_ns, wait.end_ns))
                .collect(),
            clients: waits.iter().filter_map(|wait| wait.place).collect(),
            never_read: waits.iter().filter(|wait| wait.served_ns.is_none()).count() as u64,
            waits_ns,
            served_ns,
            connections,
        })
    }

    /// The wait in the middle, seconds.
    pub fn median_s(&self) -> f64 {
        self.waits_ns[(self.waits_ns.len() - 1) / 2] as f64 / 1e9
    }

    /// The longest, seconds.
    pub fn longest_s(&self) -> f64 {
        self.waits_ns.last().map_or(0.0, |ns| *ns as f64 / 1e9)
    }

    /// The service in the middle, seconds.
    pub fn median_served_s(&self) -> f64 {
        let middle = self.served_ns.len().saturating_sub(1) / 2;
        self.served_ns
            .get(middle)
            .map_or(0.0, |ns| *ns as f64 / 1e9)
    }
}
