//! Where the running kernel keeps the fields that the programs read, from its BTF.

use btf_rs::{Backend, Btf, BtfType, Struct, Type};
use mpm_observer_common::{ABSENT, Offsets};

use super::KernelError;

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// The running kernel's types.
pub struct KernelTypes {
    btf: Btf,
}

/// Of the controller that bounds tasks.
#[derive(Clone, Copy)]
struct PidsCgroup {
    css_set: u32,
    css: u32,
    counter: u32,
    limit: u32,
}

/// Of the controller that bounds memory; `counter` from the state for the controller on.
#[derive(Clone, Copy)]
struct MemoryCgroup {
    css_set: u32,
    counter: u32,
    usage: u32,
    max: u32,
    parent: u32,
}

impl KernelTypes {
    /// Reads the running kernel's BTF.
    ///
    /// # Errors
    /// [`KernelError::NoBtf`] where there is none.
    pub fn of_running_kernel() -> Result<Self, KernelError> {
        // Parsing all of it into memory takes some 40 MB for two dozen questions. Kernels before
        // 6.16 do not let it be mapped.
        Btf::from_file_with_backend(BTF_PATH, Backend::Mmap)
            .or_else(|_| Btf::from_file_with_backend(BTF_PATH, Backend::Cache))
            .map(|btf| Self { btf })
            .map_err(|error| KernelError::NoBtf(error.to_string()))
    }

