//! Where the running kernel keeps the fields that the programs read, from its BTF.

use btf_rs::{Backend, Btf, BtfType, Struct, Type};
use mpm_observer_common::Offsets;

use super::KernelError;

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// The running kernel's types.
pub struct KernelTypes {
    btf: Btf,
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

    /// All offsets that the programs need.
    ///
    /// # Errors
    /// [`KernelError::NoField`] with the first field that this kernel does not have.
    pub fn offsets(&self) -> Result<Offsets, KernelError> {
        let common = |field: &str| self.offset("sock", &format!("__sk_common.{field}"));
        let iowait_bit = self.bit_offset_of("task_struct", "in_iowait")?;
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
