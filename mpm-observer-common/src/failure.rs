//! What failed: refused system calls, killed tasks, refused connections.

use core::mem::{MaybeUninit, size_of};

use crate::trace::TraceSource;

/// What a [`FailureRecord`] is about. Each comes from one program, which counts on its own what it
/// sent and what was lost.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureSource {
    /// A system call was refused a resource.
    Call = 0,
    /// A task was chosen to be killed for want of memory.
    OomKill = 1,
    /// A signal that ends a process was sent.
    Signal = 2,
    /// The last packet of a handshake, or data that came with it, found the accept queue full.
    QueueFull = 3,
    /// The first packet of a handshake found the accept queue full.
    SynRefused = 4,
    /// The server's side reset a connection.
    Reset = 5,
}

impl FailureSource {
    /// All, by their number.
    pub const ALL: [Self; 6] = [
        Self::Call,
        Self::OomKill,
        Self::Signal,
        Self::QueueFull,
        Self::SynRefused,
        Self::Reset,
    ];
    /// Counters of all programs, those of failures included.
    pub const COUNTERS: u32 = TraceSource::COUNTERS + 2 * Self::ALL.len() as u32;

    /// The program's name.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Call => "sys_exit",
            Self::OomKill => "mark_victim",
            Self::Signal => "signal_generate",
            Self::QueueFull => "kfree_skb",
            Self::SynRefused => "consume_skb",
            Self::Reset => "tcp_send_reset",
        }
    }

    /// The source whose number is `word`, if there is one.
    #[must_use]
    pub fn from_word(word: u32) -> Option<Self> {
        Self::ALL.get(word as usize).copied()
    }

    /// Index of its counter of failures sent.
    #[must_use]
    pub const fn sent(self) -> u32 {
        TraceSource::COUNTERS + 2 * self as u32
    }

    /// Index of its counter of failures lost.
    #[must_use]
    pub const fn lost(self) -> u32 {
        self.sent() + 1
    }
}

/// Bits of [`Settings::calls`](crate::Settings): what a system call's end is looked at for. 0: for
/// nothing.
pub struct CallWatch;

impl CallWatch {
    /// Its failure for want of memory, descriptors, space and the like.
    pub const RESOURCE: u8 = 1;
    /// … `EAGAIN` too: a limit on tasks or locked memory.
    pub const AGAIN: u8 = 1 << 1;
    /// … `EPERM` and `EADDRINUSE` too: a limit that may not be raised, a port that is taken.
    pub const REFUSED: u8 = 1 << 2;
    /// Every end of it: a connection may have been accepted.
    pub const ACCEPT: u8 = 1 << 3;
    /// Its success too: a thread's stack or an arena of malloc may have been mapped.
    pub const MMAP: u8 = 1 << 4;
    /// It tells its failure by a break that is lower than the one asked for.
    pub const BRK: u8 = 1 << 5;
    /// Its flags and sizes lie in the caller's memory, a `struct clone_args`.
    pub const CLONE3: u8 = 1 << 6;
    /// Its success too: all that was mapped is gone.
    pub const EXEC: u8 = 1 << 7;
}

/// Bits of [`FailureRecord::flags`].
pub struct FailureFlags;

impl FailureFlags {
    /// The signal was the kernel's own.
    pub const BY_KERNEL: u32 = 1;
    /// The first argument lies in the thread stack that the task mapped last.
    pub const IN_THREAD_STACK: u32 = 1 << 1;
    /// The first argument lies in the arena that the task reserved last.
    pub const IN_MALLOC_ARENA: u32 = 1 << 2;
}

