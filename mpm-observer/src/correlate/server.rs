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
    /// Answered ones that a loss touched, or that had begun before the recording; they are in no
    /// figure below.
    pub touched: u64,
    /// Connections whose first request is among them.
    pub connections: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// From the arrival of each request to its last send, ns; ascending once finished.
    pub times_ns: Vec<u64>,
    /// Waits of connections in the accept queue, ns; ascending once finished.
    pub accept_waits_ns: Vec<u64>,
    /// Waits for a CPU of each request, ns; ascending once finished.
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
        if row.pickup_ns == 0 || row.last_send_ns == 0 {
            self.unanswered += u64::from(row.pickup_ns != 0);
            return;
        }
        self.answered += 1;
        if !row.is_whole() {
            self.touched += 1;
            return;
        }
        let phases = server_phases(row);
        self.times_ns.push(phases.wall_ns);
        self.add_phases(&phases);
        if row.ordinal == 0 && row.accepted_ns != 0 {
            self.accept_waits_ns
                .push(row.accepted_ns.saturating_sub(row.queued_ns));
        }
        self.run_queue_waits_ns
            .push(row.woken_wait_ns + row.preempted_ns);
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
    fn the_longest_wait_is_no_work() {
        let side = ServerSide::of(&[request(100, 5000)]);
        assert_eq!(side.longest_wait(), Some(Phase::AcceptQueue));
        assert!(side.share(Phase::OnCpu) > 0.9);
        assert_eq!(ServerSide::default().longest_wait(), None);
        assert!(ServerSide::default().share(Phase::OnCpu) < f64::EPSILON);
    }
}
