//! Answers whose framing is odd or wrong.

use std::io::Write;
use std::time::Duration;

use crate::common::{OK, Server, each_engine, each_exact_engine, outcomes, run};
use loadgen::{Malformed, Outcome, Row};

/// 40 requests, each answered with these bytes; the server keeps the connection open.
fn answered_with(answer: &[u8]) -> (Vec<(Outcome, u64)>, Vec<Row>, u64) {
    let answer = answer.to_vec();
    let server = Server::start(move |mut connection| {
        while connection.request().is_some() {
            connection.send(&answer);
        }
    });
    let mut config = server.config(40, 4);
    config.keep_alive = true;
    let (summary, rows) = run(&config);
    (outcomes(&summary), rows, summary.connections_opened)
}

#[test]
fn what_is_not_http_is_malformed_and_says_why() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
    let length = |value: &str| head(&format!("Content-Length: {value}\r\n"));
    let chunks = |body: &str| [head("Transfer-Encoding: chunked\r\n"), body.into()].concat();
    let long = "x".repeat(5000);
    let cases = [
        (b"garbage, not HTTP\r\n\r\n".to_vec(), Malformed::Head),
        (b"\x16\x03\x01\x00\xa5\x01\x00".to_vec(), Malformed::Head),
        (b"HTTP/2.0 200 OK\r\n\r\n".to_vec(), Malformed::Head),
        (b"HTTP/1.1 2OO OK\r\n\r\n".to_vec(), Malformed::Head),
        (head("no colon\r\n"), Malformed::Head),
        (head("A: \0\r\n"), Malformed::Head),
        (head(&"A: b\r\n".repeat(300)), Malformed::TooManyHeaders),
        (
            head(&format!("A: {}\r\n", "x".repeat(70_000))),
            Malformed::HeadTooLong,
        ),
        ("\r\n".repeat(40_000).into(), Malformed::HeadTooLong),
        (length("-5"), Malformed::ContentLength),
        (length("+5"), Malformed::ContentLength),
        (length("0x5"), Malformed::ContentLength),
        (length("5 5"), Malformed::ContentLength),
        (length(""), Malformed::ContentLength),
        (length("18446744073709551616"), Malformed::ContentLength),
        (length("5, 6"), Malformed::ConflictingLengths),
        (
            head("Content-Length: 5\r\nContent-Length: 6\r\n"),
            Malformed::ConflictingLengths,
        ),
        (chunks("-1\r\n"), Malformed::ChunkSize),
        (chunks("\r\n"), Malformed::ChunkSize),
        (chunks("10000000000000000\r\n"), Malformed::ChunkSize),
        (chunks("2\r\nabc\r\n"), Malformed::ChunkEnd),
        (chunks(&format!("2;{long}")), Malformed::ChunkLineTooLong),
        (
            chunks(&format!("0\r\n{}", "A: b\r\n".repeat(20_000))),
            Malformed::ChunkLineTooLong,
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(),
            Malformed::Status,
        ),
        (b"HTTP/1.1 099 Odd\r\n\r\n".to_vec(), Malformed::Status),
    ];
    each_exact_engine(|| {
        for (answer, reason) in &cases {
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]);
            let (ends, rows, opened) = answered_with(answer);
            assert_eq!(ends, [(Outcome::Malformed, 40)], "{shown:?}");
            assert_eq!(opened, 40, "{shown:?}");
            for row in rows {
                assert_eq!(row.detail, *reason as u8, "{shown:?}");
            }
        }
    });
}

#[test]
fn what_is_odd_but_clear_is_read() {
    // With the length of the body and whether the connection is used again.
    let cases: [(&[u8], u64, bool); 14] = [
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 2, true),
        (b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2, true),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 2, true),
        (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", 2, true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 2, true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 2, true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nok", 2, true),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok", 2, true),
        // Not to be trusted beyond this answer.
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            2,
            false,
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2, false),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            2,
            true,
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            2,
            true,
        ),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 0, true),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 0, true),
    ];
    each_engine(|| {
        for (answer, body_bytes, is_reused) in cases {
            let shown = String::from_utf8_lossy(answer);
            let (ends, rows, opened) = answered_with(answer);
            assert_eq!(ends, [(Outcome::Ok, 40)], "{shown:?}");
            assert_eq!(opened, if is_reused { 4 } else { 40 }, "{shown:?}");
            assert!(rows.iter().all(|row| row.body_bytes == body_bytes));
        }
    });
}

#[test]
fn an_answer_cut_at_every_byte_into_two_writes_is_whole() {
    const ANSWER: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\
        Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nT: x\r\n\r\n";
    each_engine(|| {
        let server = Server::start(|mut connection| {
            for cut in 1..ANSWER.len() {
                if connection.request().is_none() {
                    return;
                }
                connection.send(&ANSWER[..cut]);
                // Gives the client time to read the first part alone; both ways it is right.
                std::thread::sleep(Duration::from_micros(300));
                connection.send(&ANSWER[cut..]);
            }
        });
        let requests = ANSWER.len() as u64 - 1;
        let mut config = server.config(requests, 1);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, requests)]);
        assert_eq!(summary.connections_opened, 1);
        for row in rows {
            assert_eq!((row.status, row.body_bytes), (200, 6));
        }
    });
}

#[test]
fn an_answer_before_the_request_was_sent_whole_counts_even_if_the_rest_is_refused() {
    each_engine(|| {
        // Closing with bytes unread makes the kernel reset the connection.
        let server = Server::start(|mut connection| {
            connection.count();
            connection.send(
                b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
            );
        });
        let mut config = server.config(20, 4);
        config.keep_alive = true;
        config.method = "POST".to_owned();
        config.body = vec![b'x'; 5_000_000];
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Non2xx, 20)]);
        assert_eq!((summary.answered(), summary.connections_opened), (20, 20));
        for row in rows {
            assert_eq!((row.status, row.body_bytes), (413, 2));
        }
    });
}

#[test]
fn an_answer_and_a_surplus_larger_than_a_read_end_the_connection() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            while connection.request().is_some() {
                connection.send(OK);
                let block = vec![b'x'; 1_000_000];
                // Ends when the client closes.
                while connection.stream.write_all(&block).is_ok() {}
            }
        });
        let mut config = server.config(20, 4);
        config.keep_alive = true;
        let (summary, rows) = run(&config);
        // A surplus that was not there yet when the answer was read meets the next request,
        // and is no answer to it.
        let malformed = summary.outcomes.get(Outcome::Malformed);
        assert_eq!(summary.outcomes.get(Outcome::Ok) + malformed, 20);
        let ok = rows.iter().filter(|row| row.outcome == Outcome::Ok);
        assert!(ok.clone().count() > 0);
        assert!(ok.into_iter().all(|row| row.body_bytes == 5));
    });
}
