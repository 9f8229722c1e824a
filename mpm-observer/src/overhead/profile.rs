//! What each eBPF program costs: calls and run time per request.

use std::time::Duration;

use super::{
    observer::Observing,
    stand::{Ground, Stand},
};
use crate::{
    kernel::{ProgramRuns, count_run_time},
    lab::LabError,
    scenario::Mpm,
};

/// The programs under one load.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramCost {
    /// The MPM.
    pub mpm: Mpm,
    /// Whether connections were kept.
    pub keep_alive: bool,
    /// Requests that were answered.
    pub requests: u64,
    /// Answers per second.
    pub throughput_per_s: f64,
    /// CPU time of httpd's tasks per request, the programs that ran in them included,
    /// nanoseconds.
    pub server_cpu_ns: Option<f64>,
    /// The programs' runs, those for other tasks and sockets of the machine included.
    pub programs: Vec<ProgramRuns>,
}

/// Measures the programs' run time under the load with and without keep-alive, for `duration`
/// each. Only while this goes on does the kernel count it. `None` if the user interrupted.
///
/// # Errors
/// When httpd, the client or the observer fails.
pub fn program_costs(
    ground: Ground<'_>,
    mpm: Mpm,
    duration: Duration,
) -> Result<Option<Vec<ProgramCost>>, LabError> {
    let Some(stand) = Stand::start(ground, mpm)? else {
        return Ok(None);
    };
    let mut costs = Vec::new();
    for keep_alive in [true, false] {
        let observing = Observing::start(&stand, &[])?;
        let counting = count_run_time()?;
        let (cpu_before, before) = (stand.server_cpu()?, observing.effort());
        let loaded = stand.load(keep_alive, duration)?;
        let (cpu_after, after) = (stand.server_cpu()?, observing.effort());
        drop(counting);
        observing.finish()?;
        let Some(summary) = loaded else {
            stand.stop()?;
            return Ok(None);
        };
        let requests = summary.answered();
        let between = after.programs.iter().zip(&before.programs);
        costs.push(ProgramCost {
            mpm,
            keep_alive,
            requests,
            throughput_per_s: summary.answers_per_second(),
            server_cpu_ns: cpu_after
                .since(&cpu_before)
                .map(|used_ns| used_ns as f64 / requests as f64),
            programs: between.map(|(after, before)| after.since(before)).collect(),
        });
    }
    stand.stop()?;
    Ok(Some(costs))
}

impl ProgramCost {
    /// As a table in plain text, the dearest program first, with the sum.
    #[must_use]
    pub fn table(&self) -> String {
        let connections = if self.keep_alive {
            "keep-alive"
        } else {
            "new connections"
        };
        let mut text = format!(
            "{}, {connections}: {} requests, {:.0}/s",
            self.mpm, self.requests, self.throughput_per_s
        );
        if let Some(cpu_ns) = self.server_cpu_ns {
            text += &format!(", {cpu_ns:.0} ns of server CPU a request");
        }
        text += &format!(
            "\n  {:22} {:>13} {:>12} {:>13}\n",
            "program", "calls/request", "ns/call", "ns/request"
        );
        let mut programs: Vec<&ProgramRuns> = self.programs.iter().collect();
        programs.sort_by_key(|runs| std::cmp::Reverse(runs.time_ns));
        let mut line = |name: &str, runs: u64, time_ns: u64| {
            let mean = match runs {
                0 => "-".to_owned(),
                runs => format!("{:.0}", time_ns as f64 / runs as f64),
            };
            let per_request = |sum: u64| sum as f64 / self.requests as f64;
            text += &format!(
                "  {name:22} {:>13.2} {mean:>12} {:>13.0}\n",
                per_request(runs),
                per_request(time_ns)
            );
        };
        for runs in &programs {
            line(&runs.program, runs.runs, runs.time_ns);
        }
        let sum = |figure: fn(&ProgramRuns) -> u64| programs.iter().map(|runs| figure(runs)).sum();
        line("all", sum(|runs| runs.runs), sum(|runs| runs.time_ns));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_puts_the_dearest_program_first_and_ends_with_the_sum() {
        let runs = |program: &str, runs, time_ns| ProgramRuns {
            program: program.to_owned(),
            runs,
            time_ns,
            missed: 0,
        };
        let cost = ProgramCost {
            mpm: Mpm::Event,
            keep_alive: true,
            requests: 100,
            throughput_per_s: 5000.0,
            server_cpu_ns: Some(61_234.0),
            programs: vec![
                runs("idle", 0, 0),
                runs("cheap", 100, 5_000),
                runs("dear", 250, 100_000),
            ],
        };
        let table = cost.table();
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[0], ["dear", "2.50", "400", "1000"]);
        assert_eq!(rows[1], ["cheap", "1.00", "50", "50"]);
        assert_eq!(rows[2], ["idle", "0.00", "-", "0"]);
        assert_eq!(rows[3], ["all", "3.50", "300", "1050"]);
        assert!(table.starts_with("event, keep-alive: 100 requests, 5000/s, 61234 ns"));
    }
}
