//! The phases of the server's part of a request, by the names that collectors get.

use crate::correlate::Phase;

/// The phases and their names, in the order of time.
pub const PHASES: [(Phase, &str); 20] = [
    (Phase::AcceptQueue, "accept_queue"),
    (Phase::NoFreeWorker, "no_free_worker"),
    (Phase::HandOff, "hand_off"),
    (Phase::WorkerRunQueue, "worker_run_queue"),
    (Phase::OnCpu, "on_cpu"),
    (Phase::Woken, "woken"),
    (Phase::Preempted, "preempted"),
    (Phase::Futex, "futex"),
    (Phase::Poll, "poll"),
    (Phase::Send, "socket_send"),
    (Phase::Receive, "socket_receive"),
    (Phase::FileRead, "file_read"),
    (Phase::PageFault, "page_fault"),
    (Phase::Sleep, "sleep"),
    (Phase::Stopped, "stopped"),
    (Phase::KernelLock, "kernel_lock"),
    (Phase::Other, "other"),
    (Phase::ClientSends, "client_sends"),
    (Phase::ClientReads, "client_reads"),
    (Phase::Handover, "between_tasks"),
];
