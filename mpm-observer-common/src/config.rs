//! What the loader writes into the programs' read-only data before they are verified.

/// System calls that [`Settings::syscalls`] has room for, a power of two.
pub const SYSCALLS: usize = 512;

/// Ports that can be watched at once.
pub const PORTS: usize = 8;

/// What to watch.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The ports that the server listens on, host byte order; 0 ends them.
    pub ports: [u16; PORTS],
    /// The number of the network namespace that they are in; 0: any.
    pub network: u32,
    /// 1: events are traced as well, while [`TraceWindow`] lasts.
    pub tracing: u32,
    /// The kernel's number of the reason for which it drops what finds the accept queue full.
    pub listen_overflow: u32,
    /// Zero.
    pub reserved: u32,
    /// By number of the system call: the [`BlockedIn`](crate::BlockedIn) of a task that blocks
    /// in it, as long as its state does not say otherwise; [`RESTARTED`](crate::RESTARTED) of
    /// `restart_syscall`.
    pub syscalls: [u8; SYSCALLS],
    /// By number of the system call: bits of [`CallWatch`](crate::CallWatch).
    pub calls: [u8; SYSCALLS],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ports: [0; PORTS],
            network: 0,
            tracing: 0,
            listen_overflow: 0,
            reserved: 0,
            syscalls: [0; SYSCALLS],
            calls: [0; SYSCALLS],
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

/// The offset of what this kernel does not have, such as a cgroup controller.
pub const ABSENT: u32 = u32::MAX;

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
    /// `sock.__sk_common.skc_net`
    pub sk_net: u32,
    /// `net.ns.inum`
    pub net_number: u32,
    /// `sock.sk_socket`
    pub sk_socket: u32,
    /// `pt_regs.di`: the first argument of the system call
    pub regs_di: u32,
    /// `pt_regs.si`: the second
    pub regs_si: u32,
    /// `pt_regs.dx`: the third
    pub regs_dx: u32,
    /// `pt_regs.r10`: the fourth
    pub regs_r10: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `task_struct.cred`
    pub task_cred: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `signal_struct.rlim`
    pub signal_rlim: u32,
    /// `mm_struct.total_vm`
    pub mm_total_vm: u32,
    /// `mm_struct.data_vm`
    pub mm_data_vm: u32,
    /// The first counter of `mm_struct.rss_stat`, or [`ABSENT`]
    pub mm_rss: u32,
    /// From one of these counters to the next
    pub mm_rss_stride: u32,
    /// `cred.euid`
    pub cred_euid: u32,
    /// `cred.ucounts`
    pub cred_ucounts: u32,
    /// `ucounts.rlimit[UCOUNT_RLIMIT_NPROC]`, or [`ABSENT`]
    pub ucounts_processes: u32,
    /// `fdtable.max_fds`
    pub fdtable_max_fds: u32,
    /// `fdtable.open_fds`
    pub fdtable_open_fds: u32,
    /// `css_set.subsys[pids_cgrp_id]`, or [`ABSENT`]
    pub css_set_pids: u32,
    /// `pids_cgroup.css`
    pub pids_css: u32,
    /// `pids_cgroup.counter`
    pub pids_counter: u32,
    /// `pids_cgroup.limit`
    pub pids_limit: u32,
    /// `cgroup_subsys_state.parent`
    pub css_parent: u32,
    /// `css_set.subsys[memory_cgrp_id]`, or [`ABSENT`]
    pub css_set_memory: u32,
    /// From `mem_cgroup.css` to `mem_cgroup.memory`
    pub css_memory: u32,
    /// `page_counter.usage`
    pub page_counter_usage: u32,
    /// `page_counter.max`
    pub page_counter_max: u32,
    /// `page_counter.parent`
    pub page_counter_parent: u32,
    /// `kernel_siginfo.si_code`
    pub siginfo_code: u32,
    /// `sk_buff.head`
    pub skb_head: u32,
    /// `sk_buff.len`
    pub skb_len: u32,
    /// `sk_buff.network_header`
    pub skb_network_header: u32,
    /// `inet_sock.inet_sport`, network byte order
    pub inet_sport: u32,
    /// `sock.sk_ack_backlog`
    pub sk_ack_backlog: u32,
    /// `sock.sk_max_ack_backlog`
    pub sk_max_ack_backlog: u32,
}
