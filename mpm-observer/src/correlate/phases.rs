//! Where a request's time went, from the client's begin to its last byte.
//!
//! ```text
//! client   start ─ connected ─ sent                                              last byte
//! kernel                          arrival ─ accept ─ pick-up ─ … ─ last send
//! phase    connect│client     │to server│accept   │slot     │serving    │to client
//!                                         queue     wait
//! ```
//!
//! A request that met a stale keep-alive connection begins with that attempt.

use crate::recording::{ClientRow, KernelRow};

/// A part of a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// An attempt on a kept connection that the server had closed (retries).
    StaleAttempt,
    /// The client connects (first request of a connection).
    Connect,
    /// Connected, and the request not yet written: the client's own delay.
    ClientDelay,
    /// From the client's write to the arrival at the server's socket.
    ToServer,
    /// In the accept queue (first request of a connection).
    AcceptQueue,
    /// Arrived, accepted, and no task has read it yet.
    SlotWait,
    /// A task serves it and runs.
    OnCpu,
    /// A task serves it, is woken or preempted, and waits for a CPU.
    RunQueue,
    /// A task serves it and is blocked.
    Blocked,
    /// Between two tasks that serve it.
    Handover,
    /// From the last send to the client's last byte.
    ToClient,
}

impl Phase {
    /// All phases in the order of time.
    pub const ALL: [Self; 11] = [
        Self::StaleAttempt,
        Self::Connect,
        Self::ClientDelay,
        Self::ToServer,
        Self::AcceptQueue,
        Self::SlotWait,
        Self::OnCpu,
        Self::RunQueue,
        Self::Blocked,
        Self::Handover,
        Self::ToClient,
    ];

    /// Its name in tables and plots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StaleAttempt => "stale attempt",
            Self::Connect => "connect",
            Self::ClientDelay => "client delay",
            Self::ToServer => "to server",
            Self::AcceptQueue => "accept queue",
            Self::SlotWait => "slot wait",
            Self::OnCpu => "on CPU",
            Self::RunQueue => "run queue",
            Self::Blocked => "blocked",
            Self::Handover => "hand-over",
            Self::ToClient => "to client",
        }
    }
}

/// The phases of one request in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    by_phase: [u64; Phase::ALL.len()],
    /// From begin to last byte.
    pub wall_ns: u64,
}

impl Phases {
    /// Length of a phase.
    #[must_use]
    pub const fn get(&self, phase: Phase) -> u64 {
        self.by_phase[phase as usize]
    }

    /// Wall time minus the sum of the phases: what is not accounted for. Negative when both sides
    /// overlap, as when the client has the last byte before the server's send has returned.
    #[must_use]
    pub fn residual_ns(&self) -> i64 {
        let sum: u64 = self.by_phase.iter().sum();
        self.wall_ns.cast_signed() - sum.cast_signed()
    }
}

