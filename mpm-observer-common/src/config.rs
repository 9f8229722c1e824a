//! What the loader writes into the programs' read-only data before they are verified.

/// System calls that [`Settings::syscalls`] has room for, a power of two.
pub const SYSCALLS: usize = 512;

/// What to watch.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The port that the server listens on, host byte order.
    pub port: u16,
    /// 1: events are traced as well, while [`TraceWindow`] lasts.
    pub tracing: u16,
    /// Where `ret` lies in the `sys_exit_accept4` record, from tracefs's `format` file.
    pub accept_ret_offset: u32,
    /// By number of the system call: the [`BlockedIn`](crate::BlockedIn) of a task that blocks
    /// in it, as long as its state does not say otherwise; [`RESTARTED`](crate::RESTARTED) of
    /// `restart_syscall`.
    pub syscalls: [u8; SYSCALLS],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            tracing: 0,
            accept_ret_offset: 0,
            syscalls: [0; SYSCALLS],
        }
    }
}

/// When events are traced; changed by the loader at run time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceWindow {
    /// From when on, ns.
    pub from_ns: u64,
    /// Until when, ns.
    pub until_ns: u64,
}

/// Where the kernel keeps what the programs read (bytes from the start of the structure), from
/// the running kernel's BTF. To the verifier each is a constant.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.exit_code`
    pub task_exit_code: u32,
    /// `task_struct.nvcsw`
    pub task_nvcsw: u32,
    /// `task_struct.nivcsw`
    pub task_nivcsw: u32,
    /// `task_struct.min_flt`
    pub task_min_flt: u32,
    /// `task_struct.maj_flt`
    pub task_maj_flt: u32,
    /// `task_struct.sched_info.run_delay`
    pub task_run_delay: u32,
    /// `task_struct.sched_info.last_arrival`
    pub task_last_arrival: u32,
    /// The byte of `task_struct.in_iowait`
    pub task_iowait: u32,
    /// Its bit in that byte, as a mask.
    pub task_iowait_mask: u32,
    /// `pt_regs.orig_ax`: the number of the system call
    pub regs_syscall: u32,
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.fd`
    pub fdtable_fd: u32,
    /// `file.private_data`
    pub file_private_data: u32,
    /// `socket.sk`
    pub socket_sk: u32,
    /// `sock.__sk_common.skc_family`
    pub sk_family: u32,
    /// `sock.__sk_common.skc_state`
    pub sk_state: u32,
    /// `sock.__sk_common.skc_num`, host byte order
    pub sk_num: u32,
    /// `sock.sk_wmem_queued`
    pub sk_wmem_queued: u32,
    /// `sock.sk_sndbuf`
    pub sk_sndbuf: u32,
    /// `sock.__sk_common.skc_dport`, network byte order
    pub sk_dport: u32,
    /// `sock.__sk_common.skc_daddr`
    pub sk_daddr: u32,
    /// `sock.__sk_common.skc_rcv_saddr`
    pub sk_rcv_saddr: u32,
    /// `sock.__sk_common.skc_v6_daddr`
    pub sk_v6_daddr: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`
    pub sk_v6_rcv_saddr: u32,
}
