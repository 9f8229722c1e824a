//! Signals that end a process.

use mpm_observer::recording::FailureKind;
use nix::{
    libc,
    sys::signal::{Signal, kill},
    unistd::{Pid, gettid},
};

use super::failures::Followed;

#[test]
fn a_signal_of_another_process_has_its_sender() {
    let Some(followed) = Followed::workload("none") else {
        return;
    };
    let pid = followed.child.id();
    kill(Pid::from_raw(pid as libc::pid_t), Signal::SIGSEGV).unwrap();
    let rows = followed.end();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let row = &rows[0];
    assert_eq!((row.kind, row.signal), (FailureKind::Signal, 11));
    assert_eq!((row.pid, row.tid), (pid, pid));
    assert_eq!(row.by_tid, gettid().as_raw().unsigned_abs());
    assert!(!row.by_kernel);
}

#[test]
fn a_signal_for_a_fault_is_the_kernels() {
    let Some(followed) = Followed::workload("illegal") else {
        return;
    };
    let pid = followed.child.id();
    let rows = followed.run();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!((rows[0].signal, rows[0].pid), (4, pid));
    assert_eq!((rows[0].by_kernel, rows[0].by_tid), (true, 0));
}

#[test]
fn an_ordinary_stop_is_no_failure() {
    let Some(followed) = Followed::workload("none") else {
        return;
    };
    let pid = Pid::from_raw(followed.child.id() as libc::pid_t);
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(followed.end(), []);
}
