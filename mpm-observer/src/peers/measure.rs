//! The measurement of what the clients cost.

use std::{
    fs,
    time::{Duration, Instant},
};

use nix::sys::utsname::uname;

use super::{
    Case, Client, ClientResults, Comparison, Document, Half, Load, Pair, Program, Programs, Said,
    most::{ASKED, LOW_LIMIT, MostResult},
    nginx::{Nginx, Served},
    process::{self, Order, Ran},
    result::{CaseResult, MEMORY_CONNECTIONS, MemoryResult, burstiness},
};
use crate::{
    httpd::{RuntimeDir, clean_up_stale, user},
    lab::{CpuSplit, Interrupt, LabError, Progress, allowed_cpus},
    overhead::{busy_ns, system},
    recording::FORMAT,
    statistics::Spread,
};

/// What a client gets beside its time before it is taken for hung.
const GRACE: Duration = Duration::from_secs(60);
/// How long loadgen has the most connections: those that find the server's queue full come again
/// after one and after three seconds.
const MOST_SECONDS: u32 = 8;
/// Names of what is measured beside the cases.
const MEMORY: &str = "memory";
const MOST: &str = "most-connections";

/// What to measure.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// The cases.
    pub cases: Vec<Case>,
    /// Pairs of each comparison.
    pub pairs: u32,
    /// Length of each half, seconds.
    pub seconds: u32,
    /// Lengths of the runs in which loadgen's memory is looked at, seconds; empty: it is not.
    pub memory_seconds: Vec<u32>,
    /// Whether to try the most connections.
    pub most: bool,
}

/// Where it is measured.
struct Ground<'a> {
    programs: &'a Programs,
    nginx: Nginx,
    runtime: &'a RuntimeDir,
    server_cpu: usize,
    client_cpu: usize,
    interrupt: &'a Interrupt,
}

/// Measures; with what was measured until then if the user interrupts.
///
/// # Errors
/// When nginx or loadgen is missing or does not start, or a client does not end.
pub fn measure_clients(
    plan: &ClientPlan,
    programs: &Programs,
    interrupt: &Interrupt,
) -> Result<ClientResults, LabError> {
    let needed = |program: Program| {
        programs
            .path(program)
            .ok_or(LabError::Missing(program.name()))
    };
    let nginx = needed(Program::Nginx)?;
    needed(Program::Loadgen)?;
    let allowed = allowed_cpus().map_err(system("the CPUs of this process cannot be read"))?;
    let cpus = CpuSplit::choose(&allowed, None, None)?;
    let (server_cpu, client_cpu) = (cpus.server[0], cpus.client[0]);
    let user = user::choose(None)?;
    for failure in &clean_up_stale().failures {
        log::warn!("{failure}");
    }
    let runtime = RuntimeDir::create()?;
    let mut left_out = Vec::new();
    let cases: Vec<(Case, Vec<super::Peer>)> = plan
        .cases
        .iter()
        .filter_map(|case| {
            if let Err(why) = can(case, |flag| programs.loadgen_has(flag)) {
                left_out.push(format!("{}: {why}", case.name));
                return None;
            }
            let mut peers = case.peers.to_vec();
            peers.retain(|peer| programs.path(Program::of(peer.client)).is_some());
            Some((*case, peers))
        })
        .collect();
    for name in programs.missing() {
        left_out.push(format!("{name}: not installed"));
    }
    let mut results = ClientResults {
        format: FORMAT,
        observer_version: env!("CARGO_PKG_VERSION").into(),
        kernel: uname().map_or_else(
            |_| "unknown".into(),
            |name| name.release().to_string_lossy().into_owned(),
        ),
        processor: processor(),
        cpus: allowed.len(),
        server_cpu,
        client_cpu,
        seconds: plan.seconds,
        programs: programs.versions(),
        left_out,
        cases: Vec::new(),
        memory: Vec::new(),
        most: None,
    };
    let started = Nginx::start(nginx, &runtime, server_cpu, user.as_ref(), interrupt)?;
    let Some(nginx) = started else {
        return Ok(results);
    };
    let ground = Ground {
        programs,
        nginx,
        runtime: &runtime,
        server_cpu,
        client_cpu,
        interrupt,
    };
    let memory = memory_runs(plan, programs);
    let mut to_come = Vec::new();
    for _ in 0..plan.pairs {
        for (case, peers) in &cases {
            let pairs = peers.len() * case.pairs_times as usize;
            to_come.extend(vec![case.name.to_owned(); pairs]);
        }
    }
    to_come.extend(vec![MEMORY.to_owned(); memory.len()]);
    to_come.extend(plan.most.then(|| MOST.to_owned()));
    let mut progress = Progress::new(to_come);
    results.cases = ground.all_cases(plan, &cases, &mut progress)?;
    for (client, seconds) in memory {
        if let Some(result) = ground.memory(client, seconds, &mut progress)? {
            results.memory.push(result);
        }
    }
    if plan.most {
        results.most = ground.most(&mut progress)?;
    }
    progress.finish();
    Ok(results)
}

