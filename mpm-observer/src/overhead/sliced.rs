//! One load during which the watcher is switched off and on in turn.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use loadgen::{Row, clock::monotonic_ns};

use super::{
    Pair, Watcher, machine,
    server_cpu::ProcessClocks,
    slices::{Border, Ended, SLICES, Slice, order, pairs},
    stand::{Stand, system},
    watcher::Switched,
};
use crate::lab::LabError;

/// How long the load goes on before the first slice: kept connections are established in it, while
/// the watcher is on.
const LEAD: Duration = Duration::from_millis(150);
/// Time after each switch that belongs to no slice. It is longer than most requests take, so that
/// those which the switch cut in two end in it.
const GUARD: Duration = Duration::from_millis(10);
/// What switching takes at the most, by far.
const SWITCH_AT_MOST: Duration = Duration::from_secs(2);

/// What one load is to give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slicing {
    /// Pairs, of four slices each.
    pub(super) pairs: usize,
    /// Length of each slice.
    pub(super) slice: Duration,
    /// The number of the first pair, from which the slices' order follows.
    pub(super) first_number: usize,
}

/// Puts one load on httpd and switches the watcher during it. Returns the pairs; fewer if the user
/// interrupts, and none for a watcher that cannot be switched.
///
/// # Errors
/// When httpd, the client or the watcher fails.
pub(super) fn make_pairs(
    stand: &Stand<'_>,
    watcher: Watcher,
    keep_alive: bool,
    slicing: Slicing,
) -> Result<Vec<Pair>, LabError> {
    let Some(watching) = watcher.start_switched(stand)? else {
        return Ok(Vec::new());
    };
    let slices_at_most = u32::try_from(slicing.pairs * SLICES).unwrap_or(u32::MAX);
    let longest = LEAD + (GUARD + SWITCH_AT_MOST + slicing.slice) * slices_at_most;
    let client = stand.start_client(keep_alive, longest)?;
    let clocks = Clocks {
        server: processes(stand)?,
        client: ProcessClocks::of([client.pid()]).map_err(system("the load generator"))?,
        cpus: stand.cpus(),
    };
    let ending = AtomicBool::new(false);
    let mut ended = Vec::new();
    let (sliced, attended) = thread::scope(|scope| {
        let attending = scope.spawn(|| {
            let keep = |rows: Vec<Row>| {
                ended.extend(rows.iter().filter_map(end_of));
                Ok(())
            };
            client.attend(|| ending.load(Ordering::Relaxed), keep, |_, _| {})
        });
        let gone = || stand.ground.interrupt.is_set() || attending.is_finished();
        let sliced = make_slices(&*watching, &clocks, slicing, gone);
        ending.store(true, Ordering::Relaxed);
        (sliced, attending.join())
    });
    let (slices, switches) = sliced?;
    let attended = attended.unwrap_or_else(|_| Err(io::Error::other("its reader panicked")));
    attended.map_err(system("the load generator"))?;
    ended.sort_unstable_by_key(|request| request.at_ns);
    let pairs = pairs(&slices, &ended, clocks.cpus.len());
    watching.stop(pairs.iter().map(|pair| pair.on.answered).sum(), switches)?;
    thread::sleep(GUARD);
    if pairs.is_empty() && !stand.ground.interrupt.is_set() {
        return Err(LabError::Run {
            run: format!("{}.{}", stand.plan.scenario, stand.plan.mpm),
            message: "httpd answered no request".to_owned(),
        });
    }
    Ok(pairs)
}

fn processes(stand: &Stand<'_>) -> Result<ProcessClocks, LabError> {
    let tasks = stand.httpd().tasks();
    tasks
        .and_then(|tasks| ProcessClocks::of(tasks.iter().map(|task| task.pid)))
        .map_err(system("httpd's tasks cannot be read"))
}

/// Of a row, what counts; `None` for an attempt that is no request's end.
fn end_of(row: &Row) -> Option<Ended> {
    let latency_ns = row
        .outcome
        .is_answered()
        .then(|| row.end_ns.saturating_sub(row.start_ns));
    (latency_ns.is_some() || row.outcome.is_failure()).then_some(Ended {
        at_ns: row.end_ns,
        latency_ns,
    })
}

/// All slices until `gone`, and how often the watcher was switched.
fn make_slices(
    watching: &dyn Switched,
    clocks: &Clocks,
    slicing: Slicing,
    gone: impl Fn() -> bool,
) -> Result<(Vec<Slice>, u64), LabError> {
    thread::sleep(LEAD);
    let (mut is_on, mut switches) = (true, 0);
    let mut slices = Vec::with_capacity(slicing.pairs * SLICES);
    let numbers = slicing.first_number..slicing.first_number + slicing.pairs;
    for on in numbers.flat_map(order) {
        if gone() {
            break;
        }
        if on != is_on {
            watching.switch(on);
            (is_on, switches) = (on, switches + 1);
        }
        // Slices without a switch between them have the same guard, so that they do not differ.
        thread::sleep(GUARD);
        let from = clocks.read(watching)?;
        thread::sleep(slicing.slice);
        let until = clocks.read(watching)?;
        slices.push(Slice { on, from, until });
    }
    Ok((slices, switches))
}

/// Whose time is read at the slices' ends.
struct Clocks {
    server: ProcessClocks,
    client: ProcessClocks,
    cpus: Vec<usize>,
}

impl Clocks {
    /// Reads them in the same order at each end, those that matter last, so that what reading
    /// takes is the same for all.
    fn read(&self, watching: &dyn Switched) -> Result<Border, LabError> {
        let watcher_cpu_ns = watching.cpu_ns();
        let busy_ns = machine::busy_ns(&self.cpus).map_err(system("/proc/stat"))?;
        let client_cpu_ns = self.client.read_ns();
        let at_ns = monotonic_ns();
        Ok(Border {
            at_ns,
            server_cpu_ns: self.server.read_ns(),
            client_cpu_ns,
            watcher_cpu_ns,
            busy_ns,
        })
    }
}
