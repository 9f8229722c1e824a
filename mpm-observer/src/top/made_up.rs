//! Made-up records and looks for the tests of this stage.

use std::path::PathBuf;

use mpm_observer_common::{
    FailureRecord, FailureSource, RecordKind, RequestRecord, TaskFlags, TaskRecord,
};

use super::Model;
use crate::{
    httpd::{ProcessId, Role},
    kernel::Record,
    live::{Look, QueueLook, Server, SlotState, TaskLook},
    scenario::Mpm,
};

/// A request that took so long, all of it on a CPU.
pub(super) fn answered(length_ns: u64) -> RequestRecord {
    RequestRecord {
        kind: RecordKind::Request as u32,
        arrival_ns: 1_000,
        pickup_ns: 1_000,
        first_send_ns: 1_000 + length_ns,
        last_send_ns: 1_000 + length_ns,
        on_cpu_ns: length_ns,
        recvs: 1,
        sends: 1,
        ..RequestRecord::default()
    }
}

/// An idle worker.
pub(super) fn task(pid: u32) -> TaskLook {
    TaskLook {
        record: TaskRecord {
            kind: RecordKind::Task as u32,
            flags: TaskFlags::THREAD,
            pid,
            tgid: 1,
            created_ns: 5,
            ..TaskRecord::default()
        },
        role: Role::Worker,
        slot: Some(SlotState::Idle),
        blocked_in: Some(1),
        since_ns: 5,
        client: None,
        request_since_ns: 0,
    }
}

/// A worker that holds a slot since then.
pub(super) fn busy(pid: u32, slot: SlotState, since_ns: u64) -> TaskLook {
    TaskLook {
        slot: Some(slot),
        since_ns,
        client: Some(([192, 0, 2, 1], pid as u16).into()),
        request_since_ns: since_ns,
        ..task(pid)
    }
}

/// A look at these tasks.
pub(super) fn look(at_ns: u64, tasks: Vec<TaskLook>) -> Look {
    Look {
        at_ns,
        tasks,
        ..Look::default()
    }
}

/// A server.
pub(super) fn server() -> Server {
    Server {
        process: ProcessId {
            pid: 4242,
            start_ticks: 1,
        },
        binary: PathBuf::from("/usr/sbin/apache2"),
        mpm: Mpm::Event,
        listens: vec![([127, 0, 0, 1], 8080).into()],
    }
}

const SECOND_NS: u64 = 1_000_000_000;
const MS_NS: u64 = 1_000_000;

/// A server with 16 slots, most of which are held, ten seconds of whose requests are known.
pub(super) fn whole_model() -> Model {
    let mut model = Model::new(Some(10 * SECOND_NS));
    model.begin(&server(), SECOND_NS);
    for number in 0..1_000 {
        let mut request = RequestRecord {
            queued_ns: 900,
            accepted_ns: 900 + number * 100,
            worker_free_ns: 1_000,
            ..answered(MS_NS / 2 + number * 1_000)
        };
        // Half of it on a CPU, half of it with a file.
        let half_ns = request.on_cpu_ns / 2;
        request.on_cpu_ns -= half_ns;
        request.blocked_ns[5] = half_ns;
        model.record(&Record::Request(request), 5 * SECOND_NS);
    }
    for _ in 0..3 {
        model.record(
            &Record::Failure(FailureRecord {
                kind: RecordKind::Failure as u32,
                source: FailureSource::QueueFull as u32,
                time_ns: 9 * SECOND_NS,
                queue_limit: 511,
                queue_length: 512,
                remote_port: 4001,
                ..FailureRecord::default()
            }),
            9 * SECOND_NS,
        );
    }
    for second in 2..=10 {
        let at_ns = second * SECOND_NS;
        let mut tasks: Vec<TaskLook> = (0..6)
            .map(|number| {
                let since_ns = at_ns - u64::from(number) * 300 * MS_NS;
                busy(100 + number, SlotState::KeepAlive, since_ns)
            })
            .collect();
        tasks.push(busy(200, SlotState::OnCpu, at_ns - 5_000));
        tasks.push(busy(201, SlotState::ReadingClient, at_ns - SECOND_NS / 2));
        tasks.push(busy(202, SlotState::Sending, SECOND_NS));
        tasks.extend((300..307).map(task));
        for task in &mut tasks {
            task.record.totals.requests = second * 10;
            task.record.totals.sched.voluntary = second * 13;
        }
        let mut look = look(at_ns, tasks);
        look.queues = vec![QueueLook {
            port: 80,
            length: 3,
            limit: 511,
        }];
        look.connections.open = 14;
        look.connections.serving = 3;
        look.connections.holding = 6;
        look.counters.conns_established = second * 5;
        look.effort.cpu_ns = second * 12 * MS_NS;
        model.look(&look);
    }
    model
}
