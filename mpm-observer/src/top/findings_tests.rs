use mpm_observer_common::{FailureRecord, FailureSource, RecordKind, TaskRecord};
use nix::libc;

use super::*;
use crate::{
    findings::rules::RULES,
    live::QueueLook,
    top::made_up::{busy, look, task},
};

const SECOND_NS: u64 = 1_000_000_000;

fn failure(source: FailureSource) -> FailureRecord {
    FailureRecord {
        kind: RecordKind::Failure as u32,
        source: source as u32,
        time_ns: SECOND_NS,
        pid: 7,
        tgid: 6,
        ..FailureRecord::default()
    }
}

fn told(minute: &Minute) -> Vec<(&'static str, String, String)> {
    findings(minute, 3 * SECOND_NS, 0)
        .into_iter()
        .map(|found| (found.rule, found.text, found.evidence))
        .collect()
}

#[test]
fn nothing_is_told_of_a_server_that_nothing_is_wrong_with() {
    let mut minute = Minute::default();
    minute.look(&look(
        SECOND_NS,
        vec![task(1), busy(2, SlotState::OnCpu, 5)],
    ));
    assert_eq!(told(&minute), []);
}

#[test]
fn slots_that_are_taken_are_told_with_what_takes_them_and_who_waits() {
    let mut minute = Minute::default();
    for second in 1..=4 {
        let slots = match second {
            1 => vec![task(1), task(2), task(3)],
            _ => vec![
                busy(1, SlotState::KeepAlive, 5),
                busy(2, SlotState::KeepAlive, 5),
                busy(3, SlotState::OnCpu, 5),
            ],
        };
        let mut look = look(second * SECOND_NS, slots);
        look.queues = vec![QueueLook {
            port: 80,
            length: second as u32 * 2,
            limit: 511,
        }];
        look.connections.unread = 1;
        look.connections.unread_since_ns = SECOND_NS;
        minute.look(&look);
    }
    let found = findings(&minute, 6 * SECOND_NS, 0);
    assert_eq!(
        found,
        [Finding {
            rule: "slots-taken",
            text: "all 3 slots were taken, most of which sat in keep-alive, while up to 8 \
                   connections waited, the first of them for 3.00 s"
                .into(),
            evidence: "3 of the 4 looks of the last minute".into(),
            count: 3,
            last_ago_ns: 2 * SECOND_NS,
        }]
    );
}

#[test]
fn a_moment_without_any_slot_is_told_if_somebody_waits() {
    let mut minute = Minute::default();
    for (second, unread) in [(1, 0), (2, 10), (3, 10)] {
        let mut look = look(second * SECOND_NS, Vec::new());
        look.connections.unread = unread;
        look.connections.unread_since_ns = u64::from(unread) * SECOND_NS / 10;
        minute.look(&look);
    }
    let found = findings(&minute, 4 * SECOND_NS, 0);
    assert_eq!(
        found,
        [Finding {
            rule: "no-slots",
            text: "there was no slot at all while up to 10 connections waited, the first of them \
                   for 2.00 s: httpd restarts, or has lost its children"
                .into(),
            evidence: "2 of the 3 looks of the last minute".into(),
            count: 2,
            last_ago_ns: SECOND_NS,
        }]
    );
}

#[test]
fn slots_that_wait_for_clients_to_close_wait_for_no_backend() {
    let mut minute = Minute::default();
    let slots = [2, 3, 4].map(|pid| busy(pid, SlotState::Closing, 5));
    let mut look = look(SECOND_NS, slots.into());
    look.connections.unread = 1;
    minute.look(&look);
    let text = &findings(&minute, 2 * SECOND_NS, 0)[0].text;
    assert!(text.contains("waited for a client to close"), "{text}");
    assert!(!text.contains("backend"), "{text}");
}

#[test]
fn a_refused_call_is_told_with_its_limit_and_its_task() {
    let mut minute = Minute::default();
    minute.look(&look(SECOND_NS, vec![task(7)]));
    for _ in 0..2 {
        minute.failure(&FailureRecord {
            call: libc::SYS_accept4 as u32,
            errno: libc::EMFILE as u32,
            returned: -i64::from(libc::EMFILE),
            open_files: 24,
            open_files_limit: 24,
            ..failure(FailureSource::Call)
        });
    }
    let expected = (
        "open-files",
        "accept4 of a connection failed with EMFILE, at 24 of 24 open files (ulimit -n)".into(),
        "2 times, last by a worker (task 7 of process 6), 2 s ago".into(),
    );
    assert_eq!(told(&minute), [expected]);
}

#[test]
fn each_kind_of_failure_has_its_sentence_and_the_worst_comes_first() {
    let mut minute = Minute::default();
    minute.failure(&failure(FailureSource::Reset));
    minute.failure(&FailureRecord {
        queue_length: 6,
        queue_limit: 5,
        remote_port: 4001,
        ..failure(FailureSource::SynRefused)
    });
    minute.failure(&FailureRecord {
        call: libc::SYS_mmap as u32,
        errno: libc::ENOMEM as u32,
        returned: -i64::from(libc::ENOMEM),
        arguments: [0, 8_392_704, 0, 0x2_0022],
        address_space_limit: 512_000_000,
        address_space_pages: 124_000,
        ..failure(FailureSource::Call)
    });
    let ended = |tgid: u32, exit_code| TaskRecord {
        pid: tgid,
        tgid,
        exit_code,
        exited_ns: 2 * SECOND_NS,
        ..TaskRecord::default()
    };
    minute.ended(&ended(50, 11));
    minute.ended(&ended(51, 9));
    minute.ended(&ended(52, 7 << 8));
    minute.failure(&FailureRecord {
        cgroup_memory_limit_pages: 25_000,
        cgroup_memory_pages: 24_999,
        ..failure(FailureSource::OomKill)
    });
    let texts: Vec<String> = told(&minute)
        .into_iter()
        .map(|(rule, text, _)| format!("{rule}: {text}"))
        .collect();
    assert_eq!(
        texts,
        [
            "killed-for-memory: 1 task killed by the kernel (SIGKILL) for want of memory, the \
             control group at 102.4 MB of 102.4 MB (memory.max)",
            "crashed: 1 process ended by SIGSEGV",
            "killed: 1 process ended by SIGKILL",
            "gave-up: 1 process ended with status 7 (sick: out of a resource)",
            "address-space: mmap of a thread's stack (8,392,704 B) failed with ENOMEM, at 507.9 MB \
             of 512.0 MB of address space (ulimit -v)",
            "accept-queue-full: the accept queue of 5 connections was full and 1 packet dropped",
            "resets-sent: the server's side reset 1 connection",
        ]
    );
}

#[test]
fn a_loss_of_the_observer_is_told() {
    let found = findings(&Minute::default(), 0, 3);
    assert_eq!((found[0].rule, found[0].count), ("observer-loses", 3));
}

#[test]
fn names_of_limits_are_those_of_the_rules_for_recorded_runs() {
    let limits = [
        Reached::AddressSpace,
        Reached::Data,
        Reached::OpenFiles,
        Reached::SystemFiles,
        Reached::UserTasks,
        Reached::CgroupTasks,
        Reached::CgroupMemory,
        Reached::DiskSpace,
        Reached::Unknown,
    ];
    let others = [
        "slots-taken",
        "accept-queue-full",
        "killed-for-memory",
        "killed",
        "crashed",
    ];
    for name in limits.into_iter().map(rule_of).chain(others) {
        let mut rules = RULES.iter();
        assert!(rules.any(|rule| rule.name == name), "{name}");
    }
}
