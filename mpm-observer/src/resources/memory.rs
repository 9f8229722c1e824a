//! Memory of a process, from `/proc/PID/smaps_rollup`.

use std::{fs, io};

/// One process's memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Resident: shared pages count in full.
    pub rss_bytes: u64,
    /// Proportional: a page shared by n processes counts one n-th.
    pub pss_bytes: u64,
    /// Unique: pages that no other process has.
    pub uss_bytes: u64,
}

/// Reads a process's memory. The reader needs to be root or the process's user.
///
/// # Errors
/// When the process has ended, or may not be read.
pub fn read_memory(pid: u32) -> io::Result<ProcessMemory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse(text: &str) -> Option<ProcessMemory> {
    let bytes = |key: &str| -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
        let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    Some(ProcessMemory {
        rss_bytes: bytes("Rss:")?,
        pss_bytes: bytes("Pss:")?,
        uss_bytes: bytes("Private_Clean:")? + bytes("Private_Dirty:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "55d0c0e00000-7ffd00000000 ---p 00000000 00:00 0 [rollup]\n\
        Rss:                4316 kB\nPss:                 265 kB\nPss_Dirty:           180 kB\n\
        Shared_Clean:       3980 kB\nShared_Dirty:        120 kB\n\
        Private_Clean:         0 kB\nPrivate_Dirty:       216 kB\n";

    #[test]
    fn the_three_sizes_are_told_apart() {
        assert_eq!(
            parse(ROLLUP),
            Some(ProcessMemory {
                rss_bytes: 4316 * 1024,
                pss_bytes: 265 * 1024,
                uss_bytes: 216 * 1024,
            })
        );
    }

    #[test]
    fn a_text_without_a_size_is_refused() {
        assert_eq!(parse("Rss: 1 kB\nPss: 1 kB\n"), None);
        assert_eq!(parse(""), None);
    }
}
