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
    AcceptQueue, ListenCounters, Listener, children_of, cpu_ns_with_ended, listen_counters_of,
    process_stat, processes::ProcessStat, read_memory,
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
    /// The accept queue's limit where the kernel does not tell it; `None`: not known.
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
    let listeners: Vec<Listener> = targets
        .ports
        .iter()
        .map(|port| Listener::new(targets.parent, port))
        .collect();
    loop {
        // The last look comes after the stop, so that the end state is in the tables.
        let stopping = stop.load(Ordering::Relaxed);
        let children = children_of(targets.parent).unwrap_or_default();
        samples.push(look(targets, &listeners, &children, &mut counters))?;
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
fn look(
    targets: &SampleTargets<'_>,
    listeners: &[Listener],
    children: &[u32],
    counters: &mut ListenCounters,
) -> SampleRow {
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
    let queue = together(listeners.iter().filter_map(Listener::queue));
    let limit = queue.map(|queue| queue.limit).filter(|limit| *limit > 0);
    let processes = stats.len() + usize::from(parent.is_some());
    let parent = parent.unwrap_or_default();
    SampleRow {
        t_ns,
        processes: u32::try_from(processes).unwrap_or(u32::MAX),
        tasks: parent.threads + stats.iter().map(|stat| stat.threads).sum::<u32>(),
        server_cpu_ns: cpu_ns_with_ended(&parent, &stats),
        client_cpu_ns,
        accept_queue: queue.map(|queue| queue.length),
        accept_queue_limit: limit.or(queue.and(targets.accept_queue_limit)),
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

/// Several queues as one; its limit is known if all are. `None` of none.
fn together(queues: impl Iterator<Item = AcceptQueue>) -> Option<AcceptQueue> {
    queues.reduce(|one, other| AcceptQueue {
        length: one.length.saturating_add(other.length),
        limit: match one.limit.min(other.limit) {
            0 => 0,
            _ => one.limit.saturating_add(other.limit),
        },
    })
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
    use std::net::{TcpListener, TcpStream};

    use nix::sys::socket::{Backlog, listen};

    use super::*;
    use crate::recording::read_table;

    #[test]
    fn several_queues_are_sampled_as_one_with_their_limit() {
        let queue = |length, limit| AcceptQueue { length, limit };
        assert_eq!(together([].into_iter()), None);
        let both = together([queue(3, 10), queue(4, 20)].into_iter());
        assert_eq!(both, Some(queue(7, 30)));
        let unknown = together([queue(3, 10), queue(4, 0), queue(1, 5)].into_iter());
        assert_eq!(unknown, Some(queue(8, 0)));
    }

    /// What is sampled once of this process's listeners on a port.
    fn sampled(port: u16, accept_queue_limit: Option<u32>) -> SampleRow {
        let dir = tempfile::tempdir().unwrap();
        let targets = SampleTargets {
            parent: std::process::id(),
            ports: port.into(),
            accept_queue_limit,
            client: &AtomicU32::new(0),
            cgroup_memory: None,
            cgroup_tasks: None,
        };
        sample(dir.path(), &targets, &AtomicBool::new(true)).unwrap();
        let mut rows = read_table::<SampleRow>(dir.path()).unwrap().rows;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    #[test]
    fn the_listeners_of_all_addresses_of_a_port_are_sampled_with_the_kernels_limit() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        // Nobody else listens at this address.
        let second = TcpListener::bind(("127.45.0.1", port)).unwrap();
        listen(&first, Backlog::new(5).unwrap()).unwrap();
        listen(&second, Backlog::new(6).unwrap()).unwrap();
        let connect =
            |listener: &TcpListener| TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _clients = [connect(&first), connect(&second), connect(&second)];
        // That of a configuration matters only where the kernel tells none.
        for configured in [None, Some(511)] {
            let row = sampled(port, configured);
            let expected = (Some(3), Some(11));
            assert_eq!((row.accept_queue, row.accept_queue_limit), expected);
        }
    }

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
