//! What must hold of every run, whatever the server does.

use std::collections::BTreeMap;

use loadgen::{Config, Outcome, Progress, Row, Summary};

/// Holds the summary, the rows, the progress and the requests that the server counted (if it
/// is one of these tests) against each other.
pub fn reconcile(
    config: &Config,
    summary: &Summary,
    all_rows: &[Row],
    progress: &Progress,
    counted: Option<u64>,
) {
    if let Some(engine) = config.engine {
        assert_eq!(summary.engine, engine);
    }
    let rows: Vec<&Row> = all_rows.iter().filter(|row| !row.is_warm_up()).collect();
    let of_rows = |condition: &dyn Fn(&Row) -> bool| {
        let count = rows.iter().filter(|row| condition(row)).count();
        count as u64
    };
    // Each attempt has exactly one row and one outcome.
    let warm_up = all_rows.len() - rows.len();
    assert_eq!(summary.warm_up_attempts, warm_up as u64);
    for (outcome, count) in summary.outcomes.iter() {
        assert_eq!(of_rows(&|r| r.outcome == outcome), count, "{outcome:?}");
    }
    // Each request has one, too: what was sent is the sum of the outcomes.
    let retries = of_rows(&Row::is_retry);
    assert_eq!(summary.stale_retries, retries);
    assert_eq!(
        summary.requests,
        summary.outcomes.sum_where(|_| true) - retries
    );
    let stale = summary.outcomes.get(Outcome::StaleKeepAlive);
    assert_eq!(retries, if config.retry_stale { stale } else { 0 });
    if let Some(requests) = config.requests {
        assert!(summary.requests <= requests);
        let is_free_to_end = config.duration.is_none() && !config.pace.is_open();
        if is_free_to_end && summary.outcomes.get(Outcome::Aborted) == 0 {
            assert_eq!(summary.requests, requests, "every request has one outcome");
        }
    }
    assert_eq!(summary.answered(), summary.latencies.total.count());
    let wrong = summary.outcomes.get(Outcome::WrongBody);
    if let Some(counted) = counted {
        let answered = all_rows.iter().filter(|row| row.last_byte_ns != 0);
        let answered = answered.count() as u64;
        assert!(summary.answered() + wrong <= answered);
        assert!(
            answered <= counted,
            "{answered} answers, {counted} requests"
        );
    }
    let aborted = summary.outcomes.get(Outcome::Aborted);
    let unretried = stale - retries;
    assert_eq!(progress.completed(), summary.requests - aborted - unretried);
    assert_eq!(summary.rows.written, all_rows.len() as u64);
    assert_eq!((summary.rows.not_written, &summary.rows.error), (0, &None));
    let threads: u64 = summary.threads.iter().map(|t| t.requests).sum();
    assert_eq!(threads, summary.requests);
    let bodies: u64 = rows.iter().map(|r| r.body_bytes).sum();
    assert_eq!(summary.bytes_body, bodies);
    let is_new = |row: &&Row| row.connected_ns != 0 && !row.is_reused();
    let opened = all_rows.iter().filter(is_new).count() as u64;
    assert_eq!(summary.connections_opened, opened);
    // The next ordinal by connection; a port may serve several connections in turn.
    let mut ordinals = BTreeMap::new();
    for row in all_rows {
        check_times(config, summary, row);
        let connection = (row.thread, row.slot, row.local_port, row.connect_start_ns);
        let next = ordinals.entry(connection).or_insert(0);
        assert_eq!(
            row.ordinal, *next,
            "ordinals count the requests of a connection"
        );
        assert_eq!(row.is_reused(), row.ordinal > 0);
        *next += 1;
    }
}

/// Times that happened are in their order and within the run.
fn check_times(config: &Config, summary: &Summary, row: &Row) {
    let mut order = vec![row.intended_ns, row.start_ns];
    if !row.is_warm_up() {
        order.insert(0, summary.started_ns);
    }
    if !row.is_reused() {
        order.extend([row.connect_start_ns, row.connected_ns]);
    }
    order.extend([row.sent_ns, row.first_byte_ns, row.last_byte_ns, row.end_ns]);
    if !row.is_warm_up() {
        order.push(summary.ended_ns);
    }
    order.retain(|ns| *ns != 0);
    assert!(order.is_sorted(), "{row:?}");
    assert!(row.start_ns != 0 && row.end_ns != 0, "{row:?}");
    if !config.pace.is_open() {
        assert_eq!(row.intended_ns, row.start_ns, "{row:?}");
        assert!(!row.has_waited(), "{row:?}");
    }
    assert!(row.loop_wake_ns <= row.first_byte_ns, "{row:?}");
    assert_eq!(row.first_byte_ns == 0, row.loop_wake_ns == 0, "{row:?}");
    let is_whole = row.outcome.is_answered() || row.outcome == Outcome::WrongBody;
    assert_eq!(is_whole, row.last_byte_ns != 0, "{row:?}");
    assert_eq!(row.sent_ns != 0, row.request_bytes > 0, "{row:?}");
}
