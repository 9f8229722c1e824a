//! What else goes on: how busy the CPUs are, whoever it is for.

use std::{fs, io};

/// CPU time that was used on `cpus` since the system started, nanoseconds in steps of a clock
/// tick; of a virtual machine, also what the host took away.
pub(crate) fn busy_ns(cpus: &[usize]) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    busy_ticks(&text, cpus)
        .map(|ticks| ticks * (1_000_000_000 / procfs::ticks_per_second()))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The sum over `cpus` of all columns but idle and I/O wait, and but the guests' time, which is
/// in the first two already.
fn busy_ticks(stat: &str, cpus: &[usize]) -> Option<u64> {
    cpus.iter()
        .map(|cpu| {
            let name = format!("cpu{cpu} ");
            let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
            let columns: Vec<u64> = line
                .split_whitespace()
                .map(|column| column.parse().ok())
                .collect::<Option<_>>()?;
            let busy = [0, 1, 2, 5, 6, 7].map(|index| columns.get(index).copied().unwrap_or(0));
            Some(busy.iter().sum::<u64>())
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  300 0 0 900 0 0 0 0 0 0\n\
        cpu0 100 1 20 400 30 4 5 6 7 8\n\
        cpu1 200 2 30 500 40 5 6 7 8 9\n\
        cpu10 9 9 9 9 9 9 9 9 9 9\nintr 1 2 3\n";

    #[test]
    fn idle_io_wait_and_guests_are_not_counted() {
        assert_eq!(busy_ticks(STAT, &[0]), Some(136));
        assert_eq!(busy_ticks(STAT, &[0, 1]), Some(136 + 250));
    }

    #[test]
    fn a_cpu_that_is_not_there_is_not_taken_for_another() {
        assert_eq!(busy_ticks(STAT, &[2]), None);
        assert_eq!(busy_ticks(STAT, &[10]), Some(54));
    }

    #[test]
    fn this_machine_tells() {
        let cpu = crate::lab::allowed_cpus().unwrap()[0];
        assert!(busy_ns(&[cpu]).unwrap() > 0);
    }
}
