//! What the loader writes into the programs' read-only data before they are verified.

/// What to watch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The port that the server listens on, host byte order.
    pub port: u16,
    /// Zero.
    pub reserved: u16,
    /// Where `ret` lies in the `sys_exit_accept4` record, from tracefs's `format` file.
    pub accept_ret_offset: u32,
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
