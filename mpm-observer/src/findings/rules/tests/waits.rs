//! Connections that waited.

use loadgen::Outcome;

use super::{BEGIN_NS, Figures, MadeUp, SECOND, clean_rows, contains, failed, prefork, rows, task};
use crate::{
    findings::Change,
    recording::{ClientRow, FailureKind, FailureRow, HeldOutcome, KernelRow, TaskRow},
    report::made_up::rows::of_live_server,
    scenario::{Held, HeldKind, Mpm, Start},
};

fn dropped(port: u16, after_s: u64) -> FailureRow {
    FailureRow {
        t_ns: BEGIN_NS + after_s * SECOND + 1000,
        kind: FailureKind::AcceptQueueFull,
        remote_port: port,
        queue_length: Some(6),
        queue_limit: Some(5),
        ..FailureRow::default()
    }
}

#[test]
fn a_full_accept_queue_is_told_with_the_clients_that_waited_for_tcp() {
    let mut rows = clean_rows(Mpm::Prefork);
    rows.manifest.plan_mut().unwrap().server.listen_backlog = 5;
    rows.manifest.plan_mut().unwrap().load.concurrency = 80;
    let waited = |port, wait_s| ClientRow {
        outcome: Outcome::Ok.name().into(),
        first_byte_ns: BEGIN_NS + wait_s * SECOND,
        last_byte_ns: BEGIN_NS + wait_s * SECOND,
        end_ns: BEGIN_NS + wait_s * SECOND,
        ..failed(port, 0, Outcome::Ok, 200)
    };
    rows.client.extend([waited(50_000, 3), waited(50_001, 7)]);
    let timeout = ClientRow {
        connected_ns: 0,
        sent_ns: 0,
        ..failed(50_002, 0, Outcome::Timeout, 0)
    };
    rows.client.push(timeout);
    let made_up = MadeUp::of(rows).with_failures([
        dropped(50_000, 0),
        dropped(50_000, 1),
        dropped(50_001, 0),
        dropped(50_002, 0),
    ]);
    assert_eq!(made_up.found(), ["accept-queue-full"]);
    let finding = made_up.finding("accept-queue-full");
    assert_eq!(
        finding.sentence,
        "prefork: the accept queue of 5 connections (ListenBacklog) was full and 4 packets of 3 connections \
         dropped: 2 clients waited a second or more for TCP to send again, the longest 7.0 s; 1 \
         of the 103 requests failed: timed out."
    );
    assert_eq!(finding.remedies[0].change, Some(Change::ListenBacklog(80)));
}

#[test]
fn a_queue_cut_by_somaxconn_is_not_mended_by_the_backlog_alone() {
    let finding = MadeUp::clean(Mpm::Prefork)
        .with_failures([dropped(50_000, 0)])
        .finding("accept-queue-full");
    contains(
        &finding.remedies[0].text,
        &["somaxconn", "not by the ListenBacklog of 511"],
    );
    assert_eq!(finding.remedies[0].change, None);
}

#[test]
fn overflows_that_were_only_counted_are_told_with_what_is_missing() {
    let figures = Figures {
        failed: 0,
        ..Figures::default()
    };
    let mut rows = rows(Mpm::Event, 1, &figures);
    rows.client.retain(ClientRow::is_ok);
    let mut made_up = MadeUp::of(rows);
    // Drops of this httpd are recorded: these were another's.
    assert_eq!(made_up.found(), [] as [&str; 0]);
    made_up.run.manifest.absent_programs = vec!["consume_skb".into()];
    assert_eq!(made_up.found(), ["accept-queue-full"]);
    let finding = made_up.finding("accept-queue-full");
    contains(
        &finding.sentence,
        &["4 packets dropped", "no client is known"],
    );
    contains(&finding.missing[0], &["which connections were dropped"]);
}

/// A connection that was answered at once and then kept.
fn kept(port: u16) -> KernelRow {
    KernelRow {
        local_addr: "127.0.0.1".into(),
        local_port: 8080,
        remote_addr: "127.0.0.1".into(),
        remote_port: port,
        established_ns: BEGIN_NS + 1,
        queued_ns: BEGIN_NS + 1,
        accepted_ns: BEGIN_NS + 2,
        arrival_ns: BEGIN_NS + 1,
        pickup_ns: BEGIN_NS + 3,
        last_send_ns: BEGIN_NS + 1000,
        end_ns: BEGIN_NS + 6 * SECOND,
        bytes_in: 50,
        conn_ended: true,
        ..KernelRow::default()
    }
}

