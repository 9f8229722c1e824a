//! Answers without end cost time, until the time-out, but no memory.

mod common;

use std::io::Write;
use std::time::Duration;

use common::{Server, each_engine, outcomes, run};
use loadgen::{BodyCheck, Outcome};

/// How much the process may grow over gigabytes of answers; its buffers and threads included.
const GROWTH_MAX_KB: u64 = 48 * 1024;

/// Most memory that this process has used so far.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|kb| kb.parse().ok()).expect("VmHWM")
}

#[test]
fn answers_without_end_end_with_the_time_out_and_take_no_memory() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("HTTP/1.1 200 OK\r\nA: ".to_owned(), "x", Outcome::Malformed),
        (
            "HTTP/1.1 200 OK\r\n".to_owned(),
            "A: b\r\n c\r\n",
            Outcome::Malformed,
        ),
        (String::new(), "\r\n", Outcome::Malformed),
        (
            String::new(),
            "HTTP/1.1 100 Continue\r\n\r\n",
            Outcome::Timeout,
        ),
        (format!("{chunked}5;"), "x", Outcome::Malformed),
        (format!("{chunked}0\r\n"), "A: b\r\n", Outcome::Malformed),
        (chunked.to_owned(), "3\r\nabc\r\n", Outcome::Timeout),
        (chunked.to_owned(), "0000000001\r\na\r\n", Outcome::Timeout),
        (
            format!("{chunked}FFFFFFFFFFFFFFFF\r\n"),
            "x",
            Outcome::Timeout,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), "x", Outcome::Timeout),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551613\r\n\r\n".to_owned(),
            "x",
            Outcome::Timeout,
        ),
    ];
    each_engine(|| {
        let before_kb = peak_kb();
        for (begin, endless, outcome) in &cases {
            let (begin, block) = (begin.clone(), endless.repeat(100_000 / endless.len()));
            let server = Server::start(move |mut connection| {
                connection.request();
                connection.send(begin.as_bytes());
                while connection.stream.write_all(block.as_bytes()).is_ok() {}
            });
            for verify_body in [None, Some(BodyCheck::First)] {
                let mut config = server.config(4, 2);
                // What is malformed ends by itself, however long a busy machine takes for it.
                if *outcome == Outcome::Timeout {
                    config.timeout = Duration::from_millis(200);
                }
                config.verify_body = verify_body;
                let (summary, _) = run(&config);
                assert_eq!(outcomes(&summary), [(*outcome, 4)], "{endless:?}");
            }
        }
        let growth_kb = peak_kb() - before_kb;
        assert!(growth_kb < GROWTH_MAX_KB, "grown by {growth_kb} kB");
    });
}