/// loadgen for each length, the others once, for scale.
fn memory_runs(plan: &ClientPlan, programs: &Programs) -> Vec<(Client, u32)> {
    let ours = plan.memory_seconds.iter().map(|&s| (Client::LOADGEN, s));
    let mut runs: Vec<_> = ours.collect();
    if let Some(&seconds) = plan.memory_seconds.first() {
        let there = |client: &Client| programs.path(Program::of(*client)).is_some();
        let others = [Client::Wrk, Client::Ab, Client::Oha];
        runs.extend(
            others
                .into_iter()
                .filter(there)
                .map(|client| (client, seconds)),
        );
    }
    runs
}

/// Whether a loadgen with some flags can do a case here, and if not, why.
fn can(case: &Case, has_flag: impl Fn(&str) -> bool) -> Result<(), String> {
    let has = |flag: &str| {
        if has_flag(flag) {
            return Ok(());
        }
        Err(format!("this loadgen has no {flag}"))
    };
    if let Client::Loadgen {
        engine: Some(engine),
        ..
    } = case.ours
    {
        has("--engine")?;
        if !loadgen::available_engines().contains(&engine) {
            return Err(format!("this kernel has no {}", engine.name()));
        }
    }
    match case.load.rate_per_s {
        Some(_) => has("--rate"),
        None => Ok(()),
    }
}