/// The phases of a request that was answered, joined from both sides.
#[must_use]
pub fn phases(client: &ClientRow, kernel: &KernelRow) -> Phases {
    let between = |from_ns: u64, to_ns: u64| to_ns.saturating_sub(from_ns);
    let first = kernel.ordinal == 0;
    // A connection may be accepted before or after its first bytes arrive.
    let accepted_ns = if first && kernel.accepted_ns != 0 {
        kernel
            .accepted_ns
            .clamp(kernel.arrival_ns, kernel.pickup_ns.max(kernel.arrival_ns))
    } else {
        kernel.arrival_ns
    };
    let mut phases = Phases {
        wall_ns: client.latency_ns(),
        ..Phases::default()
    };
    let mut set = |phase: Phase, length_ns: u64| phases.by_phase[phase as usize] = length_ns;
    if !client.reused {
        // A retry keeps the begin of its first attempt.
        let connect_ns = client.connect_start_ns.max(client.start_ns);
        set(Phase::StaleAttempt, between(client.start_ns, connect_ns));
        set(Phase::Connect, between(connect_ns, client.connected_ns));
        set(
            Phase::ClientDelay,
            between(client.connected_ns, client.sent_ns),
        );
    } else {
        set(Phase::ClientDelay, between(client.start_ns, client.sent_ns));
    }
    set(Phase::ToServer, between(client.sent_ns, kernel.arrival_ns));
    set(Phase::AcceptQueue, between(kernel.arrival_ns, accepted_ns));
    set(Phase::SlotWait, between(accepted_ns, kernel.pickup_ns));
    set(Phase::OnCpu, kernel.on_cpu_ns);
    set(Phase::RunQueue, kernel.woken_wait_ns + kernel.preempted_ns);
    set(Phase::Blocked, kernel.blocked_ns);
    set(Phase::Handover, kernel.handover_ns);
    set(
        Phase::ToClient,
        between(kernel.last_send_ns, client.last_byte_ns),
    );
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> ClientRow {
        ClientRow {
            start_ns: 100,
            connect_start_ns: 100,
            connected_ns: 130,
            sent_ns: 135,
            first_byte_ns: 900,
            last_byte_ns: 1000,
            ..ClientRow::default()
        }
    }

    fn kernel() -> KernelRow {
        KernelRow {
            established_ns: 150,
            queued_ns: 155,
            accepted_ns: 300,
            arrival_ns: 150,
            pickup_ns: 400,
            last_send_ns: 950,
            on_cpu_ns: 200,
            woken_wait_ns: 30,
            preempted_ns: 20,
            blocked_ns: 290,
            handover_ns: 10,
            ..KernelRow::default()
        }
    }

    #[test]
    fn the_phases_of_a_first_request_sum_to_its_wall_time() {
        let phases = phases(&client(), &kernel());
        let expected = [0, 30, 5, 15, 150, 100, 200, 50, 290, 10, 50];
        for (phase, length_ns) in Phase::ALL.into_iter().zip(expected) {
            assert_eq!(phases.get(phase), length_ns, "{}", phase.name());
        }
        assert_eq!(phases.wall_ns, 900);
        assert_eq!(phases.residual_ns(), 0);
    }

    #[test]
    fn a_later_request_waits_in_no_accept_queue_and_does_not_connect() {
        let client = ClientRow {
            reused: true,
            start_ns: 135,
            ..client()
        };
        let kernel = KernelRow {
            ordinal: 1,
            ..kernel()
        };
        let phases = phases(&client, &kernel);
        assert_eq!(phases.get(Phase::Connect), 0);
        assert_eq!(phases.get(Phase::AcceptQueue), 0);
        assert_eq!(phases.get(Phase::SlotWait), 250);
        assert_eq!(phases.residual_ns(), 0);
    }

    #[test]
    fn the_attempt_before_a_retry_is_not_taken_for_connecting() {
        let client = ClientRow {
            retried: true,
            start_ns: 60,
            ..client()
        };
        let phases = phases(&client, &kernel());
        assert_eq!(phases.get(Phase::StaleAttempt), 40);
        assert_eq!(phases.get(Phase::Connect), 30);
        assert_eq!(phases.residual_ns(), 0);
    }

    #[test]
    fn a_connection_accepted_before_its_bytes_came_spent_no_time_in_the_queue() {
        let kernel = KernelRow {
            accepted_ns: 140,
            ..kernel()
        };
        let phases = phases(&client(), &kernel);
        assert_eq!(phases.get(Phase::AcceptQueue), 0);
        assert_eq!(phases.get(Phase::SlotWait), 250);
        assert_eq!(phases.residual_ns(), 0);
    }

    #[test]
    fn an_overlap_of_both_sides_shows_as_a_negative_residual_not_as_a_negative_phase() {
        let kernel = KernelRow {
            last_send_ns: 1020,
            on_cpu_ns: 270,
            ..kernel()
        };
        let phases = phases(&client(), &kernel);
        assert_eq!(phases.get(Phase::ToClient), 0);
        assert_eq!(phases.residual_ns(), -20);
    }
}
