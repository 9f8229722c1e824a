//! Made-up requests, seen from both sides.

use super::*;

fn client() -> ClientRow {
    ClientRow {
        start_ns: 100,
        connect_start_ns: 100,
        connected_ns: 130,
        sent_ns: 135,
        first_byte_ns: 985,
        last_byte_ns: 1000,
        loop_wake_ns: 980,
        ..ClientRow::default()
    }
}

fn kernel() -> KernelRow {
    KernelRow {
        established_ns: 150,
        queued_ns: 155,
        accepted_ns: 300,
        arrival_ns: 150,
        worker_free_ns: 310,
        worker_woken_ns: 340,
        worker_running_ns: 380,
        pickup_ns: 400,
        last_send_ns: 950,
        sends: 1,
        on_cpu_ns: 200,
        woken_wait_ns: 30,
        preempted_ns: 20,
        blocked_futex_ns: 100,
        blocked_poll_ns: 90,
        blocked_fault_ns: 80,
        client_reads_ns: 20,
        handover_ns: 10,
        ..KernelRow::default()
    }
}

fn lengths(phases: &Phases) -> Vec<(Phase, u64)> {
    Phase::ALL
        .into_iter()
        .map(|phase| (phase, phases.get(phase)))
        .filter(|(_, length_ns)| *length_ns > 0)
        .collect()
}

#[test]
fn the_time_from_due_to_begin_is_a_phase_of_its_own_and_part_of_the_wall_time() {
    let due = ClientRow {
        intended_ns: 30,
        ..client()
    };
    let (late, punctual) = (phases(&due, &kernel()), phases(&client(), &kernel()));
    assert_eq!(late.get(Phase::LateStart), 70);
    assert_eq!((late.wall_ns, late.residual_ns()), (970, 0));
    // A row without a time at which it was due was due when it began.
    assert_eq!(punctual.get(Phase::LateStart), 0);
    assert_eq!(punctual.wall_ns, 900);
}

#[test]
fn the_phases_of_a_first_request_sum_to_its_wall_time() {
    let phases = phases(&client(), &kernel());
    assert_eq!(
        lengths(&phases),
        [
            (Phase::Connect, 30),
            (Phase::ClientDelay, 5),
            (Phase::ToServer, 15),
            (Phase::AcceptQueue, 150),
            (Phase::NoFreeWorker, 10),
            (Phase::HandOff, 50),
            (Phase::WorkerRunQueue, 40),
            (Phase::OnCpu, 200),
            (Phase::Woken, 30),
            (Phase::Preempted, 20),
            (Phase::Futex, 100),
            (Phase::Poll, 90),
            (Phase::PageFault, 80),
            (Phase::ClientReads, 20),
            (Phase::Handover, 10),
            (Phase::ToClient, 30),
            (Phase::InClient, 20),
        ]
    );
    assert_eq!(phases.wall_ns, 900);
    assert_eq!(phases.residual_ns(), 0);
    assert_eq!(phases.longest(), (Phase::OnCpu, 200));
}

#[test]
fn each_phase_is_at_its_number() {
    for (index, phase) in Phase::ALL.into_iter().enumerate() {
        assert_eq!(phase as usize, index);
    }
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
    assert_eq!(phases.get(Phase::NoFreeWorker), 160);
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
    assert_eq!(phases.get(Phase::NoFreeWorker), 160);
    assert_eq!(phases.residual_ns(), 0);
}

/// Accepted at 300, picked up at 400: how those 100 are split.
fn split(free_ns: u64, woken_ns: u64, running_ns: u64, preempted_ns: u64) -> [u64; 3] {
    let kernel = KernelRow {
        worker_free_ns: free_ns,
        worker_woken_ns: woken_ns,
        worker_running_ns: running_ns,
        worker_preempted_ns: preempted_ns,
        ..kernel()
    };
    let phases = phases(&client(), &kernel);
    let split =
        [Phase::NoFreeWorker, Phase::HandOff, Phase::WorkerRunQueue].map(|phase| phases.get(phase));
    assert_eq!(split.iter().sum::<u64>(), 100);
    split
}

#[test]
fn slot_wait_is_split_by_what_the_worker_did_meanwhile() {
    // Idle for long, woken by the listener after 60, on a CPU 15 later.
    assert_eq!(split(90, 360, 375, 0), [0, 85, 15]);
    // Idle, and preempted for 10 on its way to the read.
    assert_eq!(split(90, 360, 375, 10), [0, 75, 25]);
    // Busy with another request until 395, and not switched out since.
    assert_eq!(split(395, 200, 210, 0), [95, 5, 0]);
    // Busy, then blocked until the listener found it.
    assert_eq!(split(320, 350, 390, 0), [20, 40, 40]);
    // Busy to the last: the times of its last wake-up are those of another request.
    assert_eq!(split(400, 350, 390, 9), [100, 0, 0]);
    // It was woken before the connection was accepted, as a child that waits in accept is.
    assert_eq!(split(90, 250, 290, 0), [0, 100, 0]);
    // Woken before, and on a CPU only after.
    assert_eq!(split(90, 250, 330, 0), [0, 70, 30]);
    // Nothing known of its wake-ups.
    assert_eq!(split(0, 0, 0, 0), [0, 100, 0]);
    // More preempted than there is room for: part of it was another request's.
    assert_eq!(split(90, 360, 375, 999), [0, 60, 40]);
}

#[test]
fn what_the_server_does_after_the_clients_last_byte_is_not_the_requests() {
    let kernel = KernelRow {
        last_send_ns: 1020,
        on_cpu_ns: 270,
        ..kernel()
    };
    let phases = phases(&client(), &kernel);
    assert_eq!(phases.get(Phase::OnCpu), 250);
    assert_eq!(phases.get(Phase::ToClient), 0);
    assert_eq!(phases.residual_ns(), 0);
}

#[test]
fn an_overlap_longer_than_the_servers_last_call_stays_as_residual() {
    let kernel = KernelRow {
        last_send_ns: 1300,
        on_cpu_ns: 200,
        preempted_ns: 70,
        blocked_futex_ns: 400,
        ..kernel()
    };
    let phases = phases(&client(), &kernel);
    assert_eq!(phases.get(Phase::OnCpu), 0);
    assert_eq!(phases.get(Phase::Preempted), 0);
    assert_eq!(phases.residual_ns(), -30);
    assert!((phases.residual_share() - 30.0 / 900.0).abs() < 1e-12);
}

#[test]
fn what_the_client_does_with_an_answer_in_parts_is_told_only_if_it_looked_after_the_last() {
    let in_parts = |loop_wake_ns| {
        let client = ClientRow {
            loop_wake_ns,
            ..client()
        };
        let kernel = KernelRow {
            sends: 3,
            ..kernel()
        };
        let phases = phases(&client, &kernel);
        assert_eq!(phases.residual_ns(), 0);
        (phases.get(Phase::ToClient), phases.get(Phase::InClient))
    };
    assert_eq!(in_parts(700), (50, 0));
    assert_eq!(in_parts(980), (30, 20));
}

#[test]
fn an_answer_in_one_part_that_the_client_was_awake_for_waited_for_the_client() {
    let client = ClientRow {
        loop_wake_ns: 940,
        ..client()
    };
    let phases = phases(&client, &kernel());
    assert_eq!(phases.get(Phase::ToClient), 0);
    assert_eq!(phases.get(Phase::InClient), 50);
}
