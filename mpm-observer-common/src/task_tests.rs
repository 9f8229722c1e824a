//! Made-up orders of a task's events.

use super::*;
use crate::record::SchedTotals;

const FUTEX: u32 = BlockedIn::Futex as u32;

fn sum(sched: &SchedTotals) -> u64 {
    let blocked: u64 = sched.blocked_ns.iter().sum();
    sched.on_cpu_ns + sched.woken_wait_ns + sched.preempted_ns + blocked
}

/// A task made at 1000 that runs at once.
fn running() -> TaskState {
    let mut task = TaskState::begin(1000);
    task.switch_in(1000);
    task
}

fn sched(task: &TaskState) -> &SchedTotals {
    &task.record.totals.sched
}

#[test]
fn a_new_tasks_wait_for_its_first_cpu_is_a_wait_for_a_cpu() {
    let mut task = TaskState::begin(1000);
    task.switch_in(1040);
    task.account(1100, 40);
    assert_eq!(sched(&task).woken_wait_ns, 40);
    assert_eq!(sched(&task).on_cpu_ns, 60);
    assert_eq!(sum(sched(&task)), 100);
}

#[test]
fn blocked_and_woken_are_told_apart_by_the_run_delay_of_the_kernel() {
    let mut task = running();
    task.switch_out(1010, 0, Some(FUTEX));
    task.switch_in(1110);
    task.account(1115, 30);
    assert_eq!(sched(&task).blocked_ns[FUTEX as usize], 70);
    assert_eq!(sched(&task).woken_wait_ns, 30);
    assert_eq!((task.woken_ns, task.running_ns), (1080, 1110));
    assert_eq!(sched(&task).voluntary, 1);
    assert_eq!(sum(sched(&task)), 115);
}

#[test]
fn a_wake_up_that_the_kernel_did_not_time_leaves_the_interval_blocked() {
    let mut task = running();
    task.switch_out(1010, 500, Some(FUTEX));
    task.switch_in(1110);
    // The run delay did not move, or even went back.
    task.account(1120, 400);
    assert_eq!(sched(&task).blocked_ns[FUTEX as usize], 100);
    assert_eq!(sched(&task).woken_wait_ns, 0);
    assert_eq!(task.woken_ns, 1110);
    assert_eq!(sum(sched(&task)), 120);
}

#[test]
fn a_task_woken_before_it_was_switched_out_waits_the_whole_interval() {
    let mut task = running();
    task.switch_out(1010, 0, Some(FUTEX));
    task.switch_in(1050);
    // The kernel timed the wait from before the switch on.
    task.account(1060, 45);
    assert_eq!(sched(&task).woken_wait_ns, 40);
    assert_eq!(sched(&task).blocked_ns[FUTEX as usize], 0);
    assert_eq!(task.woken_ns, 1010);
    assert_eq!(sum(sched(&task)), 60);
}

#[test]
fn preempted_right_after_the_wake_up_counts_to_both_waits() {
    let mut task = running();
    task.switch_out(1010, 0, Some(FUTEX));
    task.switch_in(1100);
    // 20 of the 90 waited for a CPU; at once it is preempted.
    task.switch_out(1100, 20, None);
    task.switch_in(1130);
    task.account(1140, 50);
    assert_eq!(sched(&task).blocked_ns[FUTEX as usize], 70);
    assert_eq!(sched(&task).woken_wait_ns, 20);
    assert_eq!(sched(&task).preempted_ns, 30);
    assert_eq!((sched(&task).voluntary, sched(&task).involuntary), (1, 1));
    assert_eq!(
        sched(&task).preempted_ns - task.preempted_base_ns,
        30,
        "preempted since it ran"
    );
    assert_eq!(sum(sched(&task)), 140);
}

#[test]
fn a_task_that_ends_while_it_was_blocked_is_woken_for_it() {
    let mut task = running();
    task.switch_out(1010, 0, Some(FUTEX));
    task.switch_in(2000);
    task.end(2005, 100, &KernelCounts::default());
    assert_eq!(sched(&task).blocked_ns[FUTEX as usize], 890);
    assert_eq!(sched(&task).woken_wait_ns, 100);
    assert_eq!(sum(sched(&task)), 1005);
    assert_eq!(task.record.exited_ns, 2005);
}

#[test]
fn events_at_the_same_instant_add_nothing() {
    let mut task = running();
    task.switch_out(1000, 0, Some(FUTEX));
    task.switch_in(1000);
    task.switch_out(1000, 0, None);
    task.switch_in(1000);
    task.account(1000, 0);
    assert_eq!(sum(sched(&task)), 0);
    assert_eq!((sched(&task).voluntary, sched(&task).involuntary), (1, 1));
}

#[test]
fn a_clock_that_is_behind_on_another_cpu_adds_nothing() {
    let mut task = running();
    task.switch_out(1010, 0, Some(FUTEX));
    task.switch_in(1005);
    task.account(1003, 0);
    assert_eq!(sum(sched(&task)), 10);
}

#[test]
fn a_lost_switch_out_is_not_taken_for_blocking() {
    let mut task = running();
    // The switch-out at, say, 1010 was not seen.
    task.switch_in(1100);
    task.account(1110, 0);
    // Off the CPU without a reason counts as preempted: the task was not seen to block.
    assert_eq!(sched(&task).preempted_ns, 100);
    assert_eq!(sum(sched(&task)), 110);
}

