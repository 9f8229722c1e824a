use super::*;

const RULES: AbRules = AbRules {
    requests: Some(100),
    keep_alive: false,
    goes_on_after_errors: false,
    length_may_vary: false,
};

const KEEP: AbRules = AbRules {
    keep_alive: true,
    ..RULES
};

const GOES_ON: AbRules = AbRules {
    goes_on_after_errors: true,
    ..RULES
};

fn fold(rules: AbRules, rows: &[Row]) -> AbCounts {
    let mut fold = AbFold::new(rules);
    for row in rows {
        fold.row(row);
    }
    fold.counts()
}

fn row(outcome: Outcome) -> Row {
    let mut row = Row {
        outcome,
        start_ns: 100,
        end_ns: 200,
        ..Row::EMPTY
    };
    row.set_remote("127.0.0.1:80".parse().expect("address"));
    row
}

fn answer(status: u16, body_bytes: u64) -> Row {
    let outcome = if status < 400 {
        Outcome::Ok
    } else {
        Outcome::Non2xx
    };
    Row {
        status,
        body_bytes,
        header_bytes: 50,
        flags: Row::KEPT,
        ..row(outcome)
    }
}

fn broken(outcome: Outcome, errno: i32) -> Row {
    Row {
        errno: u16::try_from(errno).expect("small"),
        ..row(outcome)
    }
}

#[test]
fn whole_answers_of_one_length_are_complete() {
    let counts = fold(RULES, &[answer(200, 5); 3]);
    let expected = AbCounts {
        complete: 3,
        document_bytes: 5,
        ..AbCounts::default()
    };
    assert_eq!(counts, expected);
    let kept = AbCounts {
        keep_alive_requests: 3,
        ..expected
    };
    assert_eq!(fold(KEEP, &[answer(200, 5); 3]), kept);
}

#[test]
fn redirects_are_non2xx_and_no_status_is_a_failure() {
    let counts = fold(RULES, &[answer(200, 0), answer(302, 0), answer(500, 0)]);
    assert_eq!((counts.complete, counts.failed), (3, 0));
    assert_eq!((counts.non2xx, counts.redirects), (2, 1));
}

#[test]
fn the_first_answers_length_is_the_right_one() {
    let rows = [answer(200, 5), answer(200, 6), answer(200, 5)];
    let counts = fold(RULES, &rows);
    assert_eq!((counts.complete, counts.failed, counts.length), (3, 1, 1));
    assert_eq!((counts.document_bytes, counts.length_of_answers), (5, 1));
    let varying = AbRules {
        length_may_vary: true,
        ..RULES
    };
    assert_eq!(fold(varying, &rows).failed, 0);
}

#[test]
fn a_close_is_a_complete_answer_wherever_it_comes() {
    let cut = Row {
        body_bytes: 500,
        ..answer(200, 0)
    };
    let cut = Row {
        outcome: Outcome::ShortBody,
        ..cut
    };
    let counts = fold(RULES, &[cut; 4]);
    assert_eq!((counts.complete, counts.failed), (4, 0));
    assert_eq!((counts.document_bytes, counts.complete_closed), (500, 4));
    let counts = fold(RULES, &[answer(200, 5), row(Outcome::ClosedEarly)]);
    assert_eq!((counts.complete, counts.length, counts.failed), (2, 1, 1));
    assert_eq!((counts.complete_closed, counts.length_of_answers), (1, 0));
}

#[test]
fn a_stale_connection_is_complete_and_of_the_wrong_length() {
    let rows = [answer(200, 5), row(Outcome::StaleKeepAlive), answer(200, 5)];
    let counts = fold(KEEP, &rows);
    assert_eq!((counts.complete, counts.length, counts.failed), (3, 1, 1));
    assert_eq!((counts.complete_stale, counts.exceptions), (1, 0));
    assert_eq!(counts.keep_alive_requests, 2);
    let rows = [
        answer(200, 5),
        answer(200, 5),
        broken(Outcome::StaleKeepAlive, libc::EPIPE),
    ];
    let counts = fold(KEEP, &rows);
    assert_eq!(
        (counts.write_errors, counts.length, counts.receive),
        (1, 1, 0)
    );
}

