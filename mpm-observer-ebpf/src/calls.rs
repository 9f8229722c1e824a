//! calls: system calls that were refused a resource, with limits and uses; what a process mapped
//! for its threads; accept; and that a process executes another program.
//!
//! One hook for all of them: `sys_exit`. That any system call is traced costs all of them the
//! kernel's slow way in and out, and one program here is cheaper than a classic tracepoint per
//! call. The loader says which calls are looked at, and for what (`CallWatch`); the success of one
//! that is not leaves after two loads. The arguments still stand in the registers.

use core::{arch::asm, ffi::c_void};

use aya_ebpf::{
    helpers::bpf_probe_read_user, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use mpm_observer_common::{
    ARENA_BYTES, CallWatch, FailureFlags, FailureRecord, FailureSource, Mapping, TaskFlags,
    arena_in,
};

use crate::{
    accept::accepted,
    failures::fail,
    limits::note_task,
    maps::{mappings, slot_of, task},
    memory::{call_watch, current_task, field, offset},
};

const EPERM: i64 = 1;
const EAGAIN: i64 = 11;
const ENOMEM: i64 = 12;
const ENFILE: i64 = 23;
const EMFILE: i64 = 24;
const EFBIG: i64 = 27;
const ENOSPC: i64 = 28;
const ENOLCK: i64 = 37;
const EADDRINUSE: i64 = 98;
const ENOBUFS: i64 = 105;
const EDQUOT: i64 = 122;

/// `struct clone_args`: part of the system's binary interface.
const CLONE_ARGS_FLAGS: u64 = 0;
const CLONE_ARGS_STACK_SIZE: u64 = 6 * 8;

/// Calls whose success is looked at.
const ON_SUCCESS: u8 = CallWatch::ACCEPT | CallWatch::MMAP | CallWatch::BRK | CallWatch::EXEC;

/// `sys_exit(pt_regs *regs, long ret)`
#[btf_tracepoint]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: *const c_void = ctx.arg(0);
    let returned: i64 = ctx.arg(1);
    let call: u64 = field(regs, offset!(regs_syscall));
    let watch = call_watch(call);
    if watch == 0 || (returned >= 0 && watch & ON_SUCCESS == 0) {
        return 0;
    }
    let current = current_task();
    let pid: u32 = field(current, offset!(task_pid));
    let slot = slot_of(pid);
    if slot == 0 {
        return 0;
    }
    if watch & CallWatch::ACCEPT != 0
        && let Some(state) = task(slot)
    {
        accepted(state, pid, returned);
    }
    if returned >= 0 {
        if watch & CallWatch::MMAP != 0 {
            note_mapping(slot, current, regs, returned as u64);
        } else if watch & CallWatch::EXEC != 0 {
            forget_mappings(slot);
            if let Some(state) = task(slot) {
                state.record.flags = TaskFlags::after_exec(state.record.flags);
            }
        }
    }
    if is_refused(watch, returned, field(regs, offset!(regs_di))) {
        fail(FailureSource::Call, |record| {
            record.call = call as u32;
            record.returned = returned;
            if returned < 0 {
                record.errno = -returned as u32;
            }
            note_arguments(record, watch, regs);
            note_place(record, slot);
            note_task(record, current);
        });
    }
    0
}

/// Whether a call was refused a resource.
#[inline(always)]
fn is_refused(watch: u8, returned: i64, first_argument: u64) -> bool {
    if watch & CallWatch::BRK != 0 {
        return (returned as u64) < first_argument;
    }
    match -returned {
        ENOMEM | ENFILE | EMFILE | EFBIG | ENOSPC | ENOLCK | ENOBUFS | EDQUOT => true,
        EAGAIN => watch & CallWatch::AGAIN != 0,
        EPERM | EADDRINUSE => watch & CallWatch::REFUSED != 0,
        _ => false,
    }
}

#[inline(always)]
fn note_arguments(record: &mut FailureRecord, watch: u8, regs: *const c_void) {
    let first: u64 = field(regs, offset!(regs_di));
    if watch & CallWatch::CLONE3 != 0 {
        record.arguments[0] = user_word(first + CLONE_ARGS_FLAGS);
        record.arguments[1] = user_word(first + CLONE_ARGS_STACK_SIZE);
        return;
    }
    record.arguments[0] = first;
    record.arguments[1] = field(regs, offset!(regs_si));
    record.arguments[2] = field(regs, offset!(regs_dx));
    record.arguments[3] = field(regs, offset!(regs_r10));
}

/// A word of the running task's own memory; 0 if it cannot be read.
#[inline(always)]
fn user_word(address: u64) -> u64 {
    // SAFETY: the helper accepts any address.
    unsafe { bpf_probe_read_user(address as *const u64) }.unwrap_or(0)
}

/// Whether the call was about memory that the task mapped for a purpose that is known.
#[inline(always)]
fn note_place(record: &mut FailureRecord, slot: u32) {
    let Some(own) = mappings(slot) else {
        return;
    };
    let address = record.arguments[0];
    if address >= own.stack_from && address < own.stack_until {
        record.flags |= FailureFlags::IN_THREAD_STACK;
    } else if own.arena_from != 0 && address.wrapping_sub(own.arena_from) < ARENA_BYTES {
        record.flags |= FailureFlags::IN_MALLOC_ARENA;
    }
}

/// Counts a thread stack or an arena that was mapped at `from`.
#[inline(always)]
fn note_mapping(slot: u32, current: *const c_void, regs: *const c_void, from: u64) {
    let bytes: u64 = field(regs, offset!(regs_si));
    let kind = Mapping::of(
        bytes,
        field(regs, offset!(regs_dx)),
        field(regs, offset!(regs_r10)),
    );
    if !matches!(kind, Mapping::ThreadStack | Mapping::MallocArena) {
        return;
    }
    let (Some(own), Some(process)) = (
        mappings(slot),
        mappings(slot_of(field(current, offset!(task_tgid)))),
    ) else {
        return;
    };
    if kind == Mapping::ThreadStack {
        own.stack_from = from;
        own.stack_until = from + bytes;
        add(&raw mut process.thread_stacks, 1);
        add(&raw mut process.thread_stack_bytes, bytes);
    } else if let Some(arena) = arena_in(from, bytes) {
        own.arena_from = arena;
        add(&raw mut process.malloc_arenas, 1);
        add(&raw mut process.malloc_arena_bytes, ARENA_BYTES);
    }
}

/// Adds to a word of a map that the tasks of a process share. The target has no such atomic in the
/// core library.
#[inline(always)]
fn add(word: *mut u64, value: u64) {
    // SAFETY: an aligned word of a map.
    unsafe {
        asm!("lock *(u64 *)({word} + 0) += {value}", word = in(reg) word, value = in(reg) value)
    };
}

/// A task begins, or executes another program: it has mapped nothing.
#[inline(always)]
pub(crate) fn forget_mappings(slot: u32) {
    if let Some(mappings) = mappings(slot) {
        // SAFETY: a valid reference each; volatile, so that no function makes the loop over bytes.
        unsafe {
            (&raw mut mappings.thread_stack_bytes).write_volatile(0);
            (&raw mut mappings.malloc_arena_bytes).write_volatile(0);
            (&raw mut mappings.thread_stacks).write_volatile(0);
            (&raw mut mappings.malloc_arenas).write_volatile(0);
            (&raw mut mappings.stack_from).write_volatile(0);
            (&raw mut mappings.stack_until).write_volatile(0);
            (&raw mut mappings.arena_from).write_volatile(0);
        }
    }
}
