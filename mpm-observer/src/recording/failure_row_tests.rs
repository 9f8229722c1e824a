//! Made-up failures.

use super::*;

fn record(source: FailureSource) -> FailureRecord {
    FailureRecord {
        source: source as u32,
        pid: 12,
        tgid: 11,
        queue_length: u32::MAX,
        queue_limit: u32::MAX,
        address_space_limit: 512_000_000,
        address_space_pages: 124_000,
        data_limit: FailureRecord::MISSING,
        cgroup_memory_limit_pages: FailureRecord::MISSING,
        ..FailureRecord::default()
    }
}

fn call(number: libc::c_long, arguments: [u64; 4], returned: i64) -> FailureRow {
    let record = FailureRecord {
        call: number as u32,
        arguments,
        returned,
        errno: (-returned).max(0) as u32,
        ..record(FailureSource::Call)
    };
    FailureRow::new(&record, "child".into()).unwrap()
}

#[test]
fn a_thread_stack_that_is_refused_is_named_with_its_size_and_its_limits() {
    let row = call(libc::SYS_mmap, [0, 8_392_704, 0, 0x2_0022], -12);
    assert_eq!(
        (row.kind, row.purpose),
        (FailureKind::Call, Purpose::ThreadStack)
    );
    assert_eq!((row.call.as_str(), row.errno), ("mmap", 12));
    assert_eq!((row.bytes, row.call_flags), (8_392_704, 0x2_0022));
    assert_eq!((row.tid, row.pid, row.role.as_str()), (12, 11, "child"));
    assert_eq!(row.address_space_limit, Some(512_000_000));
    assert_eq!(row.address_space, Some(124_000 * 4096));
    // Not set, and not known.
    assert_eq!((row.data_limit, row.cgroup_memory_limit), (None, None));
    assert_eq!(row.queue_length, None);
}

#[test]
fn what_a_call_was_for_follows_from_its_arguments() {
    let thread = 0x3d_0f00;
    let cases = [
        (libc::SYS_clone, [0x120_0011, 0, 0, 0], Purpose::Process, 0),
        (libc::SYS_clone, [thread, 0, 0, 0], Purpose::Thread, 0),
        (
            libc::SYS_clone3,
            [thread, 8_388_480, 0, 0],
            Purpose::Thread,
            8_388_480,
        ),
        (libc::SYS_fork, [0; 4], Purpose::Process, 0),
        (
            libc::SYS_mmap,
            [0, 128 << 20, 0, 0x4022],
            Purpose::MallocArena,
            128 << 20,
        ),
        (
            libc::SYS_mmap,
            [0, 4096, 3, 0x22],
            Purpose::AnonymousMemory,
            4096,
        ),
        (libc::SYS_mmap, [0, 4096, 1, 2], Purpose::FileMap, 4096),
        (
            libc::SYS_mremap,
            [7, 4096, 12_288, 1],
            Purpose::AnonymousMemory,
            8192,
        ),
        (libc::SYS_mprotect, [7, 4096, 3, 0], Purpose::Other, 4096),
        (libc::SYS_accept4, [3, 0, 0, 0], Purpose::Connection, 0),
        (libc::SYS_openat, [0, 0, 0x8_0000, 0], Purpose::File, 0),
        (libc::SYS_pipe2, [0; 4], Purpose::Descriptor, 0),
        (libc::SYS_setuid, [33, 0, 0, 0], Purpose::Other, 0),
    ];
    for (number, arguments, purpose, bytes) in cases {
        let row = call(number, arguments, -12);
        assert_eq!((row.purpose, row.bytes), (purpose, bytes), "{}", row.call);
    }
}

#[test]
fn memory_that_may_not_become_writable_is_what_it_was_mapped_for() {
    for (flag, purpose) in [
        (FailureFlags::IN_THREAD_STACK, Purpose::ThreadStack),
        (FailureFlags::IN_MALLOC_ARENA, Purpose::MallocArena),
    ] {
        let record = FailureRecord {
            call: libc::SYS_mprotect as u32,
            flags: flag,
            ..record(FailureSource::Call)
        };
        let row = FailureRow::new(&record, String::new()).unwrap();
        assert_eq!((row.purpose, row.by_kernel), (purpose, false));
    }
}

#[test]
fn a_break_that_stays_lower_than_asked_for_is_a_lack_of_memory() {
    let row = call(libc::SYS_brk, [0x50_0000, 0, 0, 0], 0x40_0000);
    assert_eq!((row.purpose, row.errno), (Purpose::Heap, 12));
    assert_eq!(row.bytes, 0x10_0000);
}

#[test]
fn a_signal_has_its_sender_and_no_call() {
    let record = FailureRecord {
        signal: 11,
        by_pid: 77,
        ..record(FailureSource::Signal)
    };
    let row = FailureRow::new(&record, "worker".into()).unwrap();
    assert_eq!(
        (row.signal, row.by_tid, row.by_kernel, row.call.as_str()),
        (11, 77, false, "")
    );
    assert_eq!(row.address_space_limit, Some(512_000_000));
}

#[test]
fn a_connection_has_its_queue_and_no_limits_of_a_task() {
    for source in [FailureSource::QueueFull, FailureSource::SynRefused] {
        let record = FailureRecord {
            source: source as u32,
            remote_port: 40_000,
            queue_length: 6,
            queue_limit: 5,
            ..FailureRecord::default()
        };
        let row = FailureRow::new(&record, String::new()).unwrap();
        assert_eq!(row.kind, FailureKind::AcceptQueueFull);
        assert_eq!((row.queue_length, row.queue_limit), (Some(6), Some(5)));
        assert_eq!((row.remote_port, row.stack_limit), (40_000, None));
    }
}

#[test]
fn a_record_of_an_unknown_source_is_no_row() {
    let record = FailureRecord {
        source: 99,
        ..FailureRecord::default()
    };
    assert_eq!(FailureRow::new(&record, String::new()), None);
}
