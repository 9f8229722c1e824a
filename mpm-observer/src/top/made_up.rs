//! Made-up records and looks for the tests of this stage.

use std::path::PathBuf;

use mpm_observer_common::{RecordKind, RequestRecord, TaskFlags, TaskRecord};

use crate::{
    httpd::{ProcessId, Role},
    live::{Look, Server, SlotState, TaskLook},
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