/// Ten slots, each with a connection of `with`, and two further connections that wait for 5 s.
fn waiting(mpm: Mpm, with: impl Fn(u16) -> KernelRow) -> MadeUp {
    let mut rows = clean_rows(mpm);
    rows.manifest.plan_mut().unwrap().server.max_request_workers = 10;
    rows.manifest.plan_mut().unwrap().server.threads_per_child =
        if mpm.is_threaded() { 5 } else { 1 };
    rows.manifest
        .plan_mut()
        .unwrap()
        .server
        .keep_alive_timeout_s = 5;
    rows.manifest.plan_mut().unwrap().load.concurrency = 12;
    let load = rows.manifest.load.as_mut().unwrap();
    load.ended_ns = BEGIN_NS + 10 * SECOND;
    rows.kernel = (0..10).map(|n| with(40_000 + n)).collect();
    rows.client.clear();
    for port in [50_000, 50_001] {
        let answered_ns = BEGIN_NS + 6 * SECOND;
        rows.client.push(ClientRow {
            first_byte_ns: answered_ns,
            last_byte_ns: answered_ns,
            end_ns: answered_ns + 10,
            ..failed(port, 1, Outcome::Ok, 200)
        });
        rows.kernel.push(KernelRow {
            established_ns: BEGIN_NS + SECOND + 10,
            queued_ns: BEGIN_NS + SECOND + 10,
            arrival_ns: BEGIN_NS + SECOND + 10,
            accepted_ns: answered_ns - 2000,
            pickup_ns: answered_ns - 1000,
            last_send_ns: answered_ns - 10,
            end_ns: answered_ns,
            ..kept(port)
        });
    }
    let mut made_up = MadeUp::of(rows);
    made_up.run.ends = match mpm {
        Mpm::Prefork => prefork(10),
        _ => (0..10).map(|n| task(200 + n, 100, "worker", 2)).collect(),
    };
    made_up
}

#[test]
fn connections_that_wait_for_slots_in_keep_alive_are_told_so() {
    for mpm in [Mpm::Prefork, Mpm::Worker] {
        let made_up = waiting(mpm, kept);
        assert_eq!(made_up.found(), ["slots-taken"]);
        let finding = made_up.finding("slots-taken");
        contains(
            &finding.sentence,
            &[
                "2 of 2 connections waited 5.0 s",
                "because all 10 slots (MaxRequestWorkers) sat in keep-alive",
            ],
        );
        let changes: Vec<Option<&Change>> = finding
            .remedies
            .iter()
            .map(|one| one.change.as_ref())
            .collect();
        let slots = if mpm.is_threaded() { 15 } else { 12 };
        assert_eq!(
            changes,
            [
                Some(&Change::KeepAliveTimeout(1)),
                None,
                Some(&Change::MaxRequestWorkers(slots))
            ]
        );
    }
}

#[test]
fn of_a_live_server_all_slots_that_existed_are_told() {
    let mut made_up = waiting(Mpm::Prefork, kept);
    let live = of_live_server(clean_rows(Mpm::Prefork));
    made_up.run.manifest = live.manifest;
    made_up.run.client.clear();
    contains(
        &made_up.finding("slots-taken").sentence,
        &["before a task read from them, because all 10 slots that existed sat in keep-alive"],
    );
}

#[test]
fn kept_connections_take_no_slot_of_event() {
    assert_eq!(waiting(Mpm::Event, kept).found(), [] as [&str; 0]);
}

#[test]
fn half_heads_and_slow_readers_are_told_apart_from_work() {
    let end_ns = BEGIN_NS + 6 * SECOND;
    let half = waiting(Mpm::Event, |port| KernelRow {
        last_send_ns: 0,
        end_ns,
        ..kept(port)
    });
    let finding = half.finding("slots-taken");
    contains(
        &finding.sentence,
        &["waited for the rest of a request's head"],
    );
    contains(&finding.remedies[0].text, &["mod_reqtimeout"]);
    let slow = waiting(Mpm::Event, |port| KernelRow {
        last_send_ns: end_ns,
        client_reads_ns: 5 * SECOND,
        ..kept(port)
    });
    let finding = slow.finding("slots-taken");
    contains(&finding.sentence, &["waited for clients to read"]);
    assert_eq!(finding.remedies[0].change, Some(Change::Sendfile(true)));
    // The same clients, who end their connections and have not read.
    let unread = waiting(Mpm::Prefork, |port| KernelRow {
        unread_by_client: true,
        ..kept(port)
    });
    let finding = unread.finding("slots-taken");
    contains(&finding.sentence, &["waited for clients to read"]);
    let work = waiting(Mpm::Event, |port| KernelRow {
        last_send_ns: end_ns,
        ..kept(port)
    });
    contains(&work.finding("slots-taken").sentence, &["served requests"]);
}

