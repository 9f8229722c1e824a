//! Things that the client does, and waits for a slot.

use std::time::Duration;

use loadgen::clock::monotonic_ns;
use mpm_observer::{
    correlate::Phase,
    scenario::{Mpm, RunPlan},
};

use crate::{
    Case, LONG_REPETITIONS, REPETITIONS,
    client::{Client, Reading},
    nothing, repeat, settle,
    span::Span,
    stand::{Stand, until, until_busy},
};

const PAUSE: Duration = Duration::from_millis(50);
/// A wait for a slot is at least so long: one per cent of it is to be more than what it costs to
/// notice its end.
const WAIT_NS: u64 = 25_000_000;
/// Long against what the server does at both ends of it: it may wait for a CPU before it reads or
/// sends, and TCP tells it only after some milliseconds that there is room again.
const LONG_PAUSE: Duration = Duration::from_millis(600);
/// The sockets' buffers on both ends: small, so that the pause is felt at once, but some segments
/// of the loopback device long.
const BUFFER: usize = 208 << 10;
/// More than these hold, though little more: while the rest is sent, client and server wait for
/// each other in turn.
const LARGE_BYTES: u64 = 3 << 19;
const SLOTS: usize = 10;

pub fn a_slow_client_is_seen_as_that(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, _) = stand.connect();
    let mut cases = nothing(&mut client);
    for _ in 0..LONG_REPETITIONS {
        client.send_in_parts("/truth?do=nothing", LONG_PAUSE);
        let exchange = client.receive(Reading::AtOnce);
        let carries = vec![(Phase::ClientSends, exchange.paused)];
        let case = Case::new("request in two parts", "nothing", exchange, carries, vec![]);
        cases.push(case);
    }
    for _ in 0..REPETITIONS {
        client.send("/truth?do=nothing");
        let exchange = client.receive(Reading::Late(PAUSE));
        // It looked when it had waited, and it was answered after the thing.
        let waited_ns = exchange.row.loop_wake_ns - exchange.told("End");
        let waited = Span::between(exchange.paused.least_ns, waited_ns);
        let carries = vec![(Phase::ToClient, waited)];
        let case = Case::new("answer read late", "nothing", exchange, carries, vec![]);
        cases.push(case);
    }
    drop(client);
    settle(stand, cases);
}

/// A large body, of which the client reads nothing for a while.
fn slow_reader(mpm: Mpm, what: &str, change: impl FnOnce(&mut RunPlan)) {
    let stand = Stand::start_as(mpm, |plan| {
        plan.load.body_bytes = LARGE_BYTES;
        let directives = &mut plan.server.extra_directives;
        directives.push(format!("SendBufferSize {BUFFER}"));
        change(plan);
    });
    let Some(stand) = stand else { return };
    let path = format!("/body-{LARGE_BYTES}.bin");
    let (mut client, _) = stand.connect_with_buffer(BUFFER);
    client.get(&path);
    let mut cases = Vec::new();
    for _ in 0..LONG_REPETITIONS {
        cases.push(Case::plain("large file", client.get(&path)));
        client.send(&path);
        let exchange = client.receive(Reading::Pausing(LONG_PAUSE));
        let carries = vec![(Phase::ClientReads, exchange.paused)];
        cases.push(Case::new(what, "large file", exchange, carries, vec![]));
    }
    drop(client);
    settle(stand, cases);
}

pub fn a_slow_reader_is_seen_as_that(mpm: Mpm) {
    slow_reader(mpm, "large file, reading paused", |_| {});
}

/// Event then lets the worker go, and another one goes on.
pub fn a_slow_reader_of_sendfile_is_seen_as_that(mpm: Mpm) {
    slow_reader(mpm, "large file by sendfile, reading paused", |plan| {
        plan.server.sendfile = true;
    });
}

pub fn an_idle_time_between_requests_is_in_none(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, _) = stand.connect();
    let mut cases = nothing(&mut client);
    for _ in 0..REPETITIONS {
        // Nothing is carried, so that no phase may have got anything.
        for what in ["before idling", "after idling"] {
            let exchange = client.get("/truth?do=nothing");
            cases.push(Case::new(what, "nothing", exchange, vec![], vec![]));
            if what == "before idling" {
                std::thread::sleep(4 * PAUSE);
            }
        }
    }
    drop(client);
    settle(stand, cases);
}

pub fn a_request_that_finds_all_slots_held_waits_in_the_accept_queue(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, _) = stand.connect();
    let mut cases = nothing(&mut client);
    drop(client);
    cases.extend(repeat(LONG_REPETITIONS, || {
        let mut holders: Vec<Client> = (0..SLOTS).map(|_| stand.connect_anew()).collect();
        for (index, holder) in holders.iter_mut().enumerate() {
            let length = if index == 0 { 6 * PAUSE } else { 12 * PAUSE };
            holder.send(&format!("/truth?do=sleep&ns={}", length.as_nanos()));
        }
        let mut all_held = false;
        until("all slots are held, or one no more", || {
            all_held = stand.busy() == SLOTS;
            all_held || holders.iter().any(Client::is_readable)
        });
        let mut further = stand.connect_anew();
        further.send("/truth?do=nothing");
        let mut first = holders.remove(0);
        let freed_ns = first.receive(Reading::AtOnce).told("End");
        // Event's worker is free already, that of the others when the connection has ended.
        let closing_ns = monotonic_ns();
        drop(first);
        let exchange = further.receive(Reading::AtOnce);
        let begin_ns = exchange.told("Begin");
        let others_ns = holders
            .iter_mut()
            .map(|holder| holder.receive(Reading::AtOnce).told("End"))
            .min();
        let free_ns = if mpm == Mpm::Event {
            freed_ns
        } else {
            closing_ns
        };
        let in_time = all_held
            && free_ns > exchange.written_ns + WAIT_NS
            && free_ns < begin_ns
            && others_ns.is_some_and(|ended_ns| ended_ns > begin_ns);
        let waited = Span {
            least_ns: free_ns.saturating_sub(exchange.written_ns),
            most_ns: begin_ns - exchange.row.sent_ns,
        };
        let carries = vec![(Phase::AcceptQueue, waited)];
        in_time.then(|| Case::new("all slots held", "nothing", exchange, carries, vec![]))
    }));
    settle(stand, cases);
}

pub fn a_request_behind_another_waits_for_its_worker(mpm: Mpm) {
    let Some(stand) = Stand::start(mpm) else {
        return;
    };
    let (mut client, pid) = stand.connect();
    let mut cases = nothing(&mut client);
    cases.extend(repeat(REPETITIONS, || {
        // Flushed, or httpd would keep the answer until it has the next one.
        client.send(&format!("/truth?do=sleep&ns={}&flush=1", PAUSE.as_nanos()));
        let seen = until_busy(pid, None, &client);
        client.send("/truth?do=nothing");
        let first = client.receive(Reading::AtOnce);
        let exchange = client.receive(Reading::AtOnce);
        seen?;
        let ended_ns = first.told("End");
        if ended_ns < exchange.written_ns + WAIT_NS {
            return None;
        }
        // The worker is free when it has sent the first answer, and was when it begins the second.
        let free_ns = first.row.first_byte_ns.min(exchange.told("Begin"));
        let waited = Span {
            least_ns: ended_ns - exchange.written_ns,
            most_ns: free_ns - exchange.row.sent_ns,
        };
        let carries = vec![(Phase::NoFreeWorker, waited)];
        Some(Case::new(
            "behind another",
            "nothing",
            exchange,
            carries,
            vec![],
        ))
    }));
    drop(client);
    settle(stand, cases);
}
