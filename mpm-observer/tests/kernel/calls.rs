//! System calls that are refused a resource, each with the limit that was met.

use std::{fs, path::PathBuf};

use mpm_observer::recording::{FailureKind, FailureRow, Purpose};
use nix::libc;

use super::{
    failures::{Followed, of_call, of_kind},
    have,
    workloads::{DESCRIPTORS, GROWN, MAPPED, PROCESSES, STACK, TOO_MUCH, USER},
};

const ENOMEM: u32 = libc::ENOMEM as u32;
const EAGAIN: u32 = libc::EAGAIN as u32;
const EMFILE: u32 = libc::EMFILE as u32;

/// What glibc adds to a stack to keep the next one apart.
const GUARD: u64 = 4096;
const ARENA: u64 = 64 << 20;

fn failures(workload: &str) -> Option<Vec<FailureRow>> {
    Some(Followed::workload(workload)?.run())
}

/// The only failure of that call.
fn only<'a>(rows: &'a [FailureRow], call: &str) -> &'a FailureRow {
    let of_call = of_call(rows, call);
    assert_eq!(of_call.len(), 1, "{rows:#?}");
    of_call[0]
}

#[test]
fn memory_beyond_the_address_space_is_refused_at_its_limit() {
    let Some(rows) = failures("map") else { return };
    let row = only(&rows, "mmap");
    assert_eq!((row.errno, row.purpose), (ENOMEM, Purpose::AnonymousMemory));
    assert_eq!(row.bytes, MAPPED as u64);
    let (limit, used) = (row.address_space_limit.unwrap(), row.address_space.unwrap());
    assert!(used <= limit && used + row.bytes > limit, "{row:?}");
    assert_eq!(row.data_limit, None);
    assert!(row.data.unwrap() < used);
    assert!(row.open_files.unwrap() >= 3, "{row:?}");
    assert_eq!(row.uid, 0);
}

#[test]
fn a_thread_stack_that_is_refused_is_known_as_one() {
    let Some(rows) = failures("stack") else {
        return;
    };
    let row = only(&rows, "mmap");
    assert_eq!((row.errno, row.purpose), (ENOMEM, Purpose::ThreadStack));
    assert_eq!(row.bytes, MAPPED as u64 + GUARD);
    let (limit, used) = (row.address_space_limit.unwrap(), row.address_space.unwrap());
    assert!(used <= limit && used + row.bytes > limit, "{row:?}");
}

#[test]
fn stacks_and_arenas_are_counted_as_they_stay() {
    let Some(rows) = failures("threads") else {
        return;
    };
    let of_map = of_call(&rows, "mmap");
    assert_eq!(of_map.len(), 2, "{rows:#?}");
    let (before, after) = (of_map[0], of_map[1]);
    assert_eq!(before.bytes, TOO_MUCH as u64);
    assert_eq!(after.thread_stacks, before.thread_stacks + 1);
    assert_eq!(
        after.thread_stack_bytes,
        before.thread_stack_bytes + STACK as u64 + GUARD
    );
    assert_eq!(after.malloc_arenas, before.malloc_arenas + 1);
    assert_eq!(after.malloc_arena_bytes, before.malloc_arena_bytes + ARENA);
}

#[test]
fn a_stack_that_may_not_become_writable_meets_the_data_limit() {
    let Some(rows) = failures("writable") else {
        return;
    };
    let row = only(&rows, "mprotect");
    assert_eq!((row.errno, row.purpose), (ENOMEM, Purpose::ThreadStack));
    let (limit, used) = (row.data_limit.unwrap(), row.data.unwrap());
    assert!(used <= limit && used + row.bytes > limit, "{row:?}");
    assert_eq!(row.address_space_limit, None);
}

#[test]
fn a_heap_that_may_not_grow_is_seen_though_the_call_has_no_error() {
    let Some(rows) = failures("break") else {
        return;
    };
    let row = only(&rows, "brk");
    assert_eq!((row.errno, row.purpose), (ENOMEM, Purpose::Heap));
    assert_eq!(row.bytes, GROWN as u64);
    let (limit, used) = (row.data_limit.unwrap(), row.data.unwrap());
    assert!(used <= limit && used + row.bytes > limit, "{row:?}");
}

