//! What a task that blocks in a system call is blocked in.

use mpm_observer_common::{BlockedIn, RESTARTED, SYSCALLS};
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
}
