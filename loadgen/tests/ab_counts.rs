//! `--ab-counts` against ab itself: the same misbehaving server, the same counts.

mod common;

use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};

use common::{ClosedPort, Connection, Server};

/// What both programs say.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    complete: u64,
    failed: u64,
    connect: u64,
    receive: u64,
    length: u64,
    exceptions: u64,
    write_errors: u64,
    non2xx: u64,
    keep_alive: u64,
}

/// Whether ab is there. If not, the test says so and is to return at once; in continuous
/// integration it fails.
fn have_ab() -> bool {
    let present = Command::new("ab")
        .arg("-V")
        .output()
        .is_ok_and(|output| output.status.success());
    if !present {
        let required = std::env::var_os("MPM_OBSERVER_REQUIRE_ALL").is_some_and(|v| v == "1");
        assert!(!required, "this test needs ab (apache2-utils)");
        // Not println!, which is shown only for tests that fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: ab is missing");
    }
    present
}

fn output(program: &str, args: &[&str]) -> (String, String) {
    let Output { stdout, stderr, .. } = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr))
}

/// The first number behind `name` in a line, 0 when there is no such line.
fn number(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(name));
    line.map_or(0, |rest| {
        let word = rest.split_whitespace().next().expect("a number");
        word.trim_end_matches(')').parse().expect("a number")
    })
}

fn ab(args: &[&str]) -> Counts {
    let (stdout, stderr) = output("ab", args);
    assert!(stdout.contains("Complete requests:"), "{stdout}{stderr}");
    // They stand in one line, in brackets, which is left out when there are none.
    let groups = stdout.lines().find(|line| line.contains("(Connect:"));
    let groups = groups.unwrap_or_default().replace(['(', ','], "\n");
    Counts {
        complete: number(&stdout, "Complete requests:"),
        failed: number(&stdout, "Failed requests:"),
        connect: number(&groups, "Connect:"),
        receive: number(&groups, "Receive:"),
        length: number(&groups, "Length:"),
        exceptions: number(&groups, "Exceptions:"),
        write_errors: number(&stdout, "Write errors:"),
        non2xx: number(&stdout, "Non-2xx responses:"),
        keep_alive: number(&stdout, "Keep-Alive requests:"),
    }
}

fn table(args: &[&str]) -> (Counts, String) {
    let args = [&["--ab-counts", "-q"], args].concat();
    let (stdout, stderr) = output(env!("CARGO_BIN_EXE_loadgen"), &args);
    let (_, table) = stdout
        .split_once("What ab 2.4 would have counted")
        .unwrap_or_else(|| panic!("no table: {stdout}{stderr}"));
    let counts = Counts {
        complete: number(table, "Complete requests:"),
        failed: number(table, "Failed requests:"),
        connect: number(table, "Connect:"),
        receive: number(table, "Receive:"),
        length: number(table, "Length:"),
        exceptions: number(table, "Exceptions:"),
        write_errors: number(table, "Write errors:"),
        non2xx: number(table, "Non-2xx responses:"),
        keep_alive: number(table, "Keep-Alive requests:"),
    };
    (counts, table.to_owned())
}

/// Runs both against a server of their own with this behaviour.
fn same(flags: &str, behaviour: fn(Connection)) -> Counts {
    let run = |count: &dyn Fn(&[&str]) -> Counts| {
        let server = Server::start(behaviour);
        let url = server.url();
        let args: Vec<&str> = flags.split_whitespace().chain([url.as_str()]).collect();
        count(&args)
    };
    let expected = run(&|args| ab(args));
    let counts = run(&|args| table(args).0);
    assert_eq!(counts, expected, "loadgen's account of ab, and ab");
    counts
}

/// Answers each request with these bytes, on a connection that stays.
fn keep(mut connection: Connection, answer: &[u8]) {
    while connection.request().is_some() {
        connection.send(answer);
    }
}

fn once(mut connection: Connection, answer: &[u8]) {
    if connection.request().is_some() {
        connection.send(answer);
    }
}

/// Waits until the client has read what was sent: then a reset cannot overtake it.
fn wait_until_read(connection: &Connection) {
    let local = connection.stream.local_addr().expect("bound").port();
    let peer = connection.stream.peer_addr().expect("connected").port();
    let of_client = format!(":{peer:04X} 0100007F:{local:04X} ");
    let fd = connection.stream.as_raw_fd();
    loop {
        let mut unacknowledged: libc::c_int = 0;
        // SAFETY: the descriptor is open, and SIOCOUTQ writes one int.
        let asked = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut unacknowledged) };
        assert_eq!(asked, 0);
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("readable");
        let Some(line) = sockets.lines().find(|line| line.contains(&of_client)) else {
            return;
        };
        // sl local remote state tx:rx
        let queues = line.split_whitespace().nth(4).expect("queues");
        if unacknowledged == 0 && queues.ends_with(":00000000") {
            return;
        }
        std::thread::yield_now();
    }
}

