//! What the server's side alone tells of the requests: for live servers, whose clients may be
//! anywhere.

use super::{Phase, Phases, server_phases};
use crate::{recording::KernelRow, statistics::quantile};

/// Figures over requests; rows are added one by one, so that a long recording need not be in
/// memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSide {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that a task had begun to read and that were not answered when their connection,
    /// or the recording, ended.
    pub unanswered: u64,
    /// Answered ones that a loss touched, or that had begun before the recording; their times are
    /// not known.
    pub touched: u64,
    /// … of these, those that had begun before the recording.
    pub begun_before: u64,
    /// Connections whose first request is among them.
    pub connections: u64,
    /// Connections that stood before the recording began and had a request since.
    pub stood: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// From the arrival of each request to its last send, ns; ascending once finished.
    pub times_ns: Vec<u64>,
    /// Waits in the accept queue of all connections that were accepted, answered or not, ns;
    /// ascending once finished.
    pub accept_waits_ns: Vec<u64>,
    /// Waits for a CPU of each request, before it was read and while it was served, ns; ascending
    /// once finished.
    pub run_queue_waits_ns: Vec<u64>,
    /// Sum of each phase, ns, in the order of [`Phase::ALL`].
    pub by_phase_ns: Vec<u64>,
    /// Voluntary switches of the serving tasks.
    pub voluntary: u64,
    /// Involuntary ones.
    pub involuntary: u64,
    /// Minor page faults.
    pub faults_minor: u64,
    /// Major page faults.
    pub faults_major: u64,
}