#[test]
fn what_is_read_after_its_client_gave_up_was_never_read_for_it() {
    let mut made_up = waiting(Mpm::Prefork, kept);
    let given_up = &mut made_up.run.client[0];
    given_up.outcome = Outcome::Timeout.name().into();
    given_up.status = 0;
    given_up.end_ns = BEGIN_NS + 4 * SECOND;
    contains(
        &made_up.finding("slots-taken").sentence,
        &["; 1 never read at all"],
    );
}

/// A hundred connections, sixty at once, over ten slots: each waits for 50 ms and is served for
/// ten.
fn in_turn(mpm: Mpm) -> MadeUp {
    const STEP: u64 = 1_000_000;
    let mut made_up = waiting(mpm, kept);
    made_up.run.manifest.plan_mut().unwrap().load.concurrency = 60;
    let mut rows = clean_rows(mpm);
    rows.manifest.origin = made_up.run.manifest.origin.clone();
    rows.kernel.clear();
    rows.client.clear();
    for n in 0..100_u16 {
        let pickup_ns = BEGIN_NS + SECOND + (51 + u64::from(n)) * STEP;
        let end_ns = pickup_ns + 10 * STEP;
        let port = 50_000 + n;
        rows.client.push(ClientRow {
            first_byte_ns: end_ns,
            last_byte_ns: end_ns,
            end_ns: end_ns + 10,
            ..failed(port, 1, Outcome::Ok, 200)
        });
        rows.kernel.push(KernelRow {
            established_ns: pickup_ns - 50 * STEP,
            queued_ns: pickup_ns - 50 * STEP,
            arrival_ns: pickup_ns - 50 * STEP,
            accepted_ns: pickup_ns - 10,
            pickup_ns,
            last_send_ns: end_ns,
            end_ns,
            ..kept(port)
        });
    }
    let ends = made_up.run.ends;
    let mut made_up = MadeUp::of(rows);
    made_up.run.ends = ends;
    made_up
}

#[test]
fn short_waits_of_most_connections_for_taken_slots_are_told_and_weigh_little() {
    for mpm in Mpm::ALL {
        let made_up = in_turn(mpm);
        assert_eq!(made_up.found(), ["slots-taken"]);
        let finding = made_up.finding("slots-taken");
        contains(
            &finding.sentence,
            &[
                "100 of 100 connections waited longer for a slot than they were then served",
                "0.05 s against 0.01 s (medians)",
                " of 10 slots (MaxRequestWorkers) taken on average, most of which served requests",
                "no request failed of it",
            ],
        );
        assert!(finding.weight < 0.01, "{}", finding.weight);
        assert_eq!(
            finding.remedies[0].change,
            Some(Change::MaxRequestWorkers(60))
        );
    }
}

#[test]
fn short_waits_are_no_finding_within_the_slots_or_where_slots_were_kept_away() {
    let mut within = in_turn(Mpm::Event);
    within.run.manifest.plan_mut().unwrap().load.concurrency = 10;
    assert_eq!(within.found(), [] as [&str; 0]);
    let mut fewer = in_turn(Mpm::Event);
    fewer.run.ends.pop();
    assert_eq!(fewer.found(), [] as [&str; 0]);
}

#[test]
fn slow_clients_that_outlast_the_records_are_counted_by_the_client() {
    let mut rows = clean_rows(Mpm::Event);
    rows.manifest.plan_mut().unwrap().server.max_request_workers = 10;
    rows.manifest.plan_mut().unwrap().load.held = Some(Held {
        kind: HeldKind::HalfHeader,
        connections: 12,
        bytes_per_s: 1,
        body_bytes: 1,
    });
    rows.manifest.held = Some(HeldOutcome {
        tried: 12,
        held: 12,
        ..HeldOutcome::default()
    });
    rows.kernel.clear();
    rows.client = vec![ClientRow {
        end_ns: BEGIN_NS + 11 * SECOND,
        ..failed(50_000, 1, Outcome::Timeout, 0)
    }];
    let mut made_up = MadeUp::of(rows);
    made_up.run.ends = (0..10).map(|n| task(200 + n, 100, "worker", 2)).collect();
    assert_eq!(made_up.found(), ["slots-taken"]);
    let finding = made_up.finding("slots-taken");
    contains(
        &finding.sentence,
        &[
            "1 of 1 connection waited",
            "1 never read at all",
            "all 10 slots (MaxRequestWorkers) waited for the rest",
        ],
    );
    // Without a count of those who hold the slots nothing is said of them.
    made_up.run.manifest.held = None;
    assert_eq!(made_up.found(), ["unexplained"]);
}

