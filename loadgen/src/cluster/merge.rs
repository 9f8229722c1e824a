//! Several summaries to one, as if one process had counted everything.

use super::clock_offset::ClockOffset;
use crate::{Outcome, Part, Summary};

/// Converts the points in time of a worker's summary to the coordinator's clock.
pub(super) fn to_coordinator(summary: &mut Summary, offset: ClockOffset) {
    summary.started_ns = offset.to_coordinator(summary.started_ns);
    summary.ended_ns = offset.to_coordinator(summary.ended_ns);
}

/// Adds another summary, exactly. What became of the rows is not merged: only who takes
/// them all in knows.
pub(super) fn merge(into: &mut Summary, other: Summary) {
    // Taken apart in full, so that no field can be forgotten here.
    let Summary {
        started_ns,
        ended_ns,
        wall_ns: _,
        engine: _,
        requests,
        warm_up_attempts,
        unsent,
        outcomes,
        stale_retries,
        surplus,
        keep_alive_answers,
        connections_opened,
        bytes_received,
        bytes_body,
        bytes_sent,
        body_min_bytes,
        body_max_bytes,
        server_software,
        tls_failure,
        latencies,
        urls,
        threads,
        rows: _,
        // The coordinator knows it.
        stopped_by: _,
    } = other;
    into.started_ns = into.started_ns.min(started_ns);
    into.ended_ns = into.ended_ns.max(ended_ns);
    into.wall_ns = into.ended_ns - into.started_ns;
    for (sum, more) in [
        (&mut into.requests, requests),
        (&mut into.warm_up_attempts, warm_up_attempts),
        (&mut into.unsent, unsent),
        (&mut into.stale_retries, stale_retries),
        (&mut into.surplus, surplus),
        (&mut into.keep_alive_answers, keep_alive_answers),
        (&mut into.connections_opened, connections_opened),
        (&mut into.bytes_received, bytes_received),
        (&mut into.bytes_body, bytes_body),
        (&mut into.bytes_sent, bytes_sent),
    ] {
        *sum = sum.saturating_add(more);
    }
    for (outcome, count) in outcomes.iter() {
        into.outcomes.add(outcome, count);
    }
    into.body_min_bytes = known(into.body_min_bytes, body_min_bytes, u64::min);
    into.body_max_bytes = known(into.body_max_bytes, body_max_bytes, u64::max);
    into.server_software = into.server_software.take().or(server_software);
    into.tls_failure = into.tls_failure.take().or(tls_failure);
    into.latencies.merge(latencies);
    into.add_urls(&urls);
    into.threads.extend(threads);
}

fn known(a: Option<u64>, b: Option<u64>, best: impl Fn(u64, u64) -> u64) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(best(a, b)),
        (a, b) => a.or(b),
    }
}

/// Largest count that is believed: sums of them over all workers cannot overflow.
const COUNT_MAX: u64 = 1 << 44;

