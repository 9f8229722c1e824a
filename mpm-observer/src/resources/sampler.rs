//! Looks at httpd's processes, its accept queue and its cgroup at regular times.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use loadgen::clock::monotonic_ns;

use super::{
    ListenCounters, accept_queue, children_of, cpu_ns_with_ended, listen_counters_of, process_stat,
    processes::ProcessStat, read_memory,
};
use crate::{
    kernel::Ports,
    recording::{MemoryRow, RecordingError, SampleRow, TableWriter},
};

/// Between two looks at counts and queues.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// Memory is read less often: the kernel walks all page tables of each process for it.
const MEMORY_EVERY: u32 = 5;

/// What to look at.
#[derive(Debug)]
pub struct SampleTargets<'a> {
    /// httpd's first process.
    pub parent: u32,
    /// httpd's ports. Their accept queues are taken together.
    pub ports: Ports,
    /// The accept queue's limit; `None`: not known.
    pub accept_queue_limit: Option<u32>,
    /// Process id of the load generator; 0 while there is none.
    pub client: &'a AtomicU32,
    /// File with the memory of the run's cgroup.
    pub cgroup_memory: Option<PathBuf>,
    /// File with the tasks of the run's cgroup.
    pub cgroup_tasks: Option<PathBuf>,
}

/// Samples until `stop` and writes the tables `samples` and `memory`.
///
/// # Errors
/// When a table cannot be written. Processes that end while they are looked at are left out.
pub fn sample(
    run_dir: &Path,
    targets: &SampleTargets<'_>,
    stop: &AtomicBool,
) -> Result<(), RecordingError> {
    let mut samples = TableWriter::create(run_dir)?;
    let mut memory = TableWriter::create(run_dir)?;
    let mut due = Instant::now();
    let mut looks = 0_u32;
    let mut counters = ListenCounters::default();
    loop {
        // The last look comes after the stop, so that the end state is in the tables.
        let stopping = stop.load(Ordering::Relaxed);
        let children = children_of(targets.parent).unwrap_or_default();
        samples.push(look(targets, &children, &mut counters))?;
        if stopping || looks.is_multiple_of(MEMORY_EVERY) {
            for row in memory_rows(targets.parent, &children) {
                memory.push(row)?;
            }
        }
        samples.tick()?;
        memory.tick()?;
        if stopping {
            break;
        }
        looks = looks.wrapping_add(1);
        due += SAMPLE_INTERVAL;
        // After a delay the missed looks are not made up for.
        due = due.max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    samples.finish()?;
    memory.finish()?;
    Ok(())
}

/// `counters` are those of the last look, which stay when httpd is gone.
fn look(targets: &SampleTargets<'_>, children: &[u32], counters: &mut ListenCounters) -> SampleRow {
    let t_ns = monotonic_ns();
    let parent = process_stat(targets.parent).ok();
    let stats: Vec<ProcessStat> = children
        .iter()
        .filter_map(|&pid| process_stat(pid).ok())
        .collect();
    let client_cpu_ns = match targets.client.load(Ordering::Relaxed) {
        0 => 0,
        pid => process_stat(pid).map_or(0, |stat| cpu_ns_with_ended(&stat, &[])),
    };
    // httpd may live in a network namespace of its own.
    if let Ok(now) = listen_counters_of(targets.parent) {
        *counters = now;
    }
    let queues = targets.ports.iter();
    let accept_queue = queues
        .filter_map(|port| accept_queue(targets.parent, port))
        .reduce(u32::saturating_add);
    let processes = stats.len() + usize::from(parent.is_some());
    let parent = parent.unwrap_or_default();
    SampleRow {
        t_ns,
        processes: u32::try_from(processes).unwrap_or(u32::MAX),
        tasks: parent.threads + stats.iter().map(|stat| stat.threads).sum::<u32>(),
        server_cpu_ns: cpu_ns_with_ended(&parent, &stats),
        client_cpu_ns,
        accept_queue,
        accept_queue_limit: accept_queue.and(targets.accept_queue_limit),
        listen_overflows: counters.overflows,
        listen_drops: counters.drops,
        cgroup_bytes: targets
            .cgroup_memory
            .as_deref()
            .and_then(|path| read_number(path).ok()),
        cgroup_tasks: targets
            .cgroup_tasks
            .as_deref()
            .and_then(|path| u32::try_from(read_number(path).ok()?).ok()),
    }
}

fn read_number(path: &Path) -> io::Result<u64> {
    fs::read_to_string(path)?
        .trim()
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn memory_rows(parent: u32, children: &[u32]) -> Vec<MemoryRow> {
    let sum = |role: &str, pids: &[u32]| {
        let mut row = MemoryRow {
            t_ns: monotonic_ns(),
            role: role.into(),
            ..MemoryRow::default()
        };
        for &pid in pids {
            let (Ok(memory), Ok(stat)) = (read_memory(pid), process_stat(pid)) else {
                continue;
            };
            row.processes += 1;
            row.tasks += stat.threads;
            row.pss_bytes += memory.pss_bytes;
            row.uss_bytes += memory.uss_bytes;
            row.rss_bytes += memory.rss_bytes;
            row.virtual_bytes += stat.virtual_bytes;
        }
        row
    };
    vec![sum("parent", &[parent]), sum("child", children)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::read_table;

    #[test]
    fn a_process_without_children_is_sampled_at_least_once_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let targets = SampleTargets {
            parent: std::process::id(),
            ports: 1.into(),
            accept_queue_limit: Some(511),
            client: &AtomicU32::new(0),
            cgroup_memory: None,
            cgroup_tasks: None,
        };
        sample(dir.path(), &targets, &AtomicBool::new(true)).unwrap();
        let samples = read_table::<SampleRow>(dir.path()).unwrap().rows;
        assert_eq!(samples.len(), 1);
        assert!(samples[0].tasks >= 1);
        assert_eq!(samples[0].accept_queue, None);
        let memory = read_table::<MemoryRow>(dir.path()).unwrap().rows;
        let parent = memory.iter().find(|row| row.role == "parent").unwrap();
        assert!(parent.rss_bytes >= parent.pss_bytes && parent.pss_bytes >= parent.uss_bytes);
        assert!(parent.uss_bytes > 0);
    }
}