impl Ground<'_> {
    /// Pairs of all cases and peers in turn, over and over, so that a machine that changes slowly
    /// changes for all.
    fn all_cases(
        &self,
        plan: &ClientPlan,
        cases: &[(Case, Vec<super::Peer>)],
        progress: &mut Progress,
    ) -> Result<Vec<CaseResult>, LabError> {
        let mut pairs: Vec<Vec<Vec<Pair>>> = cases
            .iter()
            .map(|(_, peers)| vec![Vec::new(); peers.len()])
            .collect();
        'rounds: for round in 0..plan.pairs {
            for ((case, peers), of_case) in cases.iter().zip(&mut pairs) {
                for (index, (peer, of_peer)) in peers.iter().zip(of_case).enumerate() {
                    for again in 0..case.pairs_times {
                        progress.begin(case.name);
                        let number = round as usize + index + again as usize;
                        let ours_first = number.is_multiple_of(2);
                        let tell = |client: Client| progress.step(case.name, &client.name());
                        let pair = self.pair(case, peer.client, ours_first, plan.seconds, &tell)?;
                        let Some(pair) = pair else {
                            break 'rounds;
                        };
                        let line = pair_line(case, peer.client, &pair);
                        progress.end(case.name, &line);
                        of_peer.push(pair);
                    }
                }
            }
        }
        let results = cases.iter().zip(pairs).map(|((case, peers), pairs)| {
            let comparisons = peers.iter().zip(pairs).map(|(peer, pairs)| {
                Comparison::of(case, peer.client, peer.at_most, plan.seconds, pairs)
            });
            CaseResult {
                name: case.name.into(),
                title: case.title.into(),
                cost: case.cost,
                ours: case.ours,
                cost_at_most: case.cost_at_most,
                rate_per_s: case.load.rate_per_s,
                comparisons: comparisons.collect(),
            }
        });
        Ok(results.collect())
    }

    fn pair(
        &self,
        case: &Case,
        theirs: Client,
        ours_first: bool,
        seconds: u32,
        tell: &dyn Fn(Client),
    ) -> Result<Option<Pair>, LabError> {
        let half = |client| {
            tell(client);
            self.half(client, &case.load, seconds)
        };
        let order = if ours_first {
            [case.ours, theirs]
        } else {
            [theirs, case.ours]
        };
        let Some(first) = half(order[0])? else {
            return Ok(None);
        };
        let Some(second) = half(order[1])? else {
            return Ok(None);
        };
        let (ours, theirs) = if ours_first {
            (first, second)
        } else {
            (second, first)
        };
        Ok(Some(Pair {
            ours,
            theirs,
            ours_first,
        }))
    }

    /// One client's load; `None` if the user interrupted.
    fn half(&self, client: Client, load: &Load, seconds: u32) -> Result<Option<Half>, LabError> {
        let cpus = [self.server_cpu, self.client_cpu];
        let busy = || busy_ns(&cpus).map_err(system("/proc/stat"));
        let before = self.nginx.at_rest()?;
        let (busy_before_ns, nginx_before_ns) = (busy()?, self.nginx.cpu_ns()?);
        let began = Instant::now();
        let Some(ran) = self.run(client, load, seconds, None, || Ok(()))? else {
            return Ok(None);
        };
        let busy_ns = busy()?.saturating_sub(busy_before_ns);
        let nginx_ns = self.nginx.cpu_ns()?.saturating_sub(nginx_before_ns);
        let all_ns = began.elapsed().as_nanos() as f64 * cpus.len() as f64;
        let served = since(self.nginx.at_rest()?, before);
        if served.requests == 0 {
            return Err(LabError::Run {
                run: client.name(),
                message: format!("it sent no request: {}", last_words(&ran)),
            });
        }
        let others_ns = busy_ns as f64 - (nginx_ns + ran.cpu_ns) as f64;
        Ok(Some(Half {
            cpu_ns: ran.cpu_ns,
            wall_ns: u64::try_from(ran.wall.as_nanos()).unwrap_or(u64::MAX),
            requests: served.requests,
            large_bytes: served.large_bytes,
            burstiness: match load.document {
                Document::Timed => burstiness(&self.nginx.times_ms()[before.timed..]),
                Document::Small | Document::Large => None,
            },
            said: Said::read(client, &ran.output),
            peak_rss_bytes: ran.peak_rss_bytes,
            others_cpu_share: (others_ns / all_ns).clamp(0.0, 1.0),
        }))
    }

    fn run(
        &self,
        client: Client,
        load: &Load,
        seconds: u32,
        open_files: Option<u64>,
        look: impl FnMut() -> Result<(), LabError>,
    ) -> Result<Option<Ran>, LabError> {
        let program = Program::of(client);
        let path = self.programs.path(program);
        let rows = self.runtime.path().join("rows.bin");
        let order = Order {
            program: path.ok_or(LabError::Missing(program.name()))?,
            arguments: &client.arguments(load, &self.nginx.url(load.document), seconds, &rows),
            cpus: &[self.client_cpu],
            open_files,
            at_most: Duration::from_secs(seconds.into()) + GRACE,
            dir: self.runtime.path(),
        };
        let ran = process::run(&order, self.interrupt, look);
        // It is made anew each time; a client that writes none leaves none.
        let _ = fs::remove_file(&rows);
        ran
    }

    fn memory(
        &self,
        client: Client,
        seconds: u32,
        progress: &mut Progress,
    ) -> Result<Option<MemoryResult>, LabError> {
        progress.begin(MEMORY);
        progress.step(MEMORY, &format!("{}, {seconds} s", client.name()));
        let load = Load {
            connections: MEMORY_CONNECTIONS,
            keep_alive: true,
            document: Document::Small,
            rate_per_s: None,
        };
        let Some(half) = self.half(client, &load, seconds)? else {
            return Ok(None);
        };
        let megabytes = half.peak_rss_bytes as f64 / f64::from(1 << 20);
        let line = format!("{}, {seconds} s: {megabytes:.1} MB", client.name());
        progress.end(MEMORY, &line);
        Ok(Some(MemoryResult {
            client,
            seconds,
            requests: half.requests,
            peak_rss_bytes: half.peak_rss_bytes,
        }))
    }

    fn most(&self, progress: &mut Progress) -> Result<Option<MostResult>, LabError> {
        progress.begin(MOST);
        progress.step(MOST, "loadgen");
        let load = Load {
            connections: ASKED,
            keep_alive: true,
            document: Document::Small,
            rate_per_s: None,
        };
        let low = self.run(Client::LOADGEN, &load, 1, Some(LOW_LIMIT), || Ok(()))?;
        let Some(low) = low else {
            return Ok(None);
        };
        let before = self.nginx.at_rest()?;
        let mut together = 0;
        let look = || {
            together = self.nginx.connections()?.max(together);
            Ok(())
        };
        let ran = self.run(Client::LOADGEN, &load, MOST_SECONDS, None, look)?;
        let Some(ran) = ran else {
            return Ok(None);
        };
        let served = since(self.nginx.at_rest()?, before);
        let said = Said::read(Client::LOADGEN, &ran.output);
        let result = MostResult {
            asked: ASKED,
            together,
            requests: served.requests,
            said,
            peak_rss_bytes: ran.peak_rss_bytes,
            refusal: said.is_none().then(|| last_words(&ran)),
            low_limit: LOW_LIMIT,
            low_limit_line: last_words(&low),
        };
        progress.end(MOST, &format!("{together} of {ASKED} connections at once"));
        Ok(Some(result))
    }
}

