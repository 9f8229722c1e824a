//! Coordinated omission: a server that stops for a second in the middle of a steady load.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::common::{OK, Server, each_engine, outcomes, run};
use loadgen::clock::monotonic_ns;
use loadgen::{Arrivals, Outcome, Pace, Profile};

const RATE: u64 = 1000;
const REQUESTS: u64 = 8 * RATE;
const STALL_FROM_NS: u64 = 3_500_000_000;
const STALL_NS: u64 = 1_000_000_000;

/// The value below which `percent` of the ascending values lie.
fn percentile(ascending: &[u64], percent: f64) -> u64 {
    let rank = (percent / 100.0 * ascending.len() as f64).ceil() as usize;
    ascending[rank.clamp(1, ascending.len()) - 1]
}

#[test]
fn a_server_that_stops_for_a_second_shows_in_the_corrected_percentiles_and_not_in_the_raw() {
    each_engine(|| {
        let first_ns: Arc<OnceLock<u64>> = Arc::default();
        // When the server answered, by its own clock, and on which connection: the client's
        // port, and the how-manieth request.
        let answered_ns: Arc<Mutex<BTreeMap<(u16, u32), u64>>> = Arc::default();
        let log = Arc::clone(&answered_ns);
        let server = Server::start(move |mut connection| {
            let port = connection.stream.peer_addr().expect("connected").port();
            for ordinal in 0.. {
                if connection.request().is_none() {
                    return;
                }
                let from_ns = *first_ns.get_or_init(monotonic_ns) + STALL_FROM_NS;
                let now_ns = monotonic_ns();
                if (from_ns..from_ns + STALL_NS).contains(&now_ns) {
                    std::thread::sleep(Duration::from_nanos(from_ns + STALL_NS - now_ns));
                }
                let mut log = log.lock().expect("not poisoned");
                log.insert((port, ordinal), monotonic_ns());
                drop(log);
                connection.send(OK);
            }
        });
        let mut config = server.config(REQUESTS, 50);
        config.keep_alive = true;
        config.pace = Pace::Open {
            arrivals: Arrivals::Constant,
            rate: Profile::constant(RATE as f64),
        };
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, REQUESTS)]);
        assert_eq!(summary.unsent, 0);

        // The schedule that was asked for; the rows say that it was kept to.
        let due_ns = |index: u64| summary.started_ns + index * 1_000_000_000 / RATE;
        let mut intended_ns: Vec<u64> = rows.iter().map(|row| row.intended_ns).collect();
        intended_ns.sort_unstable();
        for (index, intended_ns) in (0..).zip(&intended_ns) {
            assert!(intended_ns.abs_diff(due_ns(index)) <= 2, "{index}");
        }
        // The truth: first come, first served, from the server's record and the schedule.
        let log = answered_ns.lock().expect("not poisoned").clone();
        assert_eq!(log.len() as u64, REQUESTS);
        let mut answered_ns: Vec<u64> = log.values().copied().collect();
        answered_ns.sort_unstable();
        let mut truth_ns: Vec<u64> = (0..)
            .zip(&answered_ns)
            .map(|(index, answered_ns)| answered_ns.saturating_sub(due_ns(index)))
            .collect();
        truth_ns.sort_unstable();
        // What is not in the record: how long the answers took to the client, which is long
        // where both have to wait for a CPU.
        let mut way_ns: Vec<u64> = rows
            .iter()
            .map(|row| row.last_byte_ns - log[&(row.local_port, row.ordinal)])
            .collect();
        way_ns.sort_unstable();
        let way_ns = percentile(&way_ns, 99.0) as f64;

        let latencies = &summary.latencies;
        for percent in [90.0, 99.0] {
            let truth_ns = percentile(&truth_ns, percent) as f64;
            let said_ns = latencies.total.percentile_ns(percent) as f64;
            assert!(truth_ns > 100e6, "the stall is in the record: {truth_ns}");
            assert!(
                (said_ns - truth_ns).abs() < 0.05 * truth_ns + way_ns,
                "p{percent}: {said_ns} ns instead of {truth_ns} ns, p99 of the way {way_ns} ns"
            );
        }
        // What a generator says that waits for its slots before it looks at the clock.
        // Fifty rows a stall are 0.6 %, and a busy machine stalls once more: hence not p99.
        let raw_ns = latencies.raw.percentile_ns(90.0);
        assert!(raw_ns < percentile(&truth_ns, 90.0) / 2, "{raw_ns}");
        assert_eq!(latencies.raw.count(), REQUESTS);
        // Some thousand were due in the stall, for which there were fifty slots.
        let waited = rows.iter().filter(|row| row.has_waited()).count() as u64;
        assert!(waited > 800, "{waited}");
        assert_eq!(latencies.slot_wait.count(), waited);
        assert_eq!(latencies.loop_delay.count(), REQUESTS - waited);
    });
}
