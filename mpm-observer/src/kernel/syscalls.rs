//! System calls: what a task that blocks in one is blocked in, and which failures are looked at.

use mpm_observer_common::{BlockedIn, CallWatch, RESTARTED, SYSCALLS};
use nix::libc;

/// The system calls that httpd blocks in, by what they wait for. Reads and writes are taken for
/// those of a socket or pipe: one that waits for a device shows in the task's state.
const KINDS: &[(BlockedIn, &[libc::c_long])] = &[
    (BlockedIn::Futex, &[libc::SYS_futex, libc::SYS_futex_waitv]),
    (
        BlockedIn::Poll,
        &[
            libc::SYS_poll,
            libc::SYS_ppoll,
            libc::SYS_select,
            libc::SYS_pselect6,
            libc::SYS_epoll_wait,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
        ],
    ),
    (
        BlockedIn::Send,
        &[
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_pwrite64,
            libc::SYS_pwritev,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_sendfile,
            libc::SYS_splice,
        ],
    ),
    (
        BlockedIn::Receive,
        &[
            libc::SYS_read,
            libc::SYS_readv,
            libc::SYS_pread64,
            libc::SYS_preadv,
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
            libc::SYS_accept,
            libc::SYS_accept4,
        ],
    ),
    (
        BlockedIn::Sleep,
        &[libc::SYS_nanosleep, libc::SYS_clock_nanosleep],
    ),
];

/// By number of the system call, a number of [`BlockedIn`] or [`RESTARTED`].
pub(super) fn syscall_kinds() -> [u8; SYSCALLS] {
    let mut kinds = [BlockedIn::Other as u8; SYSCALLS];
    kinds[libc::SYS_restart_syscall as usize] = RESTARTED as u8;
    for (kind, calls) in KINDS {
        for &call in *calls {
            if let Some(entry) = usize::try_from(call).ok().and_then(|n| kinds.get_mut(n)) {
                *entry = *kind as u8;
            }
        }
    }
    kinds
}

/// A call that may lack memory, descriptors, space and the like.
const RESOURCE: u8 = CallWatch::RESOURCE;
/// … whose `EAGAIN` is a limit too.
const LIMITED: u8 = RESOURCE | CallWatch::AGAIN;
/// … that needs a permission or a free port too.
const PERMITTED: u8 = RESOURCE | CallWatch::REFUSED;

/// The system calls whose end is looked at, by name and number, and for what.
const WATCHED: &[(&str, libc::c_long, u8)] = &[
    ("clone", libc::SYS_clone, LIMITED),
    ("clone3", libc::SYS_clone3, LIMITED | CallWatch::CLONE3),
    ("fork", libc::SYS_fork, LIMITED),
    ("vfork", libc::SYS_vfork, LIMITED),
    ("execve", libc::SYS_execve, LIMITED | CallWatch::EXEC),
    ("execveat", libc::SYS_execveat, LIMITED | CallWatch::EXEC),
    ("mmap", libc::SYS_mmap, LIMITED | CallWatch::MMAP),
    ("brk", libc::SYS_brk, RESOURCE | CallWatch::BRK),
    ("mprotect", libc::SYS_mprotect, LIMITED),
    ("mremap", libc::SYS_mremap, LIMITED),
    ("munmap", libc::SYS_munmap, RESOURCE),
    ("mlock", libc::SYS_mlock, LIMITED),
    ("accept4", libc::SYS_accept4, RESOURCE | CallWatch::ACCEPT),
    ("accept", libc::SYS_accept, RESOURCE),
    ("open", libc::SYS_open, RESOURCE),
    ("openat", libc::SYS_openat, RESOURCE),
    ("openat2", libc::SYS_openat2, RESOURCE),
    ("creat", libc::SYS_creat, RESOURCE),
    ("memfd_create", libc::SYS_memfd_create, RESOURCE),
    ("socket", libc::SYS_socket, RESOURCE),
    ("socketpair", libc::SYS_socketpair, RESOURCE),
    ("pipe", libc::SYS_pipe, RESOURCE),
    ("pipe2", libc::SYS_pipe2, RESOURCE),
    ("dup", libc::SYS_dup, RESOURCE),
    ("dup2", libc::SYS_dup2, RESOURCE),
    ("dup3", libc::SYS_dup3, RESOURCE),
    ("fcntl", libc::SYS_fcntl, RESOURCE),
    ("epoll_create", libc::SYS_epoll_create, RESOURCE),
    ("epoll_create1", libc::SYS_epoll_create1, RESOURCE),
    ("epoll_ctl", libc::SYS_epoll_ctl, RESOURCE),
    ("eventfd", libc::SYS_eventfd, RESOURCE),
    ("eventfd2", libc::SYS_eventfd2, RESOURCE),
    ("timerfd_create", libc::SYS_timerfd_create, RESOURCE),
    ("signalfd4", libc::SYS_signalfd4, RESOURCE),
    ("inotify_init1", libc::SYS_inotify_init1, RESOURCE),
    ("bind", libc::SYS_bind, PERMITTED),
    ("listen", libc::SYS_listen, PERMITTED),
    ("connect", libc::SYS_connect, RESOURCE),
    ("sendto", libc::SYS_sendto, RESOURCE),
    ("sendmsg", libc::SYS_sendmsg, RESOURCE),
    ("sendfile", libc::SYS_sendfile, RESOURCE),
    ("setuid", libc::SYS_setuid, LIMITED),
    ("setreuid", libc::SYS_setreuid, LIMITED),
    ("setresuid", libc::SYS_setresuid, LIMITED),
    ("setrlimit", libc::SYS_setrlimit, PERMITTED),
    ("prlimit64", libc::SYS_prlimit64, PERMITTED),
    ("semget", libc::SYS_semget, RESOURCE),
    ("semop", libc::SYS_semop, RESOURCE),
    ("shmget", libc::SYS_shmget, RESOURCE),
    ("shmat", libc::SYS_shmat, RESOURCE),
    ("write", libc::SYS_write, RESOURCE),
    ("writev", libc::SYS_writev, RESOURCE),
    ("pwrite64", libc::SYS_pwrite64, RESOURCE),
    ("pwritev", libc::SYS_pwritev, RESOURCE),
    ("ftruncate", libc::SYS_ftruncate, RESOURCE),
    ("fallocate", libc::SYS_fallocate, RESOURCE),
    ("mkdir", libc::SYS_mkdir, RESOURCE),
    ("mkdirat", libc::SYS_mkdirat, RESOURCE),
    ("rename", libc::SYS_rename, RESOURCE),
    ("renameat2", libc::SYS_renameat2, RESOURCE),
];