const KEPT: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn good_answers_are_counted_alike() {
    if !have_ab() {
        return;
    }
    let plain = same("-n 100 -c 10", |connection| once(connection, common::OK));
    assert_eq!(
        (plain.complete, plain.failed, plain.keep_alive),
        (100, 0, 0)
    );
    let kept = same("-k -n 100 -c 10", |connection| keep(connection, KEPT));
    assert_eq!((kept.complete, kept.failed, kept.keep_alive), (100, 0, 100));
}

#[test]
fn a_body_cut_short_is_complete_for_ab() {
    if !have_ab() {
        return;
    }
    let counts = same("-n 100 -c 10", |mut connection| {
        connection.request();
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        connection.send(&[b'x'; 500]);
    });
    assert_eq!((counts.complete, counts.failed), (100, 0));
}

#[test]
fn a_close_without_an_answer_is_complete_for_ab() {
    if !have_ab() {
        return;
    }
    let counts = same("-n 100 -c 10", |mut connection| {
        connection.request();
    });
    assert_eq!((counts.complete, counts.failed), (100, 0));
    // With one connection after the other, the first answer is the same for both.
    let half = same("-n 100 -c 1", |connection| {
        if connection.number % 2 == 0 {
            once(connection, common::OK);
        } else {
            once(connection, b"");
        }
    });
    assert_eq!((half.complete, half.failed, half.length), (100, 50, 50));
}

#[test]
fn lengths_that_vary_fail_for_ab_unless_it_is_told() {
    if !have_ab() {
        return;
    }
    fn varying(connection: Connection) {
        let answers: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc",
        ];
        let answer = answers[connection.number as usize % 3];
        once(connection, answer);
    }
    let counts = same("-n 99 -c 1", varying);
    assert_eq!(
        (counts.complete, counts.failed, counts.length),
        (99, 33, 33)
    );
    assert_eq!(same("-l -n 99 -c 1", varying).failed, 0);
}

#[test]
fn statuses_other_than_2xx_are_no_failures() {
    if !have_ab() {
        return;
    }
    let errors = same("-n 100 -c 10", |connection| {
        once(connection, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!((errors.failed, errors.non2xx), (0, 100));
    let redirects = same("-n 100 -c 10", |connection| {
        let answer = b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n";
        once(connection, answer);
    });
    assert_eq!(redirects.non2xx, 100);
}

#[test]
fn chunks_and_surplus_bytes_of_one_length_fail_for_nobody() {
    if !have_ab() {
        return;
    }
    same("-n 100 -c 10", |connection| {
        let answer =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        once(connection, answer);
    });
    same("-n 100 -c 10", |connection| {
        once(
            connection,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world",
        );
    });
}

#[test]
fn resets_are_counted_twice_or_three_times_with_r() {
    if !have_ab() {
        return;
    }
    let before = same("-r -n 100 -c 10", |mut connection| {
        connection.request();
        connection.reset();
    });
    assert_eq!((before.complete, before.failed), (100, 200));
    let inside = same("-r -n 20 -c 2", |mut connection| {
        connection.request();
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        wait_until_read(&connection);
        connection.reset();
    });
    assert_eq!((inside.complete, inside.failed), (20, 60));
}

#[test]
fn a_closed_port_is_counted_in_pairs_with_r() {
    if !have_ab() {
        return;
    }
    let closed = ClosedPort::new();
    let url = closed.url();
    let args = ["-r", "-n", "100", "-c", "10", &url];
    assert_eq!(table(&args).0, ab(&args));
}

#[test]
fn stale_connections_are_complete_and_too_short() {
    if !have_ab() {
        return;
    }
    // The fourth request of each connection is read and not answered.
    let counts = same("-k -n 100 -c 1", |mut connection| {
        for _ in 0..3 {
            if connection.request().is_none() {
                return;
            }
            connection.send(KEPT);
        }
        connection.request();
    });
    assert_eq!(
        (counts.complete, counts.length, counts.keep_alive),
        (100, 25, 75)
    );
}

/// Both must say these words instead of figures, or beside them.
fn both_end(flags: &str, behaviour: fn(Connection), words: &str) {
    let server = Server::start(behaviour);
    let url = server.url();
    let args: Vec<&str> = flags.split_whitespace().chain([url.as_str()]).collect();
    let (stdout, stderr) = output("ab", &args);
    assert!(stderr.contains(words), "{words:?}: {stderr}");
    assert!(!stdout.contains("Complete requests:"), "{stdout}");
    let (counts, text) = table(&args);
    assert!(text.contains(words), "{words:?}: {text}");
    assert_eq!(counts.complete, 0);
}

#[test]
fn what_ends_abs_run_is_said_in_its_own_words() {
    if !have_ab() {
        return;
    }
    both_end(
        "-n 20 -c 2",
        |mut connection| {
            connection.request();
            connection.reset();
        },
        "apr_socket_recv: Connection reset by peer (104)",
    );
    both_end(
        "-n 2 -c 2 -s 1",
        |mut connection| {
            connection.request();
            connection.stall();
        },
        "apr_pollset_poll: The timeout specified has expired (70007)",
    );
}
