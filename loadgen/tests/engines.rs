//! What must hold of connections whatever engine moves the bytes, and what happens when
//! an engine is not to be had.

mod common;

use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use common::{OK, Server, config, each_engine, outcomes, run};
use loadgen::{Arrivals, Outcome, Pace, Profile};

#[test]
fn a_unix_socket_is_as_good_as_tcp() {
    // Long enough to be dropped unseen where that is possible.
    const BODY_BYTES: usize = 300_000;
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                // The requests are short and come whole.
                while matches!(stream.read(&mut piece), Ok(count) if count > 0) {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
                    let _ = stream.write_all(head.as_bytes());
                    let _ = stream.write_all(&[b'x'; BODY_BYTES]);
                }
            });
        }
    });
    each_engine(|| {
        for keep_alive in [false, true] {
            let mut config = config("127.0.0.1:9".parse().expect("address"), 10, 3);
            config.unix_socket = Some(path.clone());
            config.keep_alive = keep_alive;
            let (summary, rows) = run(&config);
            assert_eq!(outcomes(&summary), [(Outcome::Ok, 10)]);
            let length = BODY_BYTES as u64;
            assert!(
                rows.iter()
                    .all(|row| (row.body_bytes, row.local_port) == (length, 0))
            );
        }
    });
}

#[test]
fn an_answer_that_comes_after_the_time_is_over_is_nobodys_answer() {
    each_engine(|| {
        let server = Server::start(|mut connection| {
            connection.request();
            if connection.number % 2 == 0 {
                // Until the client gives up.
                let mut piece = [0; 16];
                while matches!(connection.stream.read(&mut piece), Ok(count) if count > 0) {}
                connection.send(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n");
            } else {
                connection.send(OK);
                connection.stall();
            }
        });
        let mut config = server.config(20, 1);
        config.timeout = Duration::from_millis(150);
        let (_, rows) = run(&config);
        for row in rows {
            let is_stalled = server.connection_of(&row).is_multiple_of(2);
            match row.outcome {
                Outcome::Ok => assert!(!is_stalled, "{row:?}"),
                Outcome::Timeout => assert!(is_stalled || server.was_late(&row), "{row:?}"),
                _ => panic!("{row:?}"),
            }
        }
    });
}

#[test]
fn sources_are_used_in_turn() {
    each_engine(|| {
        let server = Server::answering(OK);
        let sources: [IpAddr; 2] = ["127.0.0.2", "127.0.0.3"].map(|ip| ip.parse().expect("IP"));
        let mut config = server.config(20, 4);
        config.sources = sources.to_vec();
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 20)]);
        for row in rows {
            assert_eq!(row.local().ip(), sources[row.slot as usize % 2]);
            assert!(row.local_port != 0);
        }
    });
}

#[test]
fn connections_end_after_their_number_of_requests() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(30, 2);
        config.keep_alive = true;
        config.requests_per_connection = std::num::NonZeroU32::new(5);
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 30)]);
        assert!(rows.iter().all(|row| row.ordinal < 5));
        assert!((6..=7).contains(&summary.connections_opened));
    });
}

#[test]
fn an_open_loop_sends_all_that_is_due() {
    each_engine(|| {
        let server = Server::answering(OK);
        let mut config = server.config(200, 20);
        config.keep_alive = true;
        config.pace = Pace::Open {
            arrivals: Arrivals::Constant,
            rate: Profile::constant(1000.0),
        };
        let (summary, rows) = run(&config);
        assert_eq!(outcomes(&summary), [(Outcome::Ok, 200)]);
        assert!(rows.iter().all(|row| row.start_ns >= row.intended_ns));
        // 200 requests at 1000/s are due over 199 ms.
        assert!(summary.wall_ns >= 199_000_000);
    });
}

/// The program, in a process to which the kernel refuses io_uring, as containers do.
fn without_io_uring(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args);
    // SAFETY: between fork and exec only two system calls are made, on memory of this
    // function's stack.
    unsafe { command.pre_exec(refuse_io_uring) };
    let output = command.output().expect("started");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

fn refuse_io_uring() -> std::io::Result<()> {
    let statement = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let (equal, end) = (
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let mut filter = [
        // The number of the system call is the first word.
        statement(load, 0, 0, 0),
        statement(equal, 0, 1, libc::SYS_io_uring_setup as u32),
        statement(end, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(end, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and its filter live until the calls return.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    };
    match refused {
        true => Ok(()),
        false => Err(std::io::Error::last_os_error()),
    }
}

#[test]
fn where_io_uring_is_forbidden_epoll_does_the_work() {
    let server = Server::answering(OK);
    let folder = tempfile::tempdir().expect("temporary folder");
    let json = folder.path().join("summary.json");
    let path = json.to_str().expect("UTF-8");
    let (code, stderr) = without_io_uring(&["-n", "5", "--json", path, &server.url()]);
    assert_eq!(code, Some(0), "{stderr}");
    let text = std::fs::read_to_string(&json).expect("written");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["engine"], "epoll");
    let (code, stderr) = without_io_uring(&["-n", "5", "--engine", "io-uring", &server.url()]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("io-uring") && stderr.contains("not allowed"),
        "{stderr}"
    );
}