/// Finds what contradicts itself in a worker's summary.
pub(super) fn check(summary: &Summary, part: &Part) -> Result<(), String> {
    let counts = [
        summary.requests,
        summary.warm_up_attempts,
        summary.unsent,
        summary.rows.recorded,
        summary.rows.written,
    ];
    let mut counts = counts
        .into_iter()
        .chain(summary.outcomes.iter().map(|(_, count)| count));
    if counts.any(|count| count > COUNT_MAX) {
        return Err("its counts are impossible".to_owned());
    }
    if summary.ended_ns < summary.started_ns {
        return Err("its run ended before it began".to_owned());
    }
    let stale = summary.outcomes.get(Outcome::StaleKeepAlive);
    let attempts = summary.outcomes.sum_where(|_| true);
    if summary.stale_retries > stale || attempts - summary.stale_retries != summary.requests {
        return Err(format!(
            "it has {} requests, but {attempts} outcomes, {} of them retried",
            summary.requests, summary.stale_retries
        ));
    }
    let (answered, timed) = (summary.answered(), summary.latencies.total.count());
    if answered != timed {
        return Err(format!("it has {answered} answers, but {timed} durations"));
    }
    let end = part.first_thread.saturating_add(part.threads);
    let numbers = summary.threads.iter().map(|thread| thread.thread);
    if !numbers.eq(part.first_thread..end) {
        return Err("its threads are not the ones it was given".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;
    use crate::summary::ThreadSummary;
    use crate::{EngineKind, Progress, Row};

    const NOWHERE: ClockOffset = ClockOffset {
        worker_ahead_ns: 0,
        bound_ns: 0,
    };

    /// Rows of all outcomes, with all kinds of durations.
    fn rows() -> Vec<Row> {
        (1..3000_u64)
            .map(|number| {
                let start_ns = 1_000_000 + number * 1_000;
                Row {
                    outcome: Outcome::ALL[(number % 14) as usize],
                    flags: [0, Row::REUSED, Row::WAITED, Row::WARM_UP][(number % 4) as usize],
                    intended_ns: start_ns - number,
                    start_ns,
                    connect_start_ns: start_ns,
                    connected_ns: start_ns + 7 * number,
                    sent_ns: start_ns + 8 * number,
                    loop_wake_ns: start_ns + 9 * number,
                    first_byte_ns: start_ns + 10 * number,
                    last_byte_ns: start_ns + 11 * number * number,
                    end_ns: start_ns + 11 * number * number,
                    body_bytes: number * 3,
                    request_bytes: 40,
                    ..Row::EMPTY
                }
            })
            .collect()
    }

    fn recorded<'a>(rows: impl Iterator<Item = &'a Row>) -> Summary {
        let progress = Progress::new();
        let mut recorder = Recorder::new(None, &progress, true, 2);
        for row in rows {
            recorder.record(row);
        }
        let events = recorder.events();
        events.bytes_received = 5;
        events.surplus = 2;
        let mut summary = Summary::empty(1_000_000, EngineKind::Epoll);
        recorder.finish().add_to(&mut summary);
        summary.wall_ns = summary.ended_ns - summary.started_ns;
        summary
    }

    #[test]
    fn merging_equals_recording_in_one() {
        let rows = rows();
        for parts in 2..=4 {
            let mut summaries = (0..parts)
                .map(|part| recorded(rows.iter().skip(part).step_by(parts)))
                .collect::<Vec<_>>()
                .into_iter();
            let mut merged = summaries.next().expect("some");
            for summary in summaries {
                merge(&mut merged, summary);
            }
            let mut one = recorded(rows.iter());
            // What the engines counted is added up.
            one.bytes_received *= parts as u64;
            one.surplus *= parts as u64;
            assert_eq!(merged, one);
        }
    }

    #[test]
    fn points_in_time_are_the_coordinators_and_the_whole_time_counts() {
        let rows = rows();
        let mut late = recorded(rows.iter());
        late.started_ns += 700;
        late.ended_ns += 700;
        let offset = ClockOffset {
            worker_ahead_ns: 500,
            ..NOWHERE
        };
        to_coordinator(&mut late, offset);
        let mut merged = recorded(rows.iter());
        let wall_ns = merged.wall_ns;
        merge(&mut merged, late);
        assert_eq!(merged.wall_ns, wall_ns + 200);
    }

    #[test]
    fn contradictions_are_found() {
        let part = Part {
            first_thread: 3,
            threads: 1,
            threads_in_all: 9,
            begin_ns: None,
        };
        let mut good = recorded(rows().iter());
        good.threads.push(ThreadSummary {
            thread: 3,
            cpu: None,
            wall_ns: 1,
            cpu_ns: 1,
            run_delay_ns: None,
            requests: 1,
            begin_late_ns: None,
        });
        check(&good, &part).expect("consistent");
        let refused = |change: fn(&mut Summary), word: &str| {
            let mut summary = good.clone();
            change(&mut summary);
            let text = check(&summary, &part).expect_err("must be refused");
            assert!(text.contains(word), "{text}");
        };
        refused(|s| s.requests += 1, "requests");
        refused(|s| s.stale_retries = 1 << 43, "retried");
        refused(|s| s.latencies.total.record(1), "durations");
        refused(|s| s.ended_ns = 0, "ended before");
        refused(|s| s.threads[0].thread = 4, "threads");
        refused(|s| s.threads.clear(), "threads");
        refused(|s| s.requests = u64::MAX, "impossible");
        refused(|s| s.outcomes.add(Outcome::Ok, 1 << 60), "impossible");
    }
}
