//! Which limit a refused call had reached, by the arithmetic that the kernel does.

use nix::errno::Errno;

use crate::recording::{FailureRow, Purpose};

/// The kernel counts pages, so that sizes are rounded up and limits down. Where pages are larger
/// than this least size, a call within one page of its limit is not decided.
const PAGE: u64 = 4096;
/// What the kernel charges to a control group at once, beyond which it does not look.
const CHARGE: u64 = 64 * PAGE;

/// A limit of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reached {
    /// `RLIMIT_AS`
    AddressSpace,
    /// `RLIMIT_DATA`
    Data,
    /// `RLIMIT_NOFILE`
    OpenFiles,
    /// The files of the whole system, `fs.file-max`.
    SystemFiles,
    /// `RLIMIT_NPROC`
    UserTasks,
    /// `pids.max`
    CgroupTasks,
    /// `memory.max` of a control group.
    CgroupMemory,
    /// Room on a file system.
    DiskSpace,
    /// None of those that are in the row.
    Unknown,
}

impl Reached {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AddressSpace,
        Self::Data,
        Self::OpenFiles,
        Self::SystemFiles,
        Self::UserTasks,
        Self::CgroupTasks,
        Self::CgroupMemory,
        Self::DiskSpace,
        Self::Unknown,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressSpace => "address_space",
            Self::Data => "data",
            Self::OpenFiles => "open_files",
            Self::SystemFiles => "system_files",
            Self::UserTasks => "user_tasks",
            Self::CgroupTasks => "cgroup_tasks",
            Self::CgroupMemory => "cgroup_memory",
            Self::DiskSpace => "disk_space",
            Self::Unknown => "unknown",
        }
    }

    /// The limit that made the kernel refuse this call, in the order in which it looks.
    #[must_use]
    pub fn of(row: &FailureRow) -> Self {
        match Errno::from_raw(i32::try_from(row.errno).unwrap_or(0)) {
            Errno::ENOMEM => memory(row),
            Errno::EAGAIN if is_fork(row) => tasks(row),
            Errno::EMFILE => Self::OpenFiles,
            // accept4 has this error where the kernel cannot have memory for a socket.
            Errno::ENFILE if at_memory_of_cgroup(row) => Self::CgroupMemory,
            Errno::ENFILE => Self::SystemFiles,
            Errno::ENOSPC | Errno::EDQUOT => Self::DiskSpace,
            _ => Self::Unknown,
        }
    }
}

/// Whether the call makes a task.
pub(super) fn is_fork(row: &FailureRow) -> bool {
    ["clone", "clone3", "fork", "vfork"].contains(&row.call.as_str())
}

fn memory(row: &FailureRow) -> Reached {
    let beyond = |limit: Option<u64>, used: Option<u64>| match (limit, used) {
        (Some(limit), Some(used)) => {
            let wish = row.bytes.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
            used.saturating_add(wish) > limit / PAGE * PAGE
        }
        _ => false,
    };
    // mprotect maps nothing: it can only turn what is mapped into data. A mapping that may not be
    // written, as a thread's stack is at first, is no data.
    let maps = row.call != "mprotect";
    if maps && !is_fork(row) && beyond(row.address_space_limit, row.address_space) {
        Reached::AddressSpace
    } else if beyond(row.data_limit, row.data) && row.purpose != Purpose::FileMap {
        Reached::Data
    } else if at_memory_of_cgroup(row) {
        Reached::CgroupMemory
    } else {
        Reached::Unknown
    }
}

/// Whether the memory that the kernel itself needs for a call cannot be charged any more.
fn at_memory_of_cgroup(row: &FailureRow) -> bool {
    matches!(
        (row.cgroup_memory_limit, row.cgroup_memory),
        (Some(limit), Some(used)) if used.saturating_add(CHARGE) > limit
    )
}

