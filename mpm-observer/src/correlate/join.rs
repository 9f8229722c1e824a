//! Joins each request's client row with its kernel row: same four-tuple, same connection, same
//! ordinal in it.
//!
//! Ports recur within seconds, so a four-tuple alone names several connections, and not only the
//! client's: the observer's own requests may use a port that the client has used before. On one
//! four-tuple connections follow one another: the kernel's connection is the client's last one that
//! was begun before it was established, if that had not ended by then.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::recording::{ClientRow, KernelRow};

/// A request seen from both sides, as indices of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Index of the client's row.
    pub client: usize,
    /// Index of the kernel's row.
    pub kernel: usize,
}

/// Why a successful request of the client has no kernel row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// No connection of the kernel's fits.
    Connection,
    /// The connection is there, the request in it is not.
    Request,
    /// The kernel's row is there, but names no pick-up or no answer.
    Incomplete,
    /// Its connection was begun before the recording.
    Before,
    /// It ended after the recording.
    After,
}

impl Missing {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Before,
        Self::After,
        Self::Connection,
        Self::Request,
        Self::Incomplete,
    ];

    /// What these requests are, after their count: `12 on connections begun before …`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Before => "on connections begun before the recording",
            Self::After => "that ended after the recording",
            Self::Connection => "on connections that the server does not have",
            Self::Request => "that the server does not have on their connection",
            Self::Incomplete => "without a read or an answer at the server",
        }
    }
}

/// Why a kernel row has no row of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelOnly {
    /// A request of the observer itself: to mod_status, or to see whether httpd is ready.
    Observer,
    /// A request of a slow client beside the load.
    Held,
    /// A request of the client's on a connection that stood before the recording began: which of
    /// its requests it is is not known.
    Stood,
    /// Another request: httpd's own, or one whose client row was lost.
    Other,
}

/// The result of a join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Measured requests seen from both sides, successful or not, in the order of the client's
    /// rows.
    pub pairs: Vec<Pair>,
    /// Measured successful requests of the client without a kernel row, by cause.
    pub missing: BTreeMap<Missing, u64>,
    /// Kernel rows without a client row, by cause.
    pub kernel_only: BTreeMap<KernelOnly, u64>,
}

/// One direction of a connection as the client sees it.
pub(crate) type Ends<'a> = (&'a str, u16, &'a str, u16);

pub(crate) fn client_ends(row: &ClientRow) -> Ends<'_> {
    (
        &row.local_addr,
        row.local_port,
        &row.remote_addr,
        row.remote_port,
    )
}

pub(crate) fn kernel_ends(row: &KernelRow) -> Ends<'_> {
    (
        &row.remote_addr,
        row.remote_port,
        &row.local_addr,
        row.local_port,
    )
}

