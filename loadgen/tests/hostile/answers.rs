//! Kinds of answers by the way their end is known.

use crate::common::{Server, each_engine, outcomes, run};
use loadgen::Outcome;

#[test]
fn bodies_that_end_with_the_connection_need_no_length() {
    let answers: [&'static [u8]; 4] = [
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    ];
    each_engine(|| {
        for answer in answers {
            let server = Server::answering_once(answer);
            for keep_alive in [false, true] {
                let mut config = server.config(100, 10);
                config.keep_alive = keep_alive;
                let (summary, rows) = run(&config);
                assert_eq!(outcomes(&summary), [(Outcome::Ok, 100)]);
                assert_eq!(summary.connections_opened, 100);
                assert!(rows.iter().all(|row| row.body_bytes == 5));
            }
        }
    });
}

#[test]
fn a_head_request_has_no_body_whatever_its_answer_promises() {
    let heads: [&'static [u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ];
    each_engine(|| {
        for head in heads {
            let server = Server::answering(head);
            let mut config = server.config(40, 4);
            config.keep_alive = true;
            config.method = "HEAD".to_owned();
            let (summary, _) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Ok, 40)]);
            assert_eq!((summary.connections_opened, summary.bytes_body), (4, 0));
        }
    });
}

#[test]
fn a_body_of_any_length_is_counted_whether_it_is_read_or_dropped() {
    // Around the sizes of the reads.
    const SIZES: [usize; 9] = [
        0, 1, 16_000, 16_384, 16_385, 65_535, 65_536, 65_537, 300_001,
    ];
    each_engine(|| {
        for chunk_bytes in [None, Some(1000), Some(65_536), Some(200_000)] {
            let server = Server::start(move |mut connection| {
                for size in SIZES.into_iter().cycle() {
                    if connection.request().is_none() {
                        return;
                    }
                    connection.send(&answer_of(size, chunk_bytes));
                }
            });
            let mut config = server.config(SIZES.len() as u64 * 4, 1);
            config.keep_alive = true;
            let (summary, rows) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Ok, 36)]);
            assert_eq!((summary.connections_opened, summary.surplus), (1, 0));
            for (row, size) in rows.iter().zip(SIZES.into_iter().cycle()) {
                assert_eq!(row.body_bytes, size as u64);
            }
        }
    });
}

fn answer_of(size: usize, chunk_bytes: Option<usize>) -> Vec<u8> {
    let body = vec![b'x'; size];
    let Some(chunk_bytes) = chunk_bytes else {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        return [head.as_bytes(), &body].concat();
    };
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(chunk_bytes) {
        answer.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}