    /// Whether there is a tracepoint that `tp_btf` programs can be attached to.
    #[must_use]
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.btf
            .resolve_types_by_name(&format!("btf_trace_{name}"))
            .is_ok_and(|types| !types.is_empty())
    }

    /// Whether programs can be run for all of something, such as the sockets of `tcp`.
    #[must_use]
    pub fn has_iterator(&self, name: &str) -> bool {
        self.btf
            .resolve_types_by_name(&format!("bpf_iter_{name}"))
            .is_ok_and(|types| !types.is_empty())
    }

    /// All offsets that the programs need.
    ///
    /// # Errors
    /// [`KernelError::NoField`] with the first field that this kernel does not have.
    pub fn offsets(&self) -> Result<Offsets, KernelError> {
        let common = |field: &str| self.offset("sock", &format!("__sk_common.{field}"));
        let iowait_bit = self.bit_offset_of("task_struct", "in_iowait")?;
        let (rss, pids, memory) = (
            self.resident_pages(),
            self.pids_cgroup(),
            self.memory_cgroup(),
        );
        Ok(Offsets {
            task_pid: self.offset("task_struct", "pid")?,
            task_tgid: self.offset("task_struct", "tgid")?,
            task_exit_code: self.offset("task_struct", "exit_code")?,
            task_nvcsw: self.offset("task_struct", "nvcsw")?,
            task_nivcsw: self.offset("task_struct", "nivcsw")?,
            task_min_flt: self.offset("task_struct", "min_flt")?,
            task_maj_flt: self.offset("task_struct", "maj_flt")?,
            task_run_delay: self.offset("task_struct", "sched_info.run_delay")?,
            task_last_arrival: self.offset("task_struct", "sched_info.last_arrival")?,
            task_iowait: iowait_bit / 8,
            task_iowait_mask: 1 << (iowait_bit % 8),
            regs_syscall: self.offset("pt_regs", "orig_ax")?,
            task_files: self.offset("task_struct", "files")?,
            files_fdt: self.offset("files_struct", "fdt")?,
            fdtable_fd: self.offset("fdtable", "fd")?,
            file_private_data: self.offset("file", "private_data")?,
            socket_sk: self.offset("socket", "sk")?,
            sk_family: common("skc_family")?,
            sk_state: common("skc_state")?,
            sk_num: common("skc_num")?,
            sk_wmem_queued: self.offset("sock", "sk_wmem_queued")?,
            sk_sndbuf: self.offset("sock", "sk_sndbuf")?,
            sk_dport: common("skc_dport")?,
            sk_daddr: common("skc_daddr")?,
            sk_rcv_saddr: common("skc_rcv_saddr")?,
            sk_v6_daddr: common("skc_v6_daddr")?,
            sk_v6_rcv_saddr: common("skc_v6_rcv_saddr")?,
            sk_net: common("skc_net.net")?,
            net_number: self.offset("net", "ns.inum")?,
            sk_socket: self.offset("sock", "sk_socket")?,
            regs_di: self.offset("pt_regs", "di")?,
            regs_si: self.offset("pt_regs", "si")?,
            regs_dx: self.offset("pt_regs", "dx")?,
            regs_r10: self.offset("pt_regs", "r10")?,
            task_signal: self.offset("task_struct", "signal")?,
            task_mm: self.offset("task_struct", "mm")?,
            task_cred: self.offset("task_struct", "cred")?,
            // A kernel without cgroups has none.
            task_cgroups: self.offset("task_struct", "cgroups").unwrap_or(ABSENT),
            signal_rlim: self.offset("signal_struct", "rlim")?,
            mm_total_vm: self.offset("mm_struct", "total_vm")?,
            mm_data_vm: self.offset("mm_struct", "data_vm")?,
            mm_rss: rss.map_or(ABSENT, |(first, _)| first),
            mm_rss_stride: rss.map_or(0, |(_, stride)| stride),
            cred_euid: self.offset("cred", "euid")?,
            cred_ucounts: self.offset("cred", "ucounts")?,
            ucounts_processes: self.processes_of_user().unwrap_or(ABSENT),
            fdtable_max_fds: self.offset("fdtable", "max_fds")?,
            fdtable_open_fds: self.offset("fdtable", "open_fds")?,
            css_set_pids: pids.map_or(ABSENT, |pids| pids.css_set),
            pids_css: pids.map_or(0, |pids| pids.css),
            pids_counter: pids.map_or(0, |pids| pids.counter),
            pids_limit: pids.map_or(0, |pids| pids.limit),
            css_parent: self
                .offset("cgroup_subsys_state", "parent")
                .unwrap_or(ABSENT),
            css_set_memory: memory.map_or(ABSENT, |memory| memory.css_set),
            css_memory: memory.map_or(0, |memory| memory.counter),
            page_counter_usage: memory.map_or(0, |memory| memory.usage),
            page_counter_max: memory.map_or(0, |memory| memory.max),
            page_counter_parent: memory.map_or(0, |memory| memory.parent),
            siginfo_code: self.offset("kernel_siginfo", "si_code")?,
            skb_head: self.offset("sk_buff", "head")?,
            skb_len: self.offset("sk_buff", "len")?,
            skb_network_header: self.offset("sk_buff", "network_header")?,
            inet_sport: self.offset("inet_sock", "inet_sport")?,
            sk_ack_backlog: self.offset("sock", "sk_ack_backlog")?,
            sk_max_ack_backlog: self.offset("sock", "sk_max_ack_backlog")?,
        })
    }

    /// The kernel's number of the reason for which it drops what finds the accept queue full;
    /// `None` on kernels that give no such reason.
    #[must_use]
    pub fn listen_overflow(&self) -> Option<u32> {
        self.constant("skb_drop_reason", "SKB_DROP_REASON_TCP_LISTEN_OVERFLOW")
    }

    /// Where the counters of an address space's resident pages begin, and how far they lie apart.
    fn resident_pages(&self) -> Option<(u32, u32)> {
        let all = self.offset("mm_struct", "rss_stat").ok()?;
        // Since 6.2 each is a counter that every CPU adds to.
        if let Ok(count) = self.offset("mm_rss_stat", "count") {
            return Some((all + count, 8));
        }
        let count = self.offset("percpu_counter", "count").ok()?;
        Some((all + count, self.size("percpu_counter")?))
    }

    fn processes_of_user(&self) -> Option<u32> {
        let number = self.constant("rlimit_type", "UCOUNT_RLIMIT_NPROC")?;
        Some(self.offset("ucounts", "rlimit").ok()? + 8 * number)
    }

    fn pids_cgroup(&self) -> Option<PidsCgroup> {
        Some(PidsCgroup {
            css_set: self.cgroup_state("pids_cgrp_id")?,
            css: self.offset("pids_cgroup", "css").ok()?,
            counter: self.offset("pids_cgroup", "counter").ok()?,
            limit: self.offset("pids_cgroup", "limit").ok()?,
        })
    }

    fn memory_cgroup(&self) -> Option<MemoryCgroup> {
        let css = self.offset("mem_cgroup", "css").ok()?;
        let counter = self.offset("mem_cgroup", "memory").ok()?;
        Some(MemoryCgroup {
            css_set: self.cgroup_state("memory_cgrp_id")?,
            counter: counter.checked_sub(css)?,
            usage: self.offset("page_counter", "usage").ok()?,
            max: self.offset("page_counter", "max").ok()?,
            parent: self.offset("page_counter", "parent").ok()?,
        })
    }

    /// Where a task's cgroups keep the state for a controller.
    fn cgroup_state(&self, controller: &str) -> Option<u32> {
        let number = self.constant("cgroup_subsys_id", controller)?;
        Some(self.offset("css_set", "subsys").ok()? + 8 * number)
    }

    /// The value of a member of `enum name`.
    fn constant(&self, name: &str, member: &str) -> Option<u32> {
        let types = self.btf.resolve_types_by_name(name).ok()?;
        types.iter().find_map(|found| {
            let Type::Enum(found) = found else {
                return None;
            };
            let mut members = found.members.iter();
            members
                .find(|one| self.btf.resolve_name(*one).is_ok_and(|name| name == member))
                .map(|one| one.val())
        })
    }

    /// Size of `struct name`, bytes.
    fn size(&self, name: &str) -> Option<u32> {
        let types = self.btf.resolve_types_by_name(name).ok()?;
        types.iter().find_map(|found| match found {
            Type::Struct(found) => found.size().try_into().ok(),
            _ => None,
        })
    }

    /// Offset in bytes of `path` (fields joined by dots) in `struct name`. Members of unnamed
    /// structures and unions count as their owner's.
    fn offset(&self, name: &str, path: &str) -> Result<u32, KernelError> {
        match self.bit_offset_of(name, path)? {
            bits if bits % 8 == 0 => Ok(bits / 8),
            _ => Err(KernelError::NoField(format!("{name}.{path}"))),
        }
    }

    /// The same in bits.
    fn bit_offset_of(&self, name: &str, path: &str) -> Result<u32, KernelError> {
        let missing = || KernelError::NoField(format!("{name}.{path}"));
        let types = self
            .btf
            .resolve_types_by_name(name)
            .map_err(|_| missing())?;
        types
            .iter()
            .find_map(|found| match found {
                Type::Struct(found) => self.bit_offset(found, path),
                _ => None,
            })
            .ok_or_else(missing)
    }

    fn bit_offset(&self, owner: &Struct, path: &str) -> Option<u32> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        owner.members.iter().find_map(|member| {
            let name = self.btf.resolve_name(member).unwrap_or_default();
            let deeper = if name == first {
                match rest {
                    None => return Some(member.bit_offset()),
                    Some(rest) => rest,
                }
            } else if name.is_empty() {
                path
            } else {
                return None;
            };
            let inner = self.bit_offset(&self.composite(member)?, deeper)?;
            Some(member.bit_offset() + inner)
        })
    }

    /// The structure or union that a member is of, through typedefs and qualifiers.
    fn composite(&self, member: &dyn BtfType) -> Option<Struct> {
        self.btf
            .chained_type_iter(member)
            .find_map(|found| match found {
                Type::Struct(inner) | Type::Union(inner) => Some(inner),
                _ => None,
            })
    }
}