#[test]
fn a_cold_start_tells_how_the_children_came() {
    let mut made_up = waiting(Mpm::Prefork, kept);
    made_up.run.manifest.plan_mut().unwrap().server.start = Start::Cold;
    made_up
        .run
        .manifest
        .plan_mut()
        .unwrap()
        .server
        .start_servers = 1;
    let made = |n: u32, after_s: u64| TaskRow {
        created_ns: BEGIN_NS + after_s * SECOND,
        ..task(100 + n, 100 + n, "child", 0)
    };
    let mut ends = vec![task(10, 10, "parent", 1)];
    let seconds = [0, 1, 1, 2, 2, 2, 2, 3, 3, 5];
    ends.extend((0..).zip(seconds).map(|(n, second)| made(n, second)));
    made_up.run.ends = ends;
    assert_eq!(made_up.found(), ["fork-ramp"]);
    let finding = made_up.finding("fork-ramp");
    contains(
        &finding.sentence,
        &[
            "2 of 2 connections waited a second or more, 5.0 s (median) and 5.0 s at most",
            "1 of the 10 slots",
            "reached them 5.0 s into it",
            "1-2-4-2-0-1 children in successive seconds",
        ],
    );
    assert_eq!(finding.remedies[0].change, Some(Change::StartServers(10)));
    // Children may have been refused; then it was no ramp.
    let damaged = "run/failures/part-00000.parquet: damaged".to_owned();
    made_up.run.unreadable.push(damaged);
    assert!(!made_up.found().contains(&"fork-ramp".to_owned()));
}

#[test]
fn kept_connections_that_event_closed_are_told_with_the_requests_sent_again() {
    let mut made_up = waiting(Mpm::Event, |port| KernelRow {
        last_send_ns: BEGIN_NS + 6 * SECOND,
        ..kept(port)
    });
    let stale = |port| ClientRow {
        reused: true,
        ordinal: 1,
        end_ns: BEGIN_NS + 3 * SECOND,
        ..failed(port, 2, Outcome::StaleKeepAlive, 0)
    };
    made_up.run.client.extend([stale(51_000), stale(51_001)]);
    let reset = FailureRow {
        t_ns: BEGIN_NS + 3 * SECOND,
        kind: FailureKind::ResetSent,
        remote_port: 51_000,
        ..FailureRow::default()
    };
    let finding = made_up
        .with_failures([reset])
        .finding("kept-connections-closed");
    contains(
        &finding.sentence,
        &[
            "2 requests met a kept connection that httpd had closed (1 reset sent)",
            "which event does when all slots are busy",
            "none of them failed",
        ],
    );
    assert_eq!(
        finding.remedies[0].change,
        Some(Change::MaxRequestWorkers(15))
    );
}

#[test]
fn a_reset_after_the_whole_answer_is_no_failure() {
    let made_up = MadeUp::clean(Mpm::Event);
    let served = made_up.run.client[0].clone();
    let reset = FailureRow {
        t_ns: served.end_ns + 1000,
        kind: FailureKind::ResetSent,
        remote_port: served.local_port,
        ..FailureRow::default()
    };
    let mut made_up = made_up.with_failures([reset]);
    assert_eq!(made_up.found(), [] as [&str; 0]);
    // A request on the same kept connection that met it.
    made_up.run.client.push(ClientRow {
        reused: true,
        ordinal: 1,
        local_port: served.local_port,
        start_ns: served.end_ns + 500,
        end_ns: served.end_ns + 2000,
        ..failed(served.local_port, 0, Outcome::ResetBeforeFirstByte, 0)
    });
    assert_eq!(made_up.found(), ["kept-connections-closed"]);
    contains(
        &made_up.finding("kept-connections-closed").sentence,
        &["(1 reset sent)", "1 of the 101 requests failed"],
    );
}