#[test]
fn descriptors_that_are_refused_are_told_apart_by_their_use() {
    let Some(rows) = failures("files") else {
        return;
    };
    for (call, purpose) in [("openat", Purpose::File), ("accept4", Purpose::Connection)] {
        let row = only(&rows, call);
        assert_eq!((row.errno, row.purpose), (EMFILE, purpose));
        assert_eq!(row.open_files_limit, Some(DESCRIPTORS));
        assert_eq!(row.open_files, Some(DESCRIPTORS));
    }
}

#[test]
fn a_process_beyond_the_users_limit_is_refused_at_that_limit() {
    let Some(rows) = failures("user") else { return };
    let row = only(&rows, "clone");
    assert_eq!((row.errno, row.purpose), (EAGAIN, Purpose::Process));
    assert_eq!(row.uid, USER);
    assert_eq!(row.processes_limit, Some(PROCESSES));
    assert_eq!(row.processes, Some(PROCESSES));
}

/// A cgroup of version 1 that goes with the test.
pub struct Cgroup(PathBuf);

impl Cgroup {
    pub fn create(controller: &str, name: &str) -> Option<Self> {
        let root = PathBuf::from("/sys/fs/cgroup").join(controller);
        if !have(
            "a cgroup controller of version 1",
            root.join("tasks").exists(),
        ) {
            return None;
        }
        let path = root.join(format!("mpm-observer-test.{name}.{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Some(Self(path))
    }

    pub fn set(&self, file: &str, value: impl ToString) {
        fs::write(self.0.join(file), value.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_process_beyond_its_cgroups_limit_is_refused_at_that_limit() {
    const TASKS: u64 = 4;
    let Some(cgroup) = Cgroup::create("pids", "tasks") else {
        return;
    };
    let Some(mut followed) = Followed::workload("fork") else {
        return;
    };
    cgroup.set("cgroup.procs", followed.child.id());
    cgroup.set("pids.max", TASKS);
    followed.go();
    let rows = followed.end();
    let row = only(&rows, "clone");
    assert_eq!((row.errno, row.purpose), (EAGAIN, Purpose::Process));
    assert_eq!(row.cgroup_tasks_limit, Some(TASKS));
    assert_eq!(row.cgroup_tasks, Some(TASKS));
}

#[test]
fn a_process_beyond_its_cgroups_memory_is_killed_and_both_are_told() {
    const MEMORY: u64 = 32 << 20;
    let Some(cgroup) = Cgroup::create("memory", "memory") else {
        return;
    };
    let Some(mut followed) = Followed::workload("memory") else {
        return;
    };
    cgroup.set("cgroup.procs", followed.child.id());
    cgroup.set("memory.limit_in_bytes", MEMORY);
    let pid = followed.child.id();
    followed.go();
    let (rows, tids) = followed.end_with_tasks();
    let kills = of_kind(&rows, FailureKind::OomKill);
    assert_eq!(kills.len(), 1, "{rows:#?}");
    let kill = kills[0];
    assert_eq!(kill.pid, pid);
    // The thread that touched the memory.
    assert!(tids.contains(&kill.by_tid), "{kill:?}");
    assert_eq!((kill.signal, kill.by_kernel), (9, true));
    assert_eq!(kill.cgroup_memory_limit, Some(MEMORY));
    let used = kill.cgroup_memory.unwrap();
    assert!(used <= MEMORY && used > MEMORY / 10 * 9, "{used}");
    assert!(kill.resident.unwrap() > MEMORY / 2, "{kill:?}");
    let signals = of_kind(&rows, FailureKind::Signal);
    assert_eq!(signals.len(), 1, "{rows:#?}");
    assert_eq!((signals[0].signal, signals[0].by_kernel), (9, true));
}