/// One failure. What is [`FailureRecord::MISSING`] could not be read, does not apply, or, of a
/// limit, is not set.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRecord {
    /// [`RecordKind::Failure`](crate::RecordKind::Failure).
    pub kind: u32,
    /// A [`FailureSource`].
    pub source: u32,
    /// When, ns.
    pub time_ns: u64,
    /// Thread id of the task; 0: a connection's failure.
    pub pid: u32,
    /// Its process id.
    pub tgid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Number of the system call.
    pub call: u32,
    /// Its error number; 0 for `brk`, which has none.
    pub errno: u32,
    /// The signal.
    pub signal: u32,
    /// Task that sent it, or that ran out of memory.
    pub by_pid: u32,
    /// [`FailureFlags`].
    pub flags: u32,
    /// The client's port, host byte order; 0: unknown.
    pub remote_port: u32,
    /// Length of the accept queue; `u32::MAX`: unknown.
    pub queue_length: u32,
    /// Its limit; `u32::MAX`: unknown.
    pub queue_limit: u32,
    /// Thread stacks that the process has mapped.
    pub thread_stacks: u32,
    /// Arenas of malloc that it has reserved.
    pub malloc_arenas: u32,
    /// Zero.
    pub reserved: u32,
    /// Bytes of the thread stacks.
    pub thread_stack_bytes: u64,
    /// Bytes of the arenas, as they stay after trimming.
    pub malloc_arena_bytes: u64,
    /// The call's first four arguments; of `clone3` flags, stack size, 0 and 0.
    pub arguments: [u64; 4],
    /// What it returned.
    pub returned: i64,
    /// `RLIMIT_AS`, bytes.
    pub address_space_limit: u64,
    /// `mm_struct.total_vm`, pages.
    pub address_space_pages: u64,
    /// `RLIMIT_DATA`, bytes.
    pub data_limit: u64,
    /// `mm_struct.data_vm`, pages.
    pub data_pages: u64,
    /// `RLIMIT_STACK`, bytes.
    pub stack_limit: u64,
    /// `RLIMIT_NOFILE`.
    pub open_files_limit: u64,
    /// Open files.
    pub open_files: u64,
    /// `RLIMIT_NPROC`.
    pub processes_limit: u64,
    /// Tasks of the user.
    pub processes: u64,
    /// Limit of tasks of the cgroup, or of the nearest one above that has one.
    pub cgroup_tasks_limit: u64,
    /// Tasks in that cgroup.
    pub cgroup_tasks: u64,
    /// Limit of memory of the cgroup, or of the nearest one above that has one, pages.
    pub cgroup_memory_limit_pages: u64,
    /// Memory charged to that cgroup, pages.
    pub cgroup_memory_pages: u64,
    /// Resident memory of the process, pages; what CPUs have not yet told the total is missing
    /// from it.
    pub resident_pages: u64,
}

impl FailureRecord {
    /// What is not known or not set.
    pub const MISSING: u64 = u64::MAX;

    /// All zero. In a program's ring buffer: there is no room for a second one on its stack.
    #[inline(always)]
    pub fn cleared(record: &mut MaybeUninit<Self>) -> &mut Self {
        let words = record.as_mut_ptr().cast::<u64>();
        let mut index = 0;
        while index < size_of::<Self>() / size_of::<u64>() {
            // SAFETY: within the record, which is as aligned as a word. Volatile, see `words`.
            unsafe { core::ptr::write_volatile(words.add(index), 0) };
            index += 1;
        }
        // SAFETY: plain integers, each written.
        unsafe { record.assume_init_mut() }
    }
}

impl Default for FailureRecord {
    fn default() -> Self {
        *Self::cleared(&mut MaybeUninit::uninit())
    }
}

/// What a task, and the process whose first task it is, mapped so far.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    /// Bytes of the process's thread stacks.
    pub thread_stack_bytes: u64,
    /// Bytes of its arenas, as they stay after trimming.
    pub malloc_arena_bytes: u64,
    /// How many thread stacks.
    pub thread_stacks: u64,
    /// How many arenas.
    pub malloc_arenas: u64,
    /// Where the thread stack begins that this task mapped last.
    pub stack_from: u64,
    /// Where it ends.
    pub stack_until: u64,
    /// Where the arena begins that this task reserved last.
    pub arena_from: u64,
}