fn tasks(row: &FailureRow) -> Reached {
    let full = |limit: Option<u64>, used: Option<u64>| matches!((limit, used), (Some(limit), Some(used)) if used >= limit);
    // RLIMIT_NPROC does not bind root.
    if row.uid != 0 && full(row.processes_limit, row.processes) {
        Reached::UserTasks
    } else if full(row.cgroup_tasks_limit, row.cgroup_tasks) {
        Reached::CgroupTasks
    } else {
        Reached::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(call: &str, errno: Errno) -> FailureRow {
        FailureRow {
            call: call.into(),
            errno: errno as u32,
            ..FailureRow::default()
        }
    }

    #[test]
    fn memory_is_refused_by_the_limit_that_the_use_and_the_wish_go_beyond() {
        let row = FailureRow {
            bytes: 8_392_704,
            address_space_limit: Some(512_000_000),
            address_space: Some(505_000_000),
            data_limit: Some(400_000_000),
            data: Some(300_000_000),
            ..call("mmap", Errno::ENOMEM)
        };
        assert_eq!(Reached::of(&row), Reached::AddressSpace);
        let endless = FailureRow {
            bytes: u64::MAX,
            ..row.clone()
        };
        assert_eq!(Reached::of(&endless), Reached::AddressSpace);
        let row = FailureRow {
            data: Some(395_000_000),
            address_space: Some(405_000_000),
            ..row
        };
        assert_eq!(Reached::of(&row), Reached::Data);
        // Both are far from their limits: something else.
        let row = FailureRow {
            data: Some(1_000_000),
            ..row
        };
        assert_eq!(Reached::of(&row), Reached::Unknown);
    }

    #[test]
    fn at_the_edge_the_kernel_counts_pages() {
        let row = |used| FailureRow {
            bytes: 1,
            address_space_limit: Some(10 * PAGE + 100),
            address_space: Some(used),
            ..call("mmap", Errno::ENOMEM)
        };
        assert_eq!(Reached::of(&row(9 * PAGE)), Reached::Unknown);
        assert_eq!(Reached::of(&row(10 * PAGE)), Reached::AddressSpace);
    }

    #[test]
    fn mprotect_can_only_reach_the_limit_of_data() {
        let row = FailureRow {
            bytes: 8_392_704,
            address_space_limit: Some(100),
            address_space: Some(100),
            data_limit: Some(100),
            data: Some(100),
            ..call("mprotect", Errno::ENOMEM)
        };
        assert_eq!(Reached::of(&row), Reached::Data);
    }

    #[test]
    fn a_control_group_at_its_memory_refuses_what_the_kernel_needs_memory_for() {
        let row = |name| FailureRow {
            cgroup_memory_limit: Some(16_777_216),
            cgroup_memory: Some(16_700_000),
            ..call(name, Errno::ENOMEM)
        };
        assert_eq!(Reached::of(&row("accept4")), Reached::CgroupMemory);
        let row_without_socket = FailureRow {
            errno: Errno::ENFILE as u32,
            ..row("accept4")
        };
        assert_eq!(Reached::of(&row_without_socket), Reached::CgroupMemory);
        let with_room = FailureRow {
            cgroup_memory: Some(12_000_000),
            ..row("accept4")
        };
        assert_eq!(Reached::of(&with_room), Reached::Unknown);
    }

    #[test]
    fn a_use_that_is_not_known_decides_nothing() {
        let row = FailureRow {
            bytes: 8_392_704,
            address_space_limit: Some(100),
            ..call("mmap", Errno::ENOMEM)
        };
        assert_eq!(Reached::of(&row), Reached::Unknown);
    }

    #[test]
    fn root_is_not_bound_by_the_tasks_of_its_user() {
        let row = FailureRow {
            uid: 65_534,
            processes_limit: Some(50),
            processes: Some(50),
            cgroup_tasks_limit: Some(60),
            cgroup_tasks: Some(60),
            ..call("clone", Errno::EAGAIN)
        };
        assert_eq!(Reached::of(&row), Reached::UserTasks);
        let row = FailureRow { uid: 0, ..row };
        assert_eq!(Reached::of(&row), Reached::CgroupTasks);
        let row = FailureRow {
            cgroup_tasks: Some(59),
            ..row
        };
        assert_eq!(Reached::of(&row), Reached::Unknown);
    }

    #[test]
    fn files_and_disks_are_told_by_the_error_alone() {
        let of = |errno| Reached::of(&call("openat", errno));
        assert_eq!(of(Errno::EMFILE), Reached::OpenFiles);
        assert_eq!(of(Errno::ENFILE), Reached::SystemFiles);
        assert_eq!(of(Errno::ENOSPC), Reached::DiskSpace);
        // Nothing to fork: EAGAIN says nothing about tasks.
        assert_eq!(of(Errno::EAGAIN), Reached::Unknown);
    }
}
