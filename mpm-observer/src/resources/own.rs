//! What the observer's own process takes.

use procfs::process::{LimitValue, Process};

/// Figures of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnProcess {
    /// CPU time of all threads since its start, seconds.
    pub cpu_s: f64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Address space, bytes.
    pub virtual_bytes: u64,
    /// Open files.
    pub open_files: u64,
    /// How many may be; `None`: not limited.
    pub open_files_limit: Option<u64>,
    /// When it was started, seconds since 1970.
    pub started_unix_s: f64,
}

/// Reads them; `None` where /proc cannot be read.
#[must_use]
pub fn own_process() -> Option<OwnProcess> {
    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let ticks_per_second = procfs::ticks_per_second() as f64;
    let limit = process.limits().ok()?.max_open_files.soft_limit;
    let booted_unix_s = procfs::boot_time_secs().ok()? as f64;
    Some(OwnProcess {
        cpu_s: (stat.utime + stat.stime) as f64 / ticks_per_second,
        resident_bytes: stat.rss * procfs::page_size(),
        virtual_bytes: stat.vsize,
        open_files: process.fd_count().ok()? as u64,
        open_files_limit: match limit {
            LimitValue::Unlimited => None,
            LimitValue::Value(value) => Some(value),
        },
        started_unix_s: booted_unix_s + stat.starttime as f64 / ticks_per_second,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_process_is_this_one() {
        let own = own_process().unwrap();
        let now_unix_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!(own.started_unix_s <= now_unix_s + 2.0, "{own:?}");
        assert!(own.started_unix_s > now_unix_s - 86_400.0, "{own:?}");
        assert!(own.virtual_bytes >= own.resident_bytes && own.resident_bytes > 100_000);
        assert!(own.open_files >= 3);
    }
}
