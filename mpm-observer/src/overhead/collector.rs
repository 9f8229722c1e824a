//! What the collector itself takes: CPU time, memory, and whether it keeps up.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use super::{
    observer::Observing,
    stand::{Ground, Stand, system},
};
use crate::{kernel::Counters, lab::LabError, scenario::Mpm};

/// The rate that the goals are for, requests per second.
pub const GOAL_RATE_PER_S: f64 = 10_000.0;
/// Most memory that this process may take, bytes.
pub const GOAL_PEAK_BYTES: u64 = 64 << 20;
/// Most of a core that the collector may take at [`GOAL_RATE_PER_S`].
pub const GOAL_CPU_SHARE: f64 = 0.05;

/// The collector over two lengths of one recording.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectorCost {
    /// The MPM.
    pub mpm: Mpm,
    /// Requests that were answered in the whole time.
    pub requests: u64,
    /// How long the recording went on, seconds.
    pub seconds: f64,
    /// CPU time of the collector's thread in that time, seconds.
    pub cpu_seconds: f64,
    /// Most memory of this process before the recording began, bytes.
    pub peak_before_bytes: u64,
    /// … after the first part of it.
    pub peak_early_bytes: u64,
    /// … at its end.
    pub peak_late_bytes: u64,
    /// The books.
    pub counters: Counters,
}

impl CollectorCost {
    /// Answered requests per second.
    #[must_use]
    pub fn rate_per_s(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// The share of a core that the collector takes.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        self.cpu_seconds / self.seconds
    }

    /// The same at [`GOAL_RATE_PER_S`], if each request costs the same there.
    #[must_use]
    pub fn cpu_share_at_goal_rate(&self) -> f64 {
        self.cpu_share() * GOAL_RATE_PER_S / self.rate_per_s()
    }
}

/// Records `mpm` under the keep-alive load for `early` and then for `late`. `None` if the user
/// interrupted.
///
/// # Errors
/// When httpd, the client or the observer fails.
pub fn collector_cost(
    ground: Ground<'_>,
    mpm: Mpm,
    early: Duration,
    late: Duration,
) -> Result<Option<CollectorCost>, LabError> {
    let Some(stand) = Stand::start(ground, mpm)? else {
        return Ok(None);
    };
    let peak = || own_peak_bytes().map_err(system("/proc/self/status"));
    let observing = Observing::start(&stand, &[])?;
    let peak_before_bytes = peak()?;
    let (began, cpu_before_ns) = (Instant::now(), observing.effort().cpu_ns);
    let mut requests = 0;
    let mut peaks = [0; 2];
    for (part, peak_bytes) in [early, late].into_iter().zip(&mut peaks) {
        let Some(summary) = stand.load(true, part)? else {
            observing.finish()?;
            stand.stop()?;
            return Ok(None);
        };
        requests += summary.answered();
        *peak_bytes = peak()?;
    }
    let cpu_ns = observing.effort().cpu_ns.saturating_sub(cpu_before_ns);
    let seconds = began.elapsed().as_secs_f64();
    let counters = observing.finish()?;
    stand.stop()?;
    let [peak_early_bytes, peak_late_bytes] = peaks;
    Ok(Some(CollectorCost {
        mpm,
        requests,
        seconds,
        cpu_seconds: cpu_ns as f64 / 1e9,
        peak_before_bytes,
        peak_early_bytes,
        peak_late_bytes,
        counters,
    }))
}

/// The most memory that this process has had at once.
fn own_peak_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    peak_bytes(&status).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn peak_bytes(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        let status = "VmPeak:\t  999 kB\nVmHWM:\t   43120 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak_bytes(status), Some(43_120 * 1024));
        assert_eq!(peak_bytes("VmRSS:\t 1 kB\n"), None);
        assert!(own_peak_bytes().unwrap() > 1 << 20);
    }

    #[test]
    fn the_share_of_a_core_is_scaled_by_the_rate() {
        let cost = CollectorCost {
            mpm: Mpm::Event,
            requests: 50_000,
            seconds: 10.0,
            cpu_seconds: 0.2,
            peak_before_bytes: 0,
            peak_early_bytes: 0,
            peak_late_bytes: 0,
            counters: Counters::default(),
        };
        assert_eq!(cost.rate_per_s(), 5000.0);
        assert!((cost.cpu_share() - 0.02).abs() < 1e-12);
        assert!((cost.cpu_share_at_goal_rate() - 0.04).abs() < 1e-12);
    }
}
