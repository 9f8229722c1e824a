//! The state machine of a connection and the request that is current on it.
//!
//! A request begins when bytes arrive on a connection whose last request was answered, and ends
//! with the last send before the next one is read or the connection ends. So a request that comes
//! in parts is one, and requests that a client sends before it has the last answer (pipelining)
//! count as one when they are read together. Keep-alive waiting lies between two requests.

use crate::{
    record::{BlockedIn, RequestFlags, RequestRecord, SchedTotals},
    task::TaskState,
    words::{self, zero},
};

/// One live connection of the server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnState {
    /// When bytes arrived that no task has read: those of the next request, if the current one
    /// was answered by then.
    pub unread_since_ns: u64,
    /// Zero. Arrivals are written by the CPU that receives; all else by the one that serves. They
    /// share no cache line.
    pub apart: [u64; 7],
    /// The current request, ready to be emitted.
    pub request: RequestRecord,
    /// Until when the current request's time has been counted.
    pub counted_ns: u64,
    /// Totals of [`ConnState::base_task`] at that moment.
    pub base: SchedTotals,
    /// `min_flt` of it at that moment.
    pub base_faults_minor: u64,
    /// `maj_flt` of it at that moment.
    pub base_faults_major: u64,
    /// When that task was made: thread ids recur.
    pub base_created_ns: u64,
    /// The task that worked on the connection last.
    pub base_task: u32,
    /// 1: the last send left the socket's send buffer full.
    pub full: u32,
}

/// A task of the server at the moment of a read or send, its totals up to date.
pub struct Worker<'a> {
    /// Its thread id.
    pub pid: u32,
    /// Now.
    pub now_ns: u64,
    /// Its `min_flt`.
    pub faults_minor: u64,
    /// Its `maj_flt`.
    pub faults_major: u64,
    /// Its state.
    pub task: &'a TaskState,
}

/// Who keeps a request from going on while its task polls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brake {
    /// The server itself, or somebody it asked.
    Server,
    /// The client, which has not sent all of the request.
    ClientSends,
    /// The client, which has not read what was sent.
    ClientReads,
}

impl ConnState {
    /// A connection of which nothing is known.
    // SAFETY: plain integers.
    pub const EMPTY: Self = unsafe { core::mem::zeroed() };

    /// Bytes have arrived.
    #[inline(always)]
    pub fn arrived(&mut self, now_ns: u64) {
        if self.unread_since_ns == 0 {
            self.unread_since_ns = now_ns;
        }
    }

