//! The figures of one run, from its recording.

use std::collections::{BTreeMap, HashSet};

use super::{CountCheck, Join, Phases, TaskDeltas, join, phases, task_deltas};
use crate::{
    httpd::Role,
    recording::{
        ClientRow, FailureRow, KernelRow, Manifest, MemoryRow, Moment, RecordingError, RunDir,
        SampleRow, SlotRow, StatusRow, TaskRow, read_table,
    },
    statistics::quantile,
};

/// What the samples of a run come to, during the load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleSummary {
    /// Most memory charged to the run's cgroup, bytes.
    pub cgroup_max_bytes: Option<u64>,
    /// Largest sum of PSS over all processes, bytes.
    pub pss_max_bytes: Option<u64>,
    /// Sum of USS at that moment, bytes.
    pub uss_bytes: Option<u64>,
    /// Sum of RSS at that moment, bytes.
    pub rss_bytes: Option<u64>,
    /// Largest sum of virtual sizes, bytes.
    pub virtual_max_bytes: Option<u64>,
    /// Most tasks.
    pub tasks_max: u32,
    /// Most processes.
    pub processes_max: u32,
    /// Longest accept queue seen.
    pub accept_queue_max: u32,
    /// Increase of the kernel's `ListenOverflows`.
    pub listen_overflows: u64,
    /// Increase of the kernel's `ListenDrops`.
    pub listen_drops: u64,
    /// Looks at mod_status.
    pub status_looks: u64,
    /// … of which were answered within a second.
    pub status_answered: u64,
}

/// One run, analysed. The tables are kept for the plots.
#[derive(Clone, Debug)]
pub struct RunAnalysis {
    /// The run's manifest.
    pub manifest: Manifest,
    /// The client's rows, warming up, retries and stale attempts included.
    pub client: Vec<ClientRow>,
    /// The kernel's rows, all of the run.
    pub kernel: Vec<KernelRow>,
    /// Samples over time, all of the run.
    pub samples: Vec<SampleRow>,
    /// Memory over time, all of the run.
    pub memory: Vec<MemoryRow>,
    /// What failed in the kernel, all of the run.
    pub failures: Vec<FailureRow>,
    /// Each task at its end.
    pub ends: Vec<TaskRow>,
    /// Looks at mod_status, all of the run.
    pub status: Vec<StatusRow>,
    /// Looks at the slots; of live servers only.
    pub slots: Vec<SlotRow>,
    /// Both sides of each request; indices into `client` and `kernel`.
    pub join: Join,
    /// Latencies of the successful requests, ascending, ns.
    pub latencies_ns: Vec<u64>,
    /// Attempts by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// What httpd's tasks did during the load.
    pub tasks: TaskDeltas,
    /// Waits in the accept queue of the connections of the load, ascending, ns.
    pub accept_waits_ns: Vec<u64>,
    /// Waits for a CPU of each joined request while it was served, ascending, ns.
    pub run_queue_waits_ns: Vec<u64>,
    /// What the samples come to.
    pub sampled: SampleSummary,
    /// The probes' counts of each task beside the kernel's.
    pub counts: CountCheck,
    /// Parts of tables that could not be read.
    pub unreadable: Vec<String>,
}

impl RunAnalysis {
    /// Begin and end of the measured load, of a live server those of the recording; both 0 if
    /// there was none.
    #[must_use]
    pub fn load_ns(&self) -> (u64, u64) {
        load_ns(&self.manifest, &self.client, &self.kernel, &self.samples)
    }

    /// Length of the load in seconds.
    #[must_use]
    pub fn load_seconds(&self) -> f64 {
        let (begin_ns, end_ns) = self.load_ns();
        end_ns.saturating_sub(begin_ns) as f64 / 1e9
    }