/// By number of the system call, bits of [`CallWatch`].
pub(super) fn call_watches() -> [u8; SYSCALLS] {
    let mut watches = [0; SYSCALLS];
    for &(_, call, watch) in WATCHED {
        if let Some(entry) = usize::try_from(call).ok().and_then(|n| watches.get_mut(n)) {
            *entry = watch;
        }
    }
    watches
}

/// The name of a system call whose end is looked at; of another its number.
#[must_use]
pub fn call_name(number: u32) -> String {
    let known = WATCHED
        .iter()
        .find(|(_, call, _)| *call == libc::c_long::from(number));
    known.map_or_else(|| format!("call {number}"), |(name, ..)| (*name).to_owned())
}

/// What a task that blocks in a system call waits for, as long as its state does not say otherwise.
#[must_use]
pub(crate) fn kind_of_call(number: u32) -> BlockedIn {
    let has = |calls: &&[libc::c_long]| calls.contains(&libc::c_long::from(number));
    let known = KINDS.iter().find(|(_, calls)| has(calls));
    known.map_or(BlockedIn::Other, |(kind, _)| *kind)
}

/// Whether a system call accepts connections.
#[must_use]
pub(crate) fn is_accept(number: u32) -> bool {
    [libc::SYS_accept, libc::SYS_accept4].contains(&libc::c_long::from(number))
}

/// Whether a system call waits for events of many descriptors.
#[must_use]
pub(crate) fn is_wait_for_events(number: u32) -> bool {
    let waits = [
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
    ];
    waits.contains(&libc::c_long::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_call_has_its_kind_and_the_others_have_none() {
        let kinds = syscall_kinds();
        for (kind, calls) in KINDS {
            for &call in *calls {
                assert_eq!(kinds[call as usize], *kind as u8, "call {call}");
                assert_eq!(kind_of_call(call as u32), *kind);
            }
        }
        assert_eq!(kinds[libc::SYS_restart_syscall as usize], RESTARTED as u8);
        let known: usize = KINDS.iter().map(|(_, calls)| calls.len()).sum();
        let set = kinds
            .iter()
            .filter(|&&kind| kind != BlockedIn::Other as u8)
            .count();
        assert_eq!(set, known + 1);
    }

    #[test]
    fn every_watched_call_is_there_once_and_has_its_name() {
        let watches = call_watches();
        for &(name, call, watch) in WATCHED {
            assert_eq!(watches[call as usize], watch, "{name}");
            assert_ne!(watch, 0, "{name}");
            assert_eq!(call_name(call as u32), name);
        }
        let set = watches.iter().filter(|&&watch| watch != 0).count();
        assert_eq!(set, WATCHED.len());
        assert_eq!(call_name(libc::SYS_getpid as u32), "call 39");
    }

    #[test]
    fn what_is_every_day_is_not_looked_at() {
        let watches = call_watches();
        // An empty queue, a full socket, a lock that is held.
        for call in [libc::SYS_accept4, libc::SYS_writev, libc::SYS_fcntl] {
            assert_eq!(watches[call as usize] & CallWatch::AGAIN, 0, "call {call}");
        }
        for call in [libc::SYS_futex, libc::SYS_read, libc::SYS_epoll_wait] {
            assert_eq!(watches[call as usize], 0, "call {call}");
        }
    }
}
