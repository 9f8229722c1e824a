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

/// The system calls whose end is looked at, by name and number, and for what.
const WATCHED: &[(&str, libc::c_long, u8)] = &[
    (
        "clone",
        libc::SYS_clone,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "clone3",
        libc::SYS_clone3,
        CallWatch::RESOURCE | CallWatch::AGAIN | CallWatch::CLONE3,
    ),
    (
        "fork",
        libc::SYS_fork,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "vfork",
        libc::SYS_vfork,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "execve",
        libc::SYS_execve,
        CallWatch::RESOURCE | CallWatch::AGAIN | CallWatch::EXEC,
    ),
    (
        "execveat",
        libc::SYS_execveat,
        CallWatch::RESOURCE | CallWatch::AGAIN | CallWatch::EXEC,
    ),
    (
        "mmap",
        libc::SYS_mmap,
        CallWatch::RESOURCE | CallWatch::AGAIN | CallWatch::MMAP,
    ),
    ("brk", libc::SYS_brk, CallWatch::RESOURCE | CallWatch::BRK),
    (
        "mprotect",
        libc::SYS_mprotect,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "mremap",
        libc::SYS_mremap,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    ("munmap", libc::SYS_munmap, CallWatch::RESOURCE),
    (
        "mlock",
        libc::SYS_mlock,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "accept4",
        libc::SYS_accept4,
        CallWatch::RESOURCE | CallWatch::ACCEPT,
    ),
    ("accept", libc::SYS_accept, CallWatch::RESOURCE),
    ("open", libc::SYS_open, CallWatch::RESOURCE),
    ("openat", libc::SYS_openat, CallWatch::RESOURCE),
    ("openat2", libc::SYS_openat2, CallWatch::RESOURCE),
    ("creat", libc::SYS_creat, CallWatch::RESOURCE),
    ("memfd_create", libc::SYS_memfd_create, CallWatch::RESOURCE),
    ("socket", libc::SYS_socket, CallWatch::RESOURCE),
    ("socketpair", libc::SYS_socketpair, CallWatch::RESOURCE),
    ("pipe", libc::SYS_pipe, CallWatch::RESOURCE),
    ("pipe2", libc::SYS_pipe2, CallWatch::RESOURCE),
    ("dup", libc::SYS_dup, CallWatch::RESOURCE),
    ("dup2", libc::SYS_dup2, CallWatch::RESOURCE),
    ("dup3", libc::SYS_dup3, CallWatch::RESOURCE),
    ("fcntl", libc::SYS_fcntl, CallWatch::RESOURCE),
    ("epoll_create", libc::SYS_epoll_create, CallWatch::RESOURCE),
    (
        "epoll_create1",
        libc::SYS_epoll_create1,
        CallWatch::RESOURCE,
    ),
    ("epoll_ctl", libc::SYS_epoll_ctl, CallWatch::RESOURCE),
    ("eventfd", libc::SYS_eventfd, CallWatch::RESOURCE),
    ("eventfd2", libc::SYS_eventfd2, CallWatch::RESOURCE),
    (
        "timerfd_create",
        libc::SYS_timerfd_create,
        CallWatch::RESOURCE,
    ),
    ("signalfd4", libc::SYS_signalfd4, CallWatch::RESOURCE),
    (
        "inotify_init1",
        libc::SYS_inotify_init1,
        CallWatch::RESOURCE,
    ),
    (
        "bind",
        libc::SYS_bind,
        CallWatch::RESOURCE | CallWatch::REFUSED,
    ),
    (
        "listen",
        libc::SYS_listen,
        CallWatch::RESOURCE | CallWatch::REFUSED,
    ),
    ("connect", libc::SYS_connect, CallWatch::RESOURCE),
    ("sendto", libc::SYS_sendto, CallWatch::RESOURCE),
    ("sendmsg", libc::SYS_sendmsg, CallWatch::RESOURCE),
    ("sendfile", libc::SYS_sendfile, CallWatch::RESOURCE),
    (
        "setuid",
        libc::SYS_setuid,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "setreuid",
        libc::SYS_setreuid,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "setresuid",
        libc::SYS_setresuid,
        CallWatch::RESOURCE | CallWatch::AGAIN,
    ),
    (
        "setrlimit",
        libc::SYS_setrlimit,
        CallWatch::RESOURCE | CallWatch::REFUSED,
    ),
    (
        "prlimit64",
        libc::SYS_prlimit64,
        CallWatch::RESOURCE | CallWatch::REFUSED,
    ),
    ("semget", libc::SYS_semget, CallWatch::RESOURCE),
    ("semop", libc::SYS_semop, CallWatch::RESOURCE),
    ("shmget", libc::SYS_shmget, CallWatch::RESOURCE),
    ("shmat", libc::SYS_shmat, CallWatch::RESOURCE),
    ("write", libc::SYS_write, CallWatch::RESOURCE),
    ("writev", libc::SYS_writev, CallWatch::RESOURCE),
    ("pwrite64", libc::SYS_pwrite64, CallWatch::RESOURCE),
    ("pwritev", libc::SYS_pwritev, CallWatch::RESOURCE),
    ("ftruncate", libc::SYS_ftruncate, CallWatch::RESOURCE),
    ("fallocate", libc::SYS_fallocate, CallWatch::RESOURCE),
    ("mkdir", libc::SYS_mkdir, CallWatch::RESOURCE),
    ("mkdirat", libc::SYS_mkdirat, CallWatch::RESOURCE),
    ("rename", libc::SYS_rename, CallWatch::RESOURCE),
    ("renameat2", libc::SYS_renameat2, CallWatch::RESOURCE),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_call_has_its_kind_and_the_others_have_none() {
        let kinds = syscall_kinds();
        for (kind, calls) in KINDS {
            for &call in *calls {
                assert_eq!(kinds[call as usize], *kind as u8, "call {call}");
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