    /// Successful requests.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.latencies_ns.len() as u64
    }

    /// Requests that ended without success; stale keep-alive attempts and requests that the end
    /// of the run cut off are none.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.outcomes
            .iter()
            .filter(|(name, _)| !["ok", "stale_keep_alive", "aborted"].contains(&name.as_str()))
            .map(|(_, count)| count)
            .sum()
    }

    /// Share of the successful requests that were seen from both sides, 0 to 1; `None` without
    /// any.
    #[must_use]
    pub fn joined_share(&self) -> Option<f64> {
        let ok = self.ok();
        (ok > 0).then(|| 1.0 - self.join.missing_count() as f64 / ok as f64)
    }

    /// Successful requests per second.
    #[must_use]
    pub fn throughput(&self) -> Option<f64> {
        let seconds = self.load_seconds();
        (seconds > 0.0).then(|| self.ok() as f64 / seconds)
    }

    /// Latency that a share `q` of the successful requests did not exceed, ns.
    #[must_use]
    pub fn latency_ns(&self, q: f64) -> Option<u64> {
        quantile(&self.latencies_ns, q)
    }

    /// A sum over httpd's tasks per successful request.
    #[must_use]
    pub fn per_request(&self, sum: u64) -> Option<f64> {
        let ok = self.ok();
        (ok > 0).then(|| sum as f64 / ok as f64)
    }

    /// Wall time and phases of the successful joined requests that no loss touched, ascending by
    /// wall time.
    #[must_use]
    pub fn phases(&self) -> Vec<Phases> {
        let mut all: Vec<Phases> = self
            .join
            .pairs
            .iter()
            .filter(|pair| self.client[pair.client].is_ok() && self.kernel[pair.kernel].is_whole())
            .map(|pair| phases(&self.client[pair.client], &self.kernel[pair.kernel]))
            .collect();
        all.sort_by_key(|phases| phases.wall_ns);
        all
    }

    /// Successful joined requests that a loss touched; they are left out of [`Self::phases`].
    #[must_use]
    pub fn touched(&self) -> u64 {
        let touched = self.join.pairs.iter().filter(|pair| {
            self.client[pair.client].is_ok() && !self.kernel[pair.kernel].is_whole()
        });
        touched.count() as u64
    }
}

fn load_ns(
    manifest: &Manifest,
    client: &[ClientRow],
    kernel: &[KernelRow],
    samples: &[SampleRow],
) -> (u64, u64) {
    if let Some(server) = manifest.live() {
        if server.ended_ns != 0 {
            return (server.attached_ns, server.ended_ns);
        }
        // It was cut off: sampling begins when the probes are attached, and the rows tell how far
        // it came.
        let begin_ns = samples.first().map_or(manifest.began_ns, |row| row.t_ns);
        let sampled_ns = samples.last().map_or(begin_ns, |row| row.t_ns);
        let served_ns = kernel.iter().map(|row| row.end_ns).max();
        return (begin_ns, served_ns.unwrap_or(begin_ns).max(sampled_ns));
    }
    if let Some(load) = &manifest.load {
        return (load.began_ns, load.ended_ns);
    }
    // A run that was cut off has no summary; its rows tell.
    let measured = || client.iter().filter(|row| row.measured);
    let begin_ns = measured().map(|row| row.start_ns).min().unwrap_or(0);
    let end_ns = measured().map(|row| row.end_ns).max().unwrap_or(0);
    (begin_ns, end_ns)
}

/// Reads a run's recording and analyses it.
///
/// # Errors
/// When manifest or tables cannot be opened. Damaged parts are listed, not an error.
pub fn load_run(dir: &RunDir) -> Result<RunAnalysis, RecordingError> {
    let manifest = dir.read_manifest()?;
    let client = read_table::<ClientRow>(dir.path())?;
    let kernel = read_table::<KernelRow>(dir.path())?;
    let tasks = read_table::<TaskRow>(dir.path())?;
    let samples = read_table::<SampleRow>(dir.path())?;
    let memory = read_table::<MemoryRow>(dir.path())?;
    let status = read_table::<StatusRow>(dir.path())?;
    let failures = read_table::<FailureRow>(dir.path())?;
    let slots = read_table::<SlotRow>(dir.path())?;
    let mut unreadable = client.unreadable;
    for part in [
        kernel.unreadable,
        tasks.unreadable,
        samples.unreadable,
        memory.unreadable,
        status.unreadable,
        failures.unreadable,
        slots.unreadable,
    ] {
        unreadable.extend(part);
    }
    let mut analysis = analyse(
        manifest,
        client.rows,
        kernel.rows,
        &tasks.rows,
        samples.rows,
        memory.rows,
        status.rows,
    );
    analysis.failures = failures.rows;
    analysis.slots = slots.rows;
    analysis.unreadable = unreadable;
    Ok(analysis)
}