#[test]
fn a_reset_ends_the_run_unless_told_not_to() {
    let reset = broken(Outcome::ResetBeforeFirstByte, libc::ECONNRESET);
    let counts = fold(RULES, &[answer(200, 5), reset, answer(200, 5)]);
    assert_eq!((counts.complete, counts.receive), (1, 1));
    assert_eq!(
        counts.ended_by,
        Some(AbEnd::Receive(libc::ECONNRESET as u16))
    );
    // Twice for each: as an error of receiving and as an exception.
    let counts = fold(GOES_ON, &[reset; 3]);
    assert_eq!((counts.complete, counts.failed), (3, 6));
    assert_eq!(
        (counts.receive, counts.exceptions, counts.length),
        (3, 3, 0)
    );
    assert_eq!(counts.complete_errors, 3);
}

#[test]
fn a_reset_in_the_body_is_counted_three_times() {
    let reset = Row {
        outcome: Outcome::ResetInBody,
        errno: libc::ECONNRESET as u16,
        ..answer(200, 4)
    };
    let counts = fold(GOES_ON, &[reset; 3]);
    assert_eq!((counts.complete, counts.failed), (3, 9));
    assert_eq!(
        (counts.receive, counts.exceptions, counts.length),
        (3, 3, 3)
    );
    let answered_404 = Row {
        status: 404,
        ..reset
    };
    assert_eq!(fold(GOES_ON, &[answered_404]).non2xx, 1);
}

#[test]
fn refusals_on_one_machine_come_in_pairs() {
    let refused = broken(Outcome::Refused, libc::ECONNREFUSED);
    let counts = fold(GOES_ON, &[refused; 4]);
    assert_eq!((counts.complete, counts.failed), (4, 6));
    assert_eq!((counts.receive, counts.exceptions), (4, 2));
    let mut remote = refused;
    remote.set_remote("192.0.2.1:80".parse().expect("address"));
    assert_eq!(fold(GOES_ON, &[remote; 4]).exceptions, 4);
    assert!(fold(RULES, &[refused]).ended_by.is_some());
}

#[test]
fn the_twelfth_failure_to_connect_ends_the_run() {
    let failed = broken(Outcome::ConnectFailed, libc::ENETUNREACH);
    let counts = fold(RULES, &[failed; 11]);
    assert_eq!(
        (counts.connect, counts.failed, counts.ended_by),
        (11, 11, None)
    );
    let counts = fold(RULES, &[failed; 20]);
    assert_eq!(counts.ended_by, Some(AbEnd::TenFailures));
    assert_eq!((counts.connect, counts.failed), (11, 12));
}

#[test]
fn a_timeout_ends_the_run_only_if_nothing_else_happened() {
    let timeout = row(Outcome::Timeout);
    assert_eq!(fold(RULES, &[timeout]).ended_by, Some(AbEnd::Timeout));
    let meanwhile = Row {
        end_ns: 150,
        ..answer(200, 5)
    };
    let counts = fold(RULES, &[meanwhile, timeout]);
    assert_eq!((counts.ended_by, counts.waited_on), (None, 1));
}

#[test]
fn a_head_that_is_too_long_is_no_answer() {
    let long = Row {
        header_bytes: 8192,
        ..answer(200, 5)
    };
    let fits = Row {
        header_bytes: 8191,
        ..long
    };
    let counts = fold(RULES, &[fits, long]);
    assert_eq!((counts.complete, counts.failed, counts.non2xx), (1, 1, 1));
    assert_eq!(counts.heads_too_long, 1);
}

#[test]
fn what_comes_after_abs_last_request_or_before_the_first_does_not_count() {
    let two = AbRules {
        requests: Some(2),
        ..KEEP
    };
    let warm_up = Row {
        flags: Row::WARM_UP,
        ..answer(200, 9)
    };
    // The stale attempt is one of ab's two requests.
    let rows = [
        warm_up,
        answer(200, 5),
        row(Outcome::StaleKeepAlive),
        answer(200, 5),
    ];
    let counts = fold(two, &rows);
    assert_eq!((counts.complete, counts.keep_alive_requests), (2, 1));
    let timed = AbRules {
        requests: None,
        ..RULES
    };
    let mut fold = AbFold::new(timed);
    for _ in 0..50_010 {
        fold.row(&answer(200, 1));
    }
    assert_eq!(fold.counts().complete, 50_000);
}

#[test]
fn what_rows_do_not_tell_is_said_to_be_untold() {
    let counts = fold(RULES, &[row(Outcome::Malformed), row(Outcome::Aborted)]);
    assert_eq!((counts.untold, counts.complete), (1, 0));
}