#[test]
fn a_lost_switch_in_is_made_up_from_the_kernels_arrival() {
    let mut task = running();
    // The scheduler's clock is 600 behind.
    task.arrive(1010, 400);
    task.switch_out(1010, 0, Some(FUTEX));
    // It got its CPU at 1110, after a wait of 30, and was not seen to.
    task.arrive(1150, 510);
    task.switch_out(1150, 30, None);
    assert_eq!(sched(&task).blocked_ns[FUTEX as usize], 70);
    assert_eq!(sched(&task).woken_wait_ns, 30);
    assert_eq!(sched(&task).on_cpu_ns, 50);
    assert_eq!((task.woken_ns, task.running_ns), (1080, 1110));
    // The same after a preemption.
    task.arrive(1200, 580);
    task.account(1200, 60);
    assert_eq!(sched(&task).preempted_ns, 30);
    assert_eq!(sched(&task).on_cpu_ns, 70);
    assert_eq!(sum(sched(&task)), 200);
}

#[test]
fn a_lost_switch_in_at_an_impossible_time_leaves_the_task_off_its_cpu() {
    for last_arrival_ns in [0, 400, 9000] {
        let mut task = running();
        task.arrive(1010, 400);
        task.switch_out(1010, 0, None);
        task.arrive(1150, last_arrival_ns);
        task.account(1150, 0);
        assert_eq!(sched(&task).preempted_ns, 140, "{last_arrival_ns}");
        assert_eq!(sum(sched(&task)), 150);
    }
}

#[test]
fn a_task_that_was_there_before_counts_from_its_base() {
    let mut task = TaskState::begin(5000);
    task.record.flags |= TaskFlags::BASE_WANTED;
    task.switch_in(5100);
    assert!(task.wants_base());
    let base = KernelCounts {
        voluntary: 10,
        involuntary: 20,
        faults_minor: 300,
        faults_major: 4,
    };
    task.set_base(base, 7_000);
    assert!(!task.wants_base());
    let later = KernelCounts {
        voluntary: 11,
        involuntary: 22,
        faults_minor: 333,
        faults_major: 4,
    };
    task.end(5200, 7_060, &later);
    assert_eq!(sched(&task).woken_wait_ns, 60);
    assert_eq!(sched(&task).on_cpu_ns, 100);
    let record = &task.record;
    assert_eq!((record.kernel_voluntary, record.kernel_involuntary), (1, 2));
    assert_eq!(
        (record.kernel_faults_minor, record.kernel_faults_major),
        (33, 0)
    );
}

#[test]
fn a_thread_id_used_again_begins_at_zero() {
    let mut task = running();
    task.switch_out(1010, 0, Some(FUTEX));
    task = TaskState::begin(9000);
    task.switch_in(9000);
    task.account(9010, 999);
    assert_eq!(sum(sched(&task)), 10);
    assert_eq!(sched(&task).voluntary, 0);
    assert_eq!(task.last_io_ns, 0);
}

#[test]
fn what_a_task_is_blocked_in_follows_from_state_and_call() {
    const INTERRUPTIBLE: u32 = 1;
    const KILLABLE: u32 = 0x102;
    let call = |kind: BlockedIn| Some(kind as u32);
    let cases = [
        (
            INTERRUPTIBLE,
            false,
            call(BlockedIn::Futex),
            BlockedIn::Futex,
        ),
        (INTERRUPTIBLE, false, call(BlockedIn::Poll), BlockedIn::Poll),
        (
            INTERRUPTIBLE,
            false,
            call(BlockedIn::Receive),
            BlockedIn::Receive,
        ),
        (INTERRUPTIBLE, false, None, BlockedIn::Other),
        (KILLABLE, true, call(BlockedIn::Receive), BlockedIn::File),
        (KILLABLE, true, call(BlockedIn::Other), BlockedIn::File),
        // A page of a mapped file that is being sent.
        (KILLABLE, true, call(BlockedIn::Send), BlockedIn::Fault),
        (TASK_UNINTERRUPTIBLE, true, None, BlockedIn::Fault),
        (
            TASK_UNINTERRUPTIBLE,
            false,
            call(BlockedIn::Other),
            BlockedIn::KernelLock,
        ),
        (TASK_UNINTERRUPTIBLE, false, None, BlockedIn::KernelLock),
        (4, false, call(BlockedIn::Sleep), BlockedIn::Stopped),
        (8, false, None, BlockedIn::Stopped),
    ];
    for (state, in_iowait, by_call, expected) in cases {
        assert_eq!(
            blocked_in(state, in_iowait, by_call),
            expected as u32,
            "{state:#x} {in_iowait} {by_call:?}"
        );
    }
}

#[test]
fn a_restarted_call_is_the_one_that_was_interrupted() {
    let mut task = running();
    assert_eq!(task.in_call(Some(FUTEX)), Some(FUTEX));
    assert_eq!(task.in_call(None), None);
    assert_eq!(task.in_call(Some(RESTARTED)), Some(FUTEX));
    assert_eq!(task.in_call(Some(RESTARTED)), Some(FUTEX));
}

#[test]
fn each_kind_of_blocking_is_at_its_number() {
    for (index, kind) in BlockedIn::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index);
    }
}

#[test]
fn what_executes_a_program_runs_another_one_unless_it_is_the_first_task() {
    assert_eq!(TaskFlags::after_exec(0), TaskFlags::OTHER_PROGRAM);
    assert_eq!(TaskFlags::after_exec(TaskFlags::FIRST), TaskFlags::FIRST);
}

#[test]
fn what_another_program_makes_is_of_that_program_too() {
    let (other, thread) = (TaskFlags::OTHER_PROGRAM, TaskFlags::THREAD);
    assert_eq!(TaskFlags::of_new(other, false), other);
    assert_eq!(TaskFlags::of_new(other, true), other | thread);
    // Nothing else is inherited.
    let httpds = TaskFlags::FIRST | TaskFlags::BASE_WANTED;
    assert_eq!(TaskFlags::of_new(httpds, false), 0);
    assert_eq!(TaskFlags::of_new(httpds, true), thread);
}
