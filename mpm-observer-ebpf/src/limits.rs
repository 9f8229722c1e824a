//! The limits of a task at the moment of a failure, and what it uses of them.

use core::ffi::c_void;

use mpm_observer_common::{ABSENT, FailureRecord};

use crate::{
    maps::{mappings, slot_of},
    memory::{field, offset, probe, word, word_of},
};

/// Numbers of the system's limits, and the size of an entry of their table.
const RLIMIT_DATA: u32 = 2;
const RLIMIT_STACK: u32 = 3;
const RLIMIT_NPROC: u32 = 6;
const RLIMIT_NOFILE: u32 = 7;
const RLIMIT_AS: u32 = 9;
const RLIMIT_BYTES: u32 = 16;

/// File, anonymous and shared pages make up what is resident; the one between counts swap.
const RESIDENT_COUNTERS: [u32; 3] = [0, 1, 3];

/// Of more descriptors the open ones are not counted.
const COUNTED_DESCRIPTORS: u32 = 16_384;
/// Cgroups deeper than that are taken for unlimited.
const CGROUP_LEVELS: u32 = 16;
/// The kernel's `PIDS_MAX`, which stands for no limit, is one more.
const MOST_PIDS: u64 = 4 << 20;
/// The kernel's `PAGE_COUNTER_MAX`, which stands for no limit, is more, whatever a page's size.
const MOST_PAGES: u64 = 1 << 46;

/// Writes down whose failure it is, with limits and uses.
#[inline(always)]
pub(crate) fn note_task(record: &mut FailureRecord, task: *const c_void) {
    record.pid = field(task, offset!(task_pid));
    record.tgid = field(task, offset!(task_tgid));
    if let Some(process) = mappings(slot_of(record.tgid)) {
        record.thread_stacks = process.thread_stacks as u32;
        record.malloc_arenas = process.malloc_arenas as u32;
        record.thread_stack_bytes = process.thread_stack_bytes;
        record.malloc_arena_bytes = process.malloc_arena_bytes;
    }
    let task = task as u64;
    note_limits(record, word_of(task, offset!(task_signal)));
    note_memory(record, word_of(task, offset!(task_mm)));
    record.open_files = open_files(word_of(task, offset!(task_files)));

    let cred = word_of(task, offset!(task_cred));
    record.uid = probe(cred as *const c_void, offset!(cred_euid)).unwrap_or_default();
    let user = word_of(cred, offset!(cred_ucounts));
    record.processes = word_of(user, offset!(ucounts_processes));

    let cgroups = word_of(task, offset!(task_cgroups));
    note_cgroup_tasks(record, word_of(cgroups, offset!(css_set_pids)));
    note_cgroup_memory(record, word_of(cgroups, offset!(css_set_memory)));
}

#[inline(always)]
fn note_limits(record: &mut FailureRecord, signal: u64) {
    let limit = |number: u32| word_of(signal, offset!(signal_rlim) + number * RLIMIT_BYTES);
    record.address_space_limit = limit(RLIMIT_AS);
    record.data_limit = limit(RLIMIT_DATA);
    record.stack_limit = limit(RLIMIT_STACK);
    record.open_files_limit = limit(RLIMIT_NOFILE);
    record.processes_limit = limit(RLIMIT_NPROC);
}

#[inline(always)]
fn note_memory(record: &mut FailureRecord, mm: u64) {
    record.address_space_pages = word_of(mm, offset!(mm_total_vm));
    record.data_pages = word_of(mm, offset!(mm_data_vm));
    record.resident_pages = FailureRecord::MISSING;
    if mm == 0 || mm == FailureRecord::MISSING || offset!(mm_rss) == ABSENT {
        return;
    }
    let mut pages = 0;
    for counter in RESIDENT_COUNTERS {
        let count = word_of(mm, offset!(mm_rss) + counter * offset!(mm_rss_stride)) as i64;
        // The total of one counter may lag so far behind that it is negative.
        if count > 0 {
            pages += count as u64;
        }
    }
    record.resident_pages = pages;
}

/// How many descriptors of a file table are in use.
#[inline(always)]
fn open_files(files: u64) -> u64 {
    let table = word_of(files, offset!(files_fdt));
    let Some(size) = probe::<u32>(table as *const c_void, offset!(fdtable_max_fds)) else {
        return FailureRecord::MISSING;
    };
    let bits = word_of(table, offset!(fdtable_open_fds));
    if size > COUNTED_DESCRIPTORS || bits == FailureRecord::MISSING {
        return FailureRecord::MISSING;
    }
    let mut open = 0;
    let mut index = 0;
    while index < COUNTED_DESCRIPTORS / 64 {
        if index * 64 >= size {
            break;
        }
        open += ones(word(bits + u64::from(index) * 8));
        index += 1;
    }
    open
}

/// How many bits are set. The processor that programs are written for has no instruction for it.
#[inline(always)]
fn ones(word: u64) -> u64 {
    const EACH_2ND: u64 = 0x5555_5555_5555_5555;
    const EACH_2_OF_4: u64 = 0x3333_3333_3333_3333;
    const EACH_4_OF_8: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = word - ((word >> 1) & EACH_2ND);
    let nibbles = (pairs & EACH_2_OF_4) + ((pairs >> 2) & EACH_2_OF_4);
    let bytes = (nibbles + (nibbles >> 4)) & EACH_4_OF_8;
    bytes.wrapping_mul(0x0101_0101_0101_0101) >> 56
}

/// Of a cgroup (its state for the controller) or of the nearest one above that has a limit.
#[inline(always)]
fn note_cgroup_tasks(record: &mut FailureRecord, state: u64) {
    record.cgroup_tasks_limit = FailureRecord::MISSING;
    record.cgroup_tasks = FailureRecord::MISSING;
    let mut state = state;
    let mut level = 0;
    while level < CGROUP_LEVELS {
        if state == 0 || state == FailureRecord::MISSING {
            return;
        }
        let pids = state.wrapping_sub(u64::from(offset!(pids_css)));
        let limit = word_of(pids, offset!(pids_limit));
        if limit <= MOST_PIDS {
            record.cgroup_tasks_limit = limit;
            record.cgroup_tasks = word_of(pids, offset!(pids_counter));
            return;
        }
        state = word_of(state, offset!(css_parent));
        level += 1;
    }
}

/// Likewise.
#[inline(always)]
fn note_cgroup_memory(record: &mut FailureRecord, state: u64) {
    record.cgroup_memory_limit_pages = FailureRecord::MISSING;
    record.cgroup_memory_pages = FailureRecord::MISSING;
    if state == 0 || state == FailureRecord::MISSING {
        return;
    }
    let mut counter = state.wrapping_add(u64::from(offset!(css_memory)));
    let mut level = 0;
    while level < CGROUP_LEVELS {
        if counter == 0 || counter == FailureRecord::MISSING {
            return;
        }
        let limit = word_of(counter, offset!(page_counter_max));
        if limit <= MOST_PAGES {
            record.cgroup_memory_limit_pages = limit;
            record.cgroup_memory_pages = word_of(counter, offset!(page_counter_usage));
            return;
        }
        counter = word_of(counter, offset!(page_counter_parent));
        level += 1;
    }
}