/// Analyses the rows of one run, those of failures and slots apart, which nothing is computed
/// from.
#[must_use]
pub fn analyse(
    manifest: Manifest,
    client: Vec<ClientRow>,
    kernel: Vec<KernelRow>,
    tasks: &[TaskRow],
    samples: Vec<SampleRow>,
    memory: Vec<MemoryRow>,
    status: Vec<StatusRow>,
) -> RunAnalysis {
    let own_ports: HashSet<u16> = status
        .iter()
        .map(|row| row.local_port)
        .chain(manifest.start.probe_ports.iter().copied())
        .collect();
    let joined = manifest.live().and_then(|live| live.client.as_ref());
    let clock_bound_ns = joined.map_or(0, |client| client.offset.bound_ns());
    let load = load_ns(&manifest, &client, &kernel, &samples);
    // The lab is there from the begin to the end.
    let recorded_ns = match joined {
        Some(_) => load,
        None => (0, u64::MAX),
    };
    let join = join(&client, &kernel, &own_ports, recorded_ns, clock_bound_ns);

    let mut latencies_ns: Vec<u64> = client
        .iter()
        .filter(|row| row.measured && row.is_ok())
        .map(ClientRow::latency_ns)
        .collect();
    latencies_ns.sort_unstable();
    let mut outcomes = BTreeMap::new();
    for row in client.iter().filter(|row| row.measured) {
        *outcomes.entry(row.outcome.clone()).or_default() += 1;
    }
    let mut accept_waits_ns: Vec<u64> = join
        .pairs
        .iter()
        .map(|pair| &kernel[pair.kernel])
        .filter(|row| row.is_whole() && row.ordinal == 0 && row.accepted_ns != 0)
        .map(|row| row.accepted_ns.saturating_sub(row.queued_ns))
        .collect();
    accept_waits_ns.sort_unstable();
    let mut run_queue_waits_ns: Vec<u64> = join
        .pairs
        .iter()
        .map(|pair| &kernel[pair.kernel])
        .filter(|row| row.is_whole())
        .map(|row| row.woken_wait_ns + row.preempted_ns)
        .collect();
    run_queue_waits_ns.sort_unstable();
    RunAnalysis {
        counts: CountCheck::of(tasks),
        tasks: task_deltas(tasks, load, manifest.mpm),
        sampled: summarise(&samples, &memory, &status, load),
        manifest,
        client,
        kernel,
        failures: Vec::new(),
        ends: tasks
            .iter()
            .filter(|row| row.moment == Moment::End)
            .cloned()
            .collect(),
        samples,
        memory,
        status,
        slots: Vec::new(),
        join,
        latencies_ns,
        outcomes,
        accept_waits_ns,
        run_queue_waits_ns,
        unreadable: Vec::new(),
    }
}

/// The looks during the load. A load shorter than the time between two looks is framed by the
/// last one before it and the first one after it.
fn looks_of_load<T: Copy>(looks: Vec<T>, t_ns: fn(&T) -> u64, load_ns: (u64, u64)) -> Vec<T> {
    let (begin_ns, end_ns) = load_ns;
    let during: Vec<T> = looks
        .iter()
        .filter(|look| (begin_ns..=end_ns).contains(&t_ns(look)))
        .copied()
        .collect();
    if !during.is_empty() {
        return during;
    }
    let before = looks.iter().rev().find(|look| t_ns(look) < begin_ns);
    let after = looks.iter().find(|look| t_ns(look) > end_ns);
    before.into_iter().chain(after).copied().collect()
}

