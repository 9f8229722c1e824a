use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";

const FRESH: Fresh = Fresh {
    due_ns: Some(90),
    url: 3,
    flags: Row::WAITED,
};

fn connecting() -> Exchange {
    let remote = "127.0.0.1:80".parse().expect("address");
    let mut exchange = Exchange::new(1, 2, remote, false);
    exchange.begin_connect(100, StartKind::Fresh(FRESH));
    exchange
}

fn waiting() -> Exchange {
    let mut exchange = connecting();
    exchange.sent(10, 110, 10);
    exchange
}

fn reading() -> Exchange {
    let mut exchange = waiting();
    exchange.first_byte(120, 119);
    exchange.reader.feed(&OK[..5]).expect("good");
    exchange
}

fn reused() -> Exchange {
    let mut exchange = waiting();
    exchange.first_byte(120, 119);
    exchange.reader.feed(OK).expect("good");
    exchange.answered(130);
    exchange.begin_reuse(140, FRESH);
    exchange.sent(10, 140, 10);
    exchange
}

fn outcome(mut exchange: Exchange, trouble: Trouble) -> Outcome {
    exchange.failed(trouble, 200).outcome
}

#[test]
fn trouble_is_named_by_the_stage_at_which_it_came() {
    use Outcome::*;
    let reset = Trouble::Errno(libc::ECONNRESET);
    let refused = Trouble::Errno(libc::ECONNREFUSED);
    let no_port = Trouble::Errno(libc::EADDRNOTAVAIL);
    assert_eq!(outcome(connecting(), refused), Refused);
    assert_eq!(outcome(connecting(), reset), ResetConnecting);
    assert_eq!(outcome(connecting(), no_port), ConnectFailed);
    let mut connected = connecting();
    connected.connected(110);
    assert_eq!(outcome(connected, reset), ResetConnecting);
    assert_eq!(outcome(waiting(), reset), ResetBeforeFirstByte);
    assert_eq!(outcome(waiting(), Trouble::Closed), ClosedEarly);
    assert_eq!(outcome(reading(), reset), ResetInBody);
    assert_eq!(outcome(reading(), Trouble::Closed), ShortBody);
    assert_eq!(outcome(reused(), reset), StaleKeepAlive);
    assert_eq!(
        outcome(reused(), Trouble::Errno(libc::EPIPE)),
        StaleKeepAlive
    );
    assert_eq!(outcome(reused(), Trouble::Closed), StaleKeepAlive);
    let gave_up = Trouble::Errno(libc::ETIMEDOUT);
    assert_eq!(outcome(connecting(), gave_up), Timeout);
    assert_eq!(outcome(reused(), gave_up), Timeout);
    let garbage = Trouble::Malformed(crate::Malformed::ChunkEnd);
    assert_eq!(outcome(reused(), garbage), Malformed);
}

#[test]
fn an_answer_fills_its_row() {
    let mut exchange = waiting();
    exchange.first_byte(120, 119);
    exchange.reader.feed(OK).expect("good");
    let row = *exchange.answered(130);
    let times_ns = (
        row.start_ns,
        row.connect_start_ns,
        row.connected_ns,
        row.sent_ns,
    );
    assert_eq!(times_ns, (100, 100, 110, 110));
    let times_ns = (
        row.loop_wake_ns,
        row.first_byte_ns,
        row.last_byte_ns,
        row.end_ns,
    );
    assert_eq!(times_ns, (119, 120, 130, 130));
    assert_eq!((row.thread, row.slot, row.ordinal), (1, 2, 0));
    assert_eq!(
        (row.intended_ns, row.url, row.flags),
        (90, 3, Row::WAITED | Row::KEPT)
    );
    assert_eq!(
        (row.status, row.body_bytes, row.request_bytes),
        (200, 1, 10)
    );
    assert_eq!(row.header_bytes as usize, OK.len() - 1);
    assert_eq!(row.outcome, Outcome::Ok);
}

#[test]
fn a_reused_connection_counts_on_and_keeps_its_connect_times() {
    let mut exchange = reused();
    let row = *exchange.cut_off(Outcome::Aborted, 150);
    assert_eq!((row.ordinal, row.flags), (1, Row::REUSED | Row::WAITED));
    assert_eq!((row.connect_start_ns, row.connected_ns), (100, 110));
    assert_eq!(
        (row.start_ns, row.sent_ns, row.first_byte_ns),
        (140, 140, 0)
    );
    assert_eq!((row.status, row.body_bytes), (0, 0));
}

#[test]
fn a_retry_keeps_the_start_of_its_first_attempt_and_is_never_stale() {
    let mut exchange = reused();
    exchange.failed(Trouble::Closed, 150);
    exchange.begin_connect(160, StartKind::Retry);
    exchange.sent(10, 170, 10);
    let row = *exchange.failed(Trouble::Closed, 180);
    assert_eq!(
        (row.outcome, row.flags, row.url),
        (Outcome::ClosedEarly, Row::RETRIED | Row::WAITED, 3)
    );
    assert_eq!(
        (row.intended_ns, row.start_ns, row.connect_start_ns),
        (90, 140, 160)
    );
    assert_eq!(row.ordinal, 0);
    exchange.begin_connect(190, StartKind::Fresh(FRESH));
    let row = *exchange.cut_off(Outcome::Aborted, 200);
    assert_eq!((row.flags, row.start_ns), (Row::WAITED, 190));
}

#[test]
fn a_retry_that_the_end_of_the_run_forestalls_is_a_row_without_a_connection() {
    let mut exchange = reused();
    exchange.failed(Trouble::Closed, 150);
    exchange.begin_unconnected(160);
    let row = *exchange.cut_off(Outcome::Aborted, 160);
    assert_eq!((row.flags, row.start_ns), (Row::RETRIED | Row::WAITED, 140));
    assert_eq!(
        (row.connect_start_ns, row.local_port, row.ordinal),
        (0, 0, 0)
    );
}

#[test]
fn a_request_written_in_parts_was_sent_when_the_first_part_was() {
    let mut exchange = connecting();
    exchange.sent(4, 110, 10);
    assert_eq!((exchange.stage, exchange.sent_bytes()), (Stage::Sending, 4));
    exchange.sent(6, 120, 10);
    assert_eq!(exchange.stage, Stage::Receiving);
    assert_eq!(exchange.cut_off(Outcome::Timeout, 130).sent_ns, 110);
}

#[test]
fn a_malformed_answer_tells_why() {
    let row = *reading().failed(Trouble::Malformed(Malformed::ChunkSize), 200);
    assert_eq!(row.detail, Malformed::ChunkSize as u8);
    let row = *connecting().failed(Trouble::Errno(libc::EADDRNOTAVAIL), 200);
    assert_eq!(i32::from(row.errno), libc::EADDRNOTAVAIL);
}