fn since(after: Served, before: Served) -> Served {
    Served {
        requests: after.requests.saturating_sub(before.requests),
        large_bytes: after.large_bytes.saturating_sub(before.large_bytes),
        timed: after.timed.saturating_sub(before.timed),
    }
}

/// What a client said at its end, on one line.
fn last_words(ran: &Ran) -> String {
    let lines = ran.errors.lines().chain(ran.output.lines());
    let mut words = lines.filter(|line| !line.trim().is_empty());
    words.next_back().map_or_else(
        || format!("it ended with {}", ran.status),
        |line| line.trim().to_owned(),
    )
}

fn pair_line(case: &Case, theirs: Client, pair: &Pair) -> String {
    let cost = |half: &Half| {
        let cost = half.cost(case.cost);
        cost.map_or_else(|| "–".to_owned(), |cost| format!("{cost:.3}"))
    };
    let others = Spread::of([pair.ours, pair.theirs].map(|half| half.others_cpu_share));
    format!(
        "{} {} to {}'s {} {} (others {:.0} %){}",
        case.ours.name(),
        cost(&pair.ours),
        theirs.name(),
        cost(&pair.theirs),
        super::table::unit(case.cost),
        others.map_or(0.0, |others| others.median * 100.0),
        match (pair.ours.burstiness, pair.theirs.burstiness) {
            (Some(ours), Some(theirs)) => format!(", burstiness {ours:.1} to {theirs:.1}"),
            _ => String::new(),
        }
    )
}

/// What the processor calls itself; "unknown" where /proc does not tell.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or_else(|| "unknown".into(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::CASES;

    #[test]
    fn a_case_is_left_out_with_the_flag_that_is_missing() {
        let case = |name: &str| *CASES.iter().find(|case| case.name == name).unwrap();
        let old = |_: &str| false;
        assert_eq!(can(&case("keep-alive-64"), old), Ok(()));
        assert_eq!(
            can(&case("rate"), old),
            Err("this loadgen has no --rate".into())
        );
        assert_eq!(
            can(&case("connections-epoll"), old),
            Err("this loadgen has no --engine".into())
        );
        let new = |flag: &str| ["--engine", "--rate"].contains(&flag);
        assert_eq!(can(&case("connections-epoll"), new), Ok(()));
        assert_eq!(can(&case("rate"), new), Ok(()));
    }
}