fn summarise(
    samples: &[SampleRow],
    memory: &[MemoryRow],
    status: &[StatusRow],
    load_ns: (u64, u64),
) -> SampleSummary {
    let loaded = looks_of_load(samples.iter().collect(), |row| row.t_ns, load_ns);
    let loaded = || loaded.iter();
    // The last look before the load and the first after it frame what was counted during it.
    let counted = |figure: fn(&SampleRow) -> u64| {
        let before = samples.iter().rev().find(|row| row.t_ns <= load_ns.0);
        let after = samples.iter().find(|row| row.t_ns >= load_ns.1);
        let first = before.or_else(|| samples.first());
        let last = after.or_else(|| samples.last());
        match (first, last) {
            (Some(first), Some(last)) => figure(last).saturating_sub(figure(first)),
            _ => 0,
        }
    };
    // Parent and children are read one after the other, as two neighbouring rows.
    let looks = memory.chunk_by(|_, next| next.role != Role::Parent.name());
    let sums: Vec<[u64; 4]> = looks_of_load(looks.collect(), |rows| rows[0].t_ns, load_ns)
        .into_iter()
        .map(|rows| {
            let sum = |figure: fn(&MemoryRow) -> u64| rows.iter().map(figure).sum::<u64>();
            [
                sum(|row| row.pss_bytes),
                sum(|row| row.uss_bytes),
                sum(|row| row.rss_bytes),
                sum(|row| row.virtual_bytes),
            ]
        })
        .collect();
    let fullest = sums.iter().max_by_key(|sum| sum[0]);
    let asked = || {
        let load = load_ns.0..=load_ns.1;
        status.iter().filter(move |row| load.contains(&row.t_ns))
    };
    SampleSummary {
        cgroup_max_bytes: loaded().filter_map(|row| row.cgroup_bytes).max(),
        pss_max_bytes: fullest.map(|sum| sum[0]),
        uss_bytes: fullest.map(|sum| sum[1]),
        rss_bytes: fullest.map(|sum| sum[2]),
        virtual_max_bytes: sums.iter().map(|sum| sum[3]).max(),
        tasks_max: loaded().map(|row| row.tasks).max().unwrap_or(0),
        processes_max: loaded().map(|row| row.processes).max().unwrap_or(0),
        accept_queue_max: loaded()
            .filter_map(|row| row.accept_queue)
            .max()
            .unwrap_or(0),
        listen_overflows: counted(|row| row.listen_overflows),
        listen_drops: counted(|row| row.listen_drops),
        status_looks: asked().count() as u64,
        status_answered: asked().filter(|row| row.answered).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recording::Origin,
        report::made_up::{
            analysed,
            rows::{BEGIN_NS, Figures, of_live_server, rows},
        },
        scenario::Mpm,
    };

    #[test]
    fn a_recording_that_was_cut_off_is_as_long_as_its_rows_tell() {
        let mut rows = of_live_server(rows(Mpm::Event, 1, &Figures::default()));
        let whole = analysed(rows.clone());
        assert_eq!(whole.load_ns(), (BEGIN_NS, BEGIN_NS + 2_000_000_000));
        let Origin::Live(live) = &mut rows.manifest.origin else {
            panic!("it is of a live server");
        };
        (live.attached_ns, live.ended_ns) = (0, 0);
        // Sampled from 50 ms before the load to 50 ms after it.
        let cut_off = analysed(rows.clone());
        let begin_ns = BEGIN_NS - 50_000_000;
        assert_eq!(cut_off.load_ns(), (begin_ns, BEGIN_NS + 2_050_000_000));
        // The last samples may not have been written, and the requests were.
        rows.samples.truncate(1);
        rows.kernel[3].end_ns = BEGIN_NS + 1_900_000_000;
        let cut_off = analysed(rows.clone());
        assert_eq!(cut_off.load_ns(), (begin_ns, BEGIN_NS + 1_900_000_000));
        rows.samples.clear();
        rows.kernel.clear();
        let began_ns = rows.manifest.began_ns;
        assert_eq!(analysed(rows).load_ns(), (began_ns, began_ns));
    }

    #[test]
    fn a_short_load_takes_the_looks_around_it() {
        let looks = |load_ns| looks_of_load(vec![10_u64, 20, 30, 40], |look| *look, load_ns);
        assert_eq!(looks((15, 35)), [20, 30]);
        assert_eq!(looks((21, 29)), [20, 30]);
        assert_eq!(looks((1, 5)), [10]);
        assert_eq!(looks((50, 60)), [40]);
    }
}