impl ServerSide {
    /// Of these rows.
    #[must_use]
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a KernelRow>) -> Self {
        let mut side = Self::default();
        for row in rows {
            side.add(row);
        }
        side.finish();
        side
    }

    /// Adds a row.
    pub fn add(&mut self, row: &KernelRow) {
        self.bytes_out += row.bytes_out;
        // Of connections that stood before the recording began no begin was seen.
        self.connections += u64::from(row.ordinal == 0 && row.established_ns != 0);
        let stood = row.established_ns == 0;
        self.stood += u64::from(row.ordinal == 0 && stood && row.pickup_ns != 0);
        // Those that waited longest are those that nobody waited for: their clients had gone.
        if row.ordinal == 0 && row.queued_ns != 0 && row.accepted_ns != 0 {
            self.accept_waits_ns
                .push(row.accepted_ns.saturating_sub(row.queued_ns));
        }
        if row.pickup_ns == 0 || row.last_send_ns == 0 {
            self.unanswered += u64::from(row.pickup_ns != 0);
            return;
        }
        self.answered += 1;
        if !row.is_whole() {
            self.touched += 1;
            self.begun_before += u64::from(stood && !row.after_loss);
            return;
        }
        let phases = server_phases(row);
        self.times_ns.push(phases.wall_ns);
        self.add_phases(&phases);
        let run_queue = [Phase::WorkerRunQueue, Phase::Woken, Phase::Preempted];
        self.run_queue_waits_ns
            .push(run_queue.map(|phase| phases.get(phase)).iter().sum());
        self.voluntary += u64::from(row.voluntary);
        self.involuntary += u64::from(row.involuntary);
        self.faults_minor += u64::from(row.faults_minor);
        self.faults_major += u64::from(row.faults_major);
    }

    fn add_phases(&mut self, phases: &Phases) {
        self.by_phase_ns.resize(Phase::ALL.len(), 0);
        for (sum, phase) in self.by_phase_ns.iter_mut().zip(Phase::ALL) {
            *sum += phases.get(phase);
        }
    }

    /// Sorts what quantiles are taken from.
    pub fn finish(&mut self) {
        self.times_ns.sort_unstable();
        self.accept_waits_ns.sort_unstable();
        self.run_queue_waits_ns.sort_unstable();
    }

    /// The server's part that a share `q` of the requests did not exceed, ns.
    #[must_use]
    pub fn time_ns(&self, q: f64) -> Option<u64> {
        quantile(&self.times_ns, q)
    }

    /// The share of all requests' time that a phase has, 0 to 1.
    #[must_use]
    pub fn share(&self, phase: Phase) -> f64 {
        let all: u64 = self.by_phase_ns.iter().sum();
        let of_phase = self.by_phase_ns.get(phase as usize).copied().unwrap_or(0);
        match all {
            0 => 0.0,
            all => of_phase as f64 / all as f64,
        }
    }

    /// What the requests waited in most, all together: the longest phase in which no task ran.
    /// `None` if they waited in nothing.
    #[must_use]
    pub fn longest_wait(&self) -> Option<Phase> {
        let sum = |phase: &Phase| self.by_phase_ns.get(*phase as usize).copied().unwrap_or(0);
        Phase::ALL
            .into_iter()
            .filter(|phase| *phase != Phase::OnCpu && sum(phase) > 0)
            .max_by_key(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arrival_ns: u64, took_ns: u64) -> KernelRow {
        KernelRow {
            arrival_ns,
            established_ns: arrival_ns - 20,
            queued_ns: arrival_ns - 10,
            accepted_ns: arrival_ns + 30,
            pickup_ns: arrival_ns + 50,
            worker_free_ns: arrival_ns + 50,
            last_send_ns: arrival_ns + took_ns,
            on_cpu_ns: took_ns - 50,
            voluntary: 2,
            bytes_out: 7,
            ..KernelRow::default()
        }
    }

    #[test]
    fn what_was_answered_is_counted_and_what_a_loss_touched_is_in_no_figure() {
        let lost = KernelRow {
            after_loss: true,
            ordinal: 3,
            ..request(500, 90)
        };
        let unanswered = KernelRow {
            pickup_ns: 5,
            ..KernelRow::default()
        };
        // A connection that was closed without a request.
        let silent = KernelRow::default();
        let rows = [
            request(100, 200),
            request(300, 100),
            lost,
            unanswered,
            silent,
        ];
        let side = ServerSide::of(&rows);
        assert_eq!((side.answered, side.unanswered, side.touched), (3, 1, 1));
        assert_eq!(side.times_ns, [100, 200]);
        assert_eq!(side.accept_waits_ns, [40, 40]);
        assert_eq!((side.voluntary, side.bytes_out), (4, 21));
        assert_eq!(side.connections, 2);
        assert_eq!(side.time_ns(0.99), Some(200));
    }

    #[test]
    fn a_connection_that_was_not_answered_waited_in_the_accept_queue_too() {
        let given_up = KernelRow {
            last_send_ns: 0,
            accepted_ns: 8_000,
            ..request(500, 90)
        };
        let never_read = KernelRow {
            pickup_ns: 0,
            ..given_up.clone()
        };
        let never_accepted = KernelRow {
            accepted_ns: 0,
            ..never_read.clone()
        };
        let side = ServerSide::of(&[request(100, 200), given_up, never_read, never_accepted]);
        assert_eq!(side.accept_waits_ns, [40, 7510, 7510]);
        assert_eq!((side.answered, side.unanswered), (1, 1));
        assert_eq!(side.times_ns, [200]);
    }

    #[test]
    fn a_connection_that_stood_is_counted_apart_and_its_begun_request_has_no_time() {
        let stood = |ordinal, pickup_ns| KernelRow {
            established_ns: 0,
            queued_ns: 0,
            accepted_ns: 0,
            ordinal,
            pickup_ns,
            no_arrival: ordinal == 0,
            ..request(100, 200)
        };
        // The last one ended without a further request.
        let side = ServerSide::of(&[stood(0, 150), stood(1, 150), request(500, 90), stood(0, 0)]);
        assert_eq!((side.connections, side.stood), (1, 1));
        assert_eq!((side.answered, side.touched, side.begun_before), (3, 1, 1));
        assert_eq!(side.accept_waits_ns, [40]);
        let lost = KernelRow {
            after_loss: true,
            ..stood(3, 150)
        };
        let side = ServerSide::of(&[lost]);
        assert_eq!((side.touched, side.begun_before), (1, 0));
    }

    #[test]
    fn waiting_for_a_cpu_before_the_read_is_waiting_in_the_run_queue() {
        // Woken 60 after the arrival, it runs 30 later, and reads.
        let row = KernelRow {
            worker_free_ns: 1_000,
            worker_woken_ns: 1_060,
            worker_running_ns: 1_090,
            pickup_ns: 1_100,
            woken_wait_ns: 5,
            preempted_ns: 2,
            ..request(1_000, 400)
        };
        assert_eq!(ServerSide::of(&[row]).run_queue_waits_ns, [37]);
    }

    #[test]
    fn the_longest_wait_is_no_work() {
        let side = ServerSide::of(&[request(100, 5000)]);
        assert_eq!(side.longest_wait(), Some(Phase::AcceptQueue));
        assert!(side.share(Phase::OnCpu) > 0.9);
        assert_eq!(ServerSide::default().longest_wait(), None);
        assert!(ServerSide::default().share(Phase::OnCpu) < f64::EPSILON);
    }
}