    /// Whether bytes that are read now belong to a further request: the current one, which was
    /// answered, is to be emitted then, and [`ConnState::next_request`] called.
    #[inline(always)]
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.request.pickup_ns != 0 && self.request.sends != 0
    }

    /// Whether a request is current that a task has read.
    #[inline(always)]
    #[must_use]
    pub fn is_picked_up(&self) -> bool {
        self.request.pickup_ns != 0
    }

    /// Whether bytes of a further request, or of the first one, have arrived and nobody has read
    /// them. Bytes that came before the current one was answered are its own.
    #[inline(always)]
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.unread_since_ns != 0 && (!self.is_picked_up() || self.is_answered())
    }

    /// Makes a request that nobody has read the current one; false if there is none.
    #[inline(always)]
    pub fn take_unread(&mut self) -> bool {
        let unread = self.has_unread();
        if unread {
            if self.is_picked_up() {
                self.next_request();
            }
            self.request.arrival_ns = self.unread_since_ns;
        }
        unread
    }

    /// `worker` has read `bytes` of the current request; true if it picked it up with that.
    #[inline(always)]
    pub fn read(&mut self, worker: &Worker<'_>, bytes: u64) -> bool {
        let picked_up = !self.is_picked_up();
        if picked_up {
            self.pick_up(worker);
        } else {
            self.count_work(worker, Brake::ClientSends);
        }
        // Bytes that came while the request was incomplete belonged to it.
        self.unread_since_ns = 0;
        self.request.bytes_in += bytes;
        self.request.recvs += 1;
        picked_up
    }

    /// `worker` has sent `bytes` of the answer; `full` if the socket takes no more now. Zero
    /// bytes: it would have, but the socket was full.
    #[inline(always)]
    pub fn sent(&mut self, worker: &Worker<'_>, bytes: u64, full: bool) {
        if !self.is_picked_up() {
            return;
        }
        let brake = if self.full == 0 {
            Brake::Server
        } else {
            Brake::ClientReads
        };
        self.count_work(worker, brake);
        self.full = u32::from(full);
        if bytes == 0 {
            return;
        }
        let request = &mut self.request;
        request.last_task = worker.pid;
        request.last_send_ns = worker.now_ns;
        if request.sends == 0 {
            request.first_send_ns = worker.now_ns;
        }
        request.sends += 1;
        request.bytes_out += bytes;
    }

    /// Clears what belonged to the request that was emitted; what belongs to the connection
    /// stays. Field by field: a program's stack has no room for a second record. The tail is zero
    /// already if the record was short.
    #[inline(always)]
    pub fn next_request(&mut self) {
        let request = &mut self.request;
        if !request.is_short() {
            words::clear(&mut request.blocked_ns);
            zero!(
                request.handover_ns,
                request.client_sends_ns,
                request.client_reads_ns,
            );
        }
        request.ordinal += 1;
        zero!(
            request.arrival_ns,
            request.pickup_ns,
            request.first_send_ns,
            request.last_send_ns,
            request.end_ns,
            request.bytes_in,
            request.bytes_out,
            request.on_cpu_ns,
            request.woken_wait_ns,
            request.preempted_ns,
            request.worker_free_ns,
            request.worker_woken_ns,
            request.worker_running_ns,
            request.worker_preempted_ns,
            request.first_task,
            request.last_task,
            request.handovers,
            request.recvs,
            request.sends,
            request.voluntary,
            request.involuntary,
            request.faults_minor,
            request.faults_major,
        );
        self.full = 0;
    }

    #[inline(always)]
    fn pick_up(&mut self, worker: &Worker<'_>) {
        let request = &mut self.request;
        let task = worker.task;
        request.pickup_ns = worker.now_ns;
        request.first_task = worker.pid;
        request.worker_free_ns = task.last_io_ns;
        request.worker_woken_ns = task.woken_ns;
        request.worker_running_ns = task.running_ns;
        request.worker_preempted_ns =
            task.record.totals.sched.preempted_ns - task.preempted_base_ns;
        request.arrival_ns = self.unread_since_ns;
        if request.arrival_ns == 0 {
            request.arrival_ns = worker.now_ns;
            request.flags |= RequestFlags::NO_ARRIVAL;
        }
        self.base.copy_from(&worker.task.record.totals.sched);
        self.set_base(worker);
    }

    /// Makes `worker` the task whose further time counts to the request; all but its totals.
    #[inline(always)]
    fn set_base(&mut self, worker: &Worker<'_>) {
        self.base_task = worker.pid;
        self.base_created_ns = worker.task.record.created_ns;
        self.base_faults_minor = worker.faults_minor;
        self.base_faults_major = worker.faults_major;
        self.counted_ns = worker.now_ns;
    }

    /// Adds what the serving task did since the last time, or, when another task has taken over,
    /// the time between.
    #[inline(always)]
    fn count_work(&mut self, worker: &Worker<'_>, brake: Brake) {
        let request = &mut self.request;
        let same_task =
            self.base_task == worker.pid && self.base_created_ns == worker.task.record.created_ns;
        if same_task {
            let now = &worker.task.record.totals.sched;
            let base = &self.base;
            request.on_cpu_ns += now.on_cpu_ns - base.on_cpu_ns;
            request.woken_wait_ns += now.woken_wait_ns - base.woken_wait_ns;
            request.preempted_ns += now.preempted_ns - base.preempted_ns;
            request.voluntary += (now.voluntary - base.voluntary) as u32;
            request.involuntary += (now.involuntary - base.involuntary) as u32;
            // Without a voluntary switch it was not blocked.
            if now.voluntary != base.voluntary {
                for kind in 0..BlockedIn::COUNT {
                    request.blocked_ns[kind] += now.blocked_ns[kind] - base.blocked_ns[kind];
                }
                let poll = BlockedIn::Poll as usize;
                let polled_ns = now.blocked_ns[poll] - base.blocked_ns[poll];
                match brake {
                    Brake::Server => {}
                    Brake::ClientSends => {
                        request.blocked_ns[poll] -= polled_ns;
                        request.client_sends_ns += polled_ns;
                    }
                    Brake::ClientReads => {
                        request.blocked_ns[poll] -= polled_ns;
                        request.client_reads_ns += polled_ns;
                    }
                }
                words::copy(&mut self.base.blocked_ns, &now.blocked_ns);
            }
            self.base.copy_times_from(now);
            request.faults_minor += (worker.faults_minor - self.base_faults_minor) as u32;
            request.faults_major += (worker.faults_major - self.base_faults_major) as u32;
        } else {
            let between_ns = worker.now_ns.saturating_sub(self.counted_ns);
            match brake {
                Brake::Server => request.handover_ns += between_ns,
                Brake::ClientSends => request.client_sends_ns += between_ns,
                Brake::ClientReads => request.client_reads_ns += between_ns,
            }
            request.handovers += 1;
            self.base.copy_from(&worker.task.record.totals.sched);
        }
        self.set_base(worker);
    }
}

#[cfg(test)]
#[path = "conn_tests.rs"]
mod tests;