/// Joins the rows of one run. Rows of the warming up find their partners too, but do not count.
/// `own_ports` are the ports from which the observer itself sent requests; `recorded_ns` is from
/// when to when the server was recorded; the client's times may be wrong by `clock_bound_ns`.
#[must_use]
pub fn join(
    client: &[ClientRow],
    kernel: &[KernelRow],
    own_ports: &HashSet<u16>,
    recorded_ns: (u64, u64),
    clock_bound_ns: u64,
) -> Join {
    // For each four-tuple when the client's connections began and ended, in order of time, and
    // whether it is a slow client's.
    let mut spans: HashMap<Ends<'_>, BTreeMap<u64, (u64, bool)>> = HashMap::new();
    for row in client.iter().filter(|row| row.connect_start_ns != 0) {
        let (end_ns, slow) = spans
            .entry(client_ends(row))
            .or_default()
            .entry(row.connect_start_ns)
            .or_default();
        *end_ns = row.end_ns.max(*end_ns);
        *slow = row.is_slow_client();
    }

    let mut by_request: HashMap<(Ends<'_>, u64, u32), usize> = HashMap::new();
    let mut connections: HashSet<(Ends<'_>, u64)> = HashSet::new();
    let mut result = Join::default();
    let mut ownerless = Vec::new();
    for (index, row) in kernel.iter().enumerate() {
        let ends = kernel_ends(row);
        // Of one that stood before the recording began only its requests have a time.
        let stood = row.established_ns == 0;
        let at_ns = match (stood, row.pickup_ns) {
            (false, _) => row.established_ns,
            (true, 0) => row.end_ns,
            (true, pickup_ns) => pickup_ns,
        };
        let connection = spans.get(&ends).and_then(|spans| {
            // No four-tuple is used again as soon as that.
            let latest_ns = at_ns.saturating_add(clock_bound_ns);
            let (&begin_ns, &(end_ns, slow)) = spans.range(..=latest_ns).next_back()?;
            let is_within = at_ns <= end_ns.saturating_add(clock_bound_ns);
            is_within.then_some((begin_ns, slow))
        });
        match connection {
            Some((_, true)) => *result.kernel_only.entry(KernelOnly::Held).or_default() += 1,
            // Its end alone is no request.
            Some(_) if stood && row.pickup_ns == 0 => {}
            Some(_) if stood => *result.kernel_only.entry(KernelOnly::Stood).or_default() += 1,
            Some((connect_ns, false)) => {
                connections.insert((ends, connect_ns));
                by_request.insert((ends, connect_ns, row.ordinal), index);
            }
            None => ownerless.push(index),
        }
    }

    for (index, row) in client.iter().enumerate() {
        let ends = client_ends(row);
        let found = by_request.remove(&(ends, row.connect_start_ns, row.ordinal));
        let cause = match found {
            Some(_) if !row.measured => continue,
            Some(kernel_index) if is_complete(&kernel[kernel_index]) || !row.is_ok() => {
                result.pairs.push(Pair {
                    client: index,
                    kernel: kernel_index,
                });
                continue;
            }
            Some(_) => Missing::Incomplete,
            None if row.connect_start_ns < recorded_ns.0.saturating_add(clock_bound_ns) => {
                Missing::Before
            }
            None if row.end_ns.saturating_add(clock_bound_ns) > recorded_ns.1 => Missing::After,
            None if connections.contains(&(ends, row.connect_start_ns)) => Missing::Request,
            None => Missing::Connection,
        };
        if row.measured && row.is_ok() {
            *result.missing.entry(cause).or_default() += 1;
        }
    }
    for index in ownerless.into_iter().chain(by_request.into_values()) {
        let cause = if own_ports.contains(&kernel[index].remote_port) {
            KernelOnly::Observer
        } else {
            KernelOnly::Other
        };
        *result.kernel_only.entry(cause).or_default() += 1;
    }
    result
}

fn is_complete(row: &KernelRow) -> bool {
    row.pickup_ns != 0 && row.last_send_ns != 0
}

impl Join {
    /// Successful requests that were not joined.
    #[must_use]
    pub fn missing_count(&self) -> u64 {
        self.missing.values().sum()
    }

    /// Requests that the kernel saw and neither the client nor the observer knows of.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.kernel_only
            .get(&KernelOnly::Other)
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16, connect_ns: u64, ordinal: u32) -> ClientRow {
        ClientRow {
            measured: true,
            local_addr: "127.0.0.1".into(),
            local_port: port,
            remote_addr: "127.0.0.1".into(),
            remote_port: 80,
            connect_start_ns: connect_ns,
            ordinal,
            end_ns: connect_ns + 8,
            outcome: "ok".into(),
            ..ClientRow::default()
        }
    }

    fn kernel(port: u16, established_ns: u64, ordinal: u32) -> KernelRow {
        KernelRow {
            local_addr: "127.0.0.1".into(),
            local_port: 80,
            remote_addr: "127.0.0.1".into(),
            remote_port: port,
            established_ns,
            ordinal,
            pickup_ns: established_ns + 1,
            last_send_ns: established_ns + 2,
            ..KernelRow::default()
        }
    }

    fn joined(client: &[ClientRow], kernel: &[KernelRow]) -> Join {
        join(client, kernel, &HashSet::new(), (0, u64::MAX), 0)
    }

    #[test]
    fn requests_of_one_connection_are_joined_by_ordinal_in_any_order() {
        let clients = [client(1000, 10, 0), client(1000, 10, 1)];
        let kernels = [kernel(1000, 15, 1), kernel(1000, 15, 0)];
        let result = joined(&clients, &kernels);
        assert_eq!(
            result.pairs,
            [
                Pair {
                    client: 0,
                    kernel: 1
                },
                Pair {
                    client: 1,
                    kernel: 0
                }
            ]
        );
        assert_eq!(result.missing_count(), 0);
        assert!(result.kernel_only.is_empty());
    }

    #[test]
    fn a_port_used_again_belongs_to_the_later_connection() {
        let clients = [client(1000, 10, 0), client(1000, 100, 0)];
        let kernels = [kernel(1000, 105, 0), kernel(1000, 12, 0)];
        let result = joined(&clients, &kernels);
        assert_eq!(
            result.pairs,
            [
                Pair {
                    client: 0,
                    kernel: 1
                },
                Pair {
                    client: 1,
                    kernel: 0
                }
            ]
        );
    }

    #[test]
    fn a_port_used_again_by_the_observer_itself_is_not_taken_for_the_client() {
        let clients = [client(1000, 10, 0)];
        // The observer's connection comes after the client's has ended.
        let kernels = [kernel(1000, 12, 0), kernel(1000, 40, 0)];
        let result = join(&clients, &kernels, &HashSet::from([1000]), (0, u64::MAX), 0);
        assert_eq!(
            result.pairs,
            [Pair {
                client: 0,
                kernel: 0
            }]
        );
        assert_eq!(
            result.kernel_only,
            BTreeMap::from([(KernelOnly::Observer, 1)])
        );
    }

    #[test]
    fn a_request_that_the_kernel_did_not_see_is_missing_by_cause() {
        let mut unanswered = kernel(3000, 31, 0);
        unanswered.last_send_ns = 0;
        let clients = [
            client(1000, 10, 0),
            client(2000, 20, 1),
            client(3000, 30, 0),
        ];
        let kernels = [kernel(2000, 21, 0), unanswered];
        let result = joined(&clients, &kernels);
        assert!(result.pairs.is_empty());
        assert_eq!(
            result.missing,
            BTreeMap::from([
                (Missing::Connection, 1),
                (Missing::Request, 1),
                (Missing::Incomplete, 1)
            ])
        );
        // The kernel's request 0 of port 2000 has no client row.
        assert_eq!(result.kernel_only[&KernelOnly::Other], 1);
    }

    #[test]
    fn a_failed_request_is_never_missing_and_joined_when_it_can_be() {
        let mut failed = client(1000, 10, 0);
        failed.outcome = "timeout".into();
        let mut refused = client(2000, 10, 0);
        refused.outcome = "refused".into();
        let mut unanswered = kernel(1000, 12, 0);
        unanswered.pickup_ns = 0;
        let result = joined(&[failed, refused], &[unanswered]);
        assert_eq!(result.pairs.len(), 1);
        assert_eq!(result.missing_count(), 0);
    }

    #[test]
    fn the_observers_own_requests_are_told_apart_from_strangers() {
        let kernels = [kernel(5000, 1, 0), kernel(6000, 1, 0)];
        let result = join(&[], &kernels, &HashSet::from([5000]), (0, u64::MAX), 0);
        assert_eq!(
            result.kernel_only,
            BTreeMap::from([(KernelOnly::Observer, 1), (KernelOnly::Other, 1)])
        );
    }

    #[test]
    fn requests_of_slow_clients_are_neither_joined_nor_strangers() {
        let slow = ClientRow {
            measured: false,
            outcome: "held".into(),
            end_ns: 90,
            ..client(1000, 10, 0)
        };
        // What it had answered, and a record of its waiting for more; then the port used again.
        let kernels = [
            kernel(1000, 12, 0),
            kernel(1000, 12, 1),
            kernel(1000, 105, 0),
        ];
        let result = joined(&[slow, client(1000, 100, 0)], &kernels);
        assert_eq!(result.pairs.len(), 1);
        assert_eq!(result.kernel_only, BTreeMap::from([(KernelOnly::Held, 2)]));
        assert_eq!((result.missing_count(), result.strangers()), (0, 0));
    }

    #[test]
    fn warming_up_takes_its_kernel_rows_and_counts_for_nothing() {
        let warming = ClientRow {
            measured: false,
            ..client(1000, 10, 0)
        };
        let lost = ClientRow {
            measured: false,
            ..client(2000, 10, 0)
        };
        let result = joined(&[warming, lost], &[kernel(1000, 15, 0)]);
        assert_eq!(result, Join::default());
    }

    #[test]
    fn a_connection_established_before_the_client_began_is_not_its_own() {
        let result = joined(&[client(1000, 50, 0)], &[kernel(1000, 40, 0)]);
        assert!(result.pairs.is_empty());
        assert_eq!(result.missing[&Missing::Connection], 1);
        // Unless the clocks may be so far apart.
        let result = join(
            &[client(1000, 50, 0)],
            &[kernel(1000, 40, 0)],
            &HashSet::new(),
            (0, u64::MAX),
            10,
        );
        assert_eq!(result.pairs.len(), 1);
    }

    #[test]
    fn the_clients_own_requests_on_a_connection_that_stood_are_none_of_others() {
        let kept = |ordinal, sent_ns| ClientRow {
            sent_ns,
            end_ns: sent_ns + 8,
            ..client(1000, 10, ordinal)
        };
        // Recorded from 100 on, when one request had been answered.
        let clients = [kept(0, 20), kept(1, 120), client(2000, 110, 0)];
        let stood = |port, pickup_ns| KernelRow {
            established_ns: 0,
            pickup_ns,
            last_send_ns: pickup_ns + 2,
            ..kernel(port, 0, 0)
        };
        let ended = KernelRow {
            end_ns: 125,
            ..stood(1000, 0)
        };
        let others = stood(3000, 122);
        let kernels = [stood(1000, 122), ended, others, kernel(2000, 112, 0)];
        let result = join(&clients, &kernels, &HashSet::new(), (100, 900), 5);
        assert_eq!(result.pairs.len(), 1);
        assert_eq!(result.missing, BTreeMap::from([(Missing::Before, 2)]));
        assert_eq!(
            result.kernel_only,
            BTreeMap::from([(KernelOnly::Stood, 1), (KernelOnly::Other, 1)])
        );
        assert_eq!(result.strangers(), 1);
    }

    #[test]
    fn what_ended_after_the_recording_is_missing_for_that() {
        let clients = [client(1000, 110, 0), client(1000, 110, 1)];
        let result = join(
            &clients,
            &[kernel(1000, 112, 0)],
            &HashSet::new(),
            (100, 115),
            0,
        );
        assert_eq!(result.pairs.len(), 1);
        assert_eq!(result.missing, BTreeMap::from([(Missing::After, 1)]));
    }
}
