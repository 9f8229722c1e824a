//! Slow clients and the check of bodies on the command line.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{ClosedPort, OK, Server};

fn loadgen(line: &str, url: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(line.split_whitespace())
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn slow_clients_stay_beside_a_load_and_are_summed_up() {
    let server = Server::answering(OK);
    let line = "-n 20 -c 2 -k --hold-idle 3 --hold-header 2:50ms";
    let (code, stdout, stderr) = loadgen(line, &server.url());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("Complete requests:      20\n"), "{stdout}");
    for line in [
        "Slow clients: of 3 idle connections, 3 were held to the end, 0 ended by the server, 0 not held\n",
        "Slow clients: of 2 connections with half a head, a byte each 0.05 s, 2 were held to the end",
    ] {
        assert!(stdout.contains(line), "{line:?} is missing in\n{stdout}");
    }
    assert!(stderr.contains("3 of 3 idle connections held"), "{stderr}");
    // The half heads are no requests.
    assert_eq!(server.requests(), 23);
}

#[test]
fn slow_clients_alone_send_no_load() {
    let server = Server::start(|mut connection| {
        if connection.request().is_some() {
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n");
            while connection.stream.write_all(&[b'x'; 65536]).is_ok() {}
        }
    });
    let line = "--hold-only --duration 5s --slow-read 2:20000";
    let (code, stdout, stderr) = loadgen(line, &server.url());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        "Slow clients: of 2 readers at 20000 bytes/s, 2 were held to the end, 0 ended by the \
         server, 0 through with their answer, 0 not held\n"
    );
    assert_eq!(server.requests(), 2);
}

#[test]
fn slow_clients_and_the_load_come_from_the_source() {
    let server = Server::start(|mut connection| {
        let source = connection.stream.peer_addr().expect("connected").ip();
        let answer: &[u8] = match source.to_string().as_str() {
            "127.0.0.5" => OK,
            _ => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        };
        while connection.request().is_some() {
            connection.send(answer);
        }
    });
    let line = "-q -n 6 -c 2 --hold-idle 3 --source";
    for (source, exit_code, held, refused) in [("127.0.0.5", 0, 3, 0), ("127.0.0.6", 1, 0, 6)] {
        let (code, stdout, stderr) = loadgen(&format!("{line} {source}"), &server.url());
        assert_eq!(code, Some(exit_code), "{stderr}");
        let slow = format!("of 3 idle connections, {held} were held");
        assert!(stdout.contains(&slow), "{stdout}");
        let non2xx = stdout.lines().find(|line| line.starts_with("Non-2xx"));
        let non2xx = non2xx.and_then(|line| line.split_whitespace().last());
        assert_eq!(non2xx.unwrap_or("0"), refused.to_string(), "{stdout}");
    }
}

#[test]
fn slow_clients_that_do_not_get_in_show_in_the_exit_code() {
    let closed = ClosedPort::new();
    let line = "-q --hold-only --duration 100ms --hold-idle 4";
    let (code, stdout, stderr) = loadgen(line, &closed.url());
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    assert!(
        stdout.contains("4 not held (4 connection refused)"),
        "{stdout}"
    );
}

#[test]
fn slow_clients_that_cannot_be_are_bad_usage() {
    let refused = |line: &str, part: &str| {
        let (code, _, stderr) = loadgen(line, "http://127.0.0.1:9/");
        assert_eq!(code, Some(2), "{line}: {stderr}");
        assert!(stderr.contains(part), "{part:?} is missing in\n{stderr}");
    };
    refused("--hold-only --hold-idle 1", "--duration");
    refused("--hold-only --duration 1", "--hold-idle");
    refused(
        "--hold-only --duration 1 --hold-idle 1 --json /tmp/x",
        "cannot be used with",
    );
    refused("--slow-read 5", "N:BYTES_PER_S");
    refused("--hold-header 5:0", "time above 0");
    refused("--hold-idle 4000000000", "ulimit -n");
    refused("--hold-idle 1 --unix-socket /run/x", "TCP only");
}

#[test]
fn bodies_are_held_against_the_first_or_a_given_hash() {
    let server = Server::answering(OK);
    // printf hello | sha256sum
    let right = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    for check in [String::new(), format!("={right}")] {
        let line = format!("-q -n 10 -k --verify-body{check}");
        let (code, stdout, stderr) = loadgen(&line, &server.url());
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains("; none failed."), "{stdout}");
    }
    let line = format!("-q -n 10 -k --verify-body={}", right.replace('2', "3"));
    let (code, stdout, _) = loadgen(&line, &server.url());
    assert_eq!(code, Some(1));
    assert!(
        stdout.contains("        10  answered with another body"),
        "{stdout}"
    );
    let (code, _, stderr) = loadgen("--verify-body=12", &server.url());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("sha256sum"), "{stderr}");
}