/// Flags of `mmap`.
const MAP_STACK: u64 = 0x2_0000;
const MAP_NORESERVE: u64 = 0x4000;
const MAP_ANONYMOUS: u64 = 0x20;
/// What glibc keeps of what it reserves for an arena, at a multiple of the same. It asks for twice
/// that and gives back what lies around it; where that much is not to be had, for just that, and
/// gives it back if it does not lie right.
pub const ARENA_BYTES: u64 = 64 << 20;

/// What a call of `mmap` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The stack of a thread.
    ThreadStack,
    /// An arena of glibc's malloc.
    MallocArena,
    /// Anonymous memory of another use.
    Anonymous,
    /// A file.
    File,
}

impl Mapping {
    /// Of the call's second to fourth arguments.
    #[inline(always)]
    #[must_use]
    pub const fn of(bytes: u64, protection: u64, flags: u64) -> Self {
        if flags & MAP_STACK != 0 {
            Self::ThreadStack
        } else if flags & MAP_ANONYMOUS == 0 {
            Self::File
        } else if flags & MAP_NORESERVE != 0
            && protection == 0
            && (bytes == ARENA_BYTES || bytes == 2 * ARENA_BYTES)
        {
            Self::MallocArena
        } else {
            Self::Anonymous
        }
    }
}

/// Where an arena begins that glibc makes of a reservation; `None` if it gives all of it back.
#[inline(always)]
#[must_use]
pub const fn arena_in(reserved_from: u64, bytes: u64) -> Option<u64> {
    let from = (reserved_from + ARENA_BYTES - 1) & !(ARENA_BYTES - 1);
    if from + ARENA_BYTES <= reserved_from + bytes {
        Some(from)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: u64 = 2;

    #[test]
    fn what_a_mapping_is_for_follows_from_its_arguments() {
        let anonymous = PRIVATE | MAP_ANONYMOUS;
        let reserved = anonymous | MAP_NORESERVE;
        let cases = [
            (8_392_704, 0, anonymous | MAP_STACK, Mapping::ThreadStack),
            (128 << 20, 0, reserved, Mapping::MallocArena),
            (64 << 20, 0, reserved, Mapping::MallocArena),
            // Readable at once, or of another size: none of malloc's.
            (64 << 20, 3, reserved, Mapping::Anonymous),
            (65 << 20, 0, reserved, Mapping::Anonymous),
            (128 << 20, 0, anonymous, Mapping::Anonymous),
            (4096, 1, PRIVATE, Mapping::File),
        ];
        for (bytes, protection, flags, expected) in cases {
            assert_eq!(
                Mapping::of(bytes, protection, flags),
                expected,
                "{bytes} {protection} {flags:#x}"
            );
        }
    }

    #[test]
    fn an_arena_lies_at_a_multiple_of_its_size_or_nowhere() {
        let odd = 5 * ARENA_BYTES + 4096;
        assert_eq!(arena_in(odd, 2 * ARENA_BYTES), Some(6 * ARENA_BYTES));
        assert_eq!(
            arena_in(5 * ARENA_BYTES, 2 * ARENA_BYTES),
            Some(5 * ARENA_BYTES)
        );
        assert_eq!(
            arena_in(5 * ARENA_BYTES, ARENA_BYTES),
            Some(5 * ARENA_BYTES)
        );
        assert_eq!(arena_in(odd, ARENA_BYTES), None);
    }

    #[test]
    fn each_source_is_at_its_number_and_has_counters_of_its_own() {
        for (index, source) in FailureSource::ALL.into_iter().enumerate() {
            assert_eq!(source as usize, index);
            assert_eq!(FailureSource::from_word(source as u32), Some(source));
            assert!(source.sent() >= TraceSource::COUNTERS);
            assert!(source.lost() < FailureSource::COUNTERS);
        }
        assert_eq!(FailureSource::from_word(6), None);
    }
}
