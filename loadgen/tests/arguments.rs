//! Arguments that change what the program sends, prints or writes, each in a run of its own.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use common::{OK, Server};

/// Runs the program to its end, which must be a good one, and returns what it printed.
fn printed(args: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(args)
        .arg("-q")
        .stdin(Stdio::null())
        .output()
        .expect("started");
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(0), "{stderr}");
    String::from_utf8(stdout).expect("UTF-8")
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

/// Answers one request and returns it.
fn answer_once(mut stream: impl Read + Write) -> String {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let count = stream.read(&mut piece).expect("readable");
        assert!(count > 0, "the client has closed");
        request.extend_from_slice(&piece[..count]);
    }
    stream.write_all(OK).expect("writable");
    String::from_utf8(request).expect("ASCII")
}

#[test]
fn a_rate_is_kept_and_shown_with_both_latencies() {
    let server = Server::answering(OK);
    let text = printed(&[
        "-k",
        "--rate",
        "200/s",
        "-n",
        "40",
        "-c",
        "4",
        &server.url(),
    ]);
    assert_contains(
        &text,
        &[
            "Complete requests:      40",
            "from due       raw",
            "Open loop, requests due at even distances",
            "Never began:            0",
        ],
    );
    assert_eq!(server.requests(), 40);
}

#[test]
fn the_warm_up_is_sent_and_left_out_of_the_figures() {
    let server = Server::answering(OK);
    let text = printed(&[
        "-k",
        "--rate",
        "200",
        "--warm-up",
        "100ms",
        "-n",
        "20",
        &server.url(),
    ]);
    assert_contains(
        &text,
        &[
            "Complete requests:      20",
            "        20  more in the warm-up, which is in no figure",
        ],
    );
    assert_eq!(server.requests(), 40);
}

#[test]
fn connections_end_after_the_requests_they_are_given() {
    let server = Server::answering(OK);
    let url = server.url();
    let text = printed(&["-k", "-n", "20", "--requests-per-connection", "5", &url]);
    assert_contains(&text, &["Connections opened: 4;"]);
    assert_eq!(server.client_ports().len(), 4);
}

#[test]
fn several_urls_are_asked_for_by_their_weights() {
    let server = Server::answering(OK);
    let (a, b) = (format!("{}a", server.url()), format!("{}b", server.url()));
    let text = printed(&["-k", "-n", "100", "--weights", "1,0", &a, &b]);
    assert_contains(
        &text,
        &[
            &format!("       100          0          0            5  {a}\n"),
            &format!("         0          0          0            0  {b}\n"),
        ],
    );
}

#[test]
fn a_unix_socket_is_connected_to_without_a_look_up() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("bound");
    let server: JoinHandle<String> =
        std::thread::spawn(move || answer_once(listener.accept().expect("accepted").0));
    let path = path.display().to_string();
    printed(&["--unix-socket", &path, "http://shop.invalid/a"]);
    let request = server.join().expect("answered");
    assert_contains(&request, &["GET /a HTTP/1.1\r\n", "Host: shop.invalid\r\n"]);
}

#[test]
fn a_proxy_gets_the_whole_url_and_its_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = listener.local_addr().expect("bound").to_string();
    let server: JoinHandle<String> =
        std::thread::spawn(move || answer_once(listener.accept().expect("accepted").0));
    printed(&["-X", &proxy, "-P", "a:b", "http://shop.invalid/a"]);
    let request = server.join().expect("answered");
    assert_contains(
        &request,
        &[
            "GET http://shop.invalid/a HTTP/1.1\r\n",
            "Host: shop.invalid\r\n",
            "Proxy-Authorization: Basic YTpi\r\n",
        ],
    );
}

#[test]
fn a_source_address_and_buffers_are_used() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("{}/", listener.local_addr().expect("bound"));
    let server = std::thread::spawn(move || {
        let (stream, peer) = listener.accept().expect("accepted");
        answer_once(stream);
        peer.ip().to_string()
    });
    printed(&["-B", "127.0.0.77", "-b", "8192", &url]);
    assert_eq!(server.join().expect("answered"), "127.0.0.77");
}

#[test]
fn abs_files_have_abs_columns() {
    let server = Server::answering(OK);
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = |name| dir.path().join(name).display().to_string();
    let (csv, plot) = (path("a.csv"), path("a.tsv"));
    printed(&["-k", "-n", "50", "-e", &csv, "-g", &plot, &server.url()]);
    let csv = std::fs::read_to_string(csv).expect("written");
    assert!(csv.starts_with("Percentage served,Time in ms\n0,"), "{csv}");
    assert_eq!(csv.lines().count(), 102);
    let plot = std::fs::read_to_string(plot).expect("written");
    let mut lines = plot.lines();
    assert_eq!(
        lines.next(),
        Some("starttime\tseconds\tctime\tdtime\tttime\twait")
    );
    let times: Vec<f64> = lines
        .map(|line| line.split('\t').nth(4).expect("ttime").parse().expect("ms"))
        .collect();
    assert_eq!(times.len(), 50);
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn figures_come_as_a_table_of_html() {
    let server = Server::answering(OK);
    let text = printed(&["-x", "border=1", "--ab-counts", &server.url()]);
    assert_contains(
        &text,
        &[
            "<table border=1>",
            "Complete requests:</th><td colspan=2 bgcolor=white>1</td>",
            "</table>\n<pre>",
            "What ab 2.4 would have counted",
        ],
    );
}

#[test]
fn verbosity_tells_the_request_and_the_statuses() {
    let server = Server::answering(OK);
    let text = printed(&["-v", "3", "-n", "2", &server.url()]);
    assert_contains(&text, &["INFO: GET header ==\n---\nGET / HTTP/1.1\r\n"]);
    assert_eq!(text.matches("LOG: Response code = 200\n").count(), 2);
    let text = printed(&["-v", "2", "-n", "2", &server.url()]);
    assert!(!text.contains("LOG:"), "{text}");
}
