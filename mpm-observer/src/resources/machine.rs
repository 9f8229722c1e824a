//! The machine itself.

use std::fs;

use nix::sys::utsname::uname;

use super::memory_cgroup_version;
use crate::recording::Machine;

/// This machine, of whose CPUs so many may be used.
#[must_use]
pub fn machine(cpus: usize) -> Machine {
    let kernel = uname().map_or_else(
        |_| "unknown".into(),
        |name| name.release().to_string_lossy().into_owned(),
    );
    let memory_bytes = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let rest = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kilobytes * 1024)
        })
        .unwrap_or(0);
    Machine {
        kernel,
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes,
        memory_cgroup: memory_cgroup_version(),
    }
}
