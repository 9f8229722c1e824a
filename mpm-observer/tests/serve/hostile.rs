//! Scrapers that are slow, many, or do not speak HTTP.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use mpm_observer::serve::{ServeOptions, Service, StatusSource};

use crate::client::{Answer, PATIENCE, Scrape, ask, send};

/// A service without a server to watch; nothing of it needs root.
fn service() -> Service {
    Service::start(ServeOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        web_config: None,
        status: StatusSource::Never,
        ports: mpm_observer::kernel::Ports::default(),
    })
    .unwrap()
}

const REFUSED: &str = "mpm_observer_http_connections_refused_total";

fn refused(address: SocketAddr, reason: &str) -> f64 {
    Scrape::of(address).of_series(&format!("{REFUSED}{{reason=\"{reason}\"}}"))
}

/// Waits until so many were refused: the figures of a scrape may be half a second old.
fn wait_until_refused(address: SocketAddr, reason: &str, least: f64) {
    let deadline = Instant::now() + PATIENCE;
    while refused(address, reason) < least {
        assert!(Instant::now() < deadline, "{}", Scrape::of(address).0);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Reads until the other side closes; what was read.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("not closed: {error}"),
        }
    }
}

#[test]
fn each_path_has_its_answer() {
    let service = service();
    let address = service.address();
    assert_eq!(service.url(), format!("http://{address}/metrics"));
    assert_eq!(service.warning(), None);

    let index = ask(address, "GET", "/", "");
    assert_eq!(index.status, 200);
    assert!(index.body.contains("href=\"/metrics\""), "{}", index.body);
    assert_eq!(ask(address, "GET", "/-/healthy", "").status, 200);
    assert_eq!(ask(address, "GET", "/metric", "").status, 404);
    let posted = ask(address, "POST", "/metrics", "");
    assert_eq!(posted.status, 405);
    assert!(posted.head.contains("allow: get, head"), "{}", posted.head);

    let metrics = ask(address, "GET", "/metrics?x=y", "");
    assert_eq!(metrics.status, 200);
    let plain = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(metrics.head.contains(plain), "{}", metrics.head);
    assert!(
        metrics.body.contains("\nmpm_observer_server_watched 0.0\n"),
        "{}",
        metrics.body
    );
    let accept = "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n";
    let open = ask(address, "GET", "/metrics", accept);
    let open_metrics = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(open.head.contains(open_metrics), "{}", open.head);
    assert!(open.body.ends_with("\n# EOF\n"), "{}", open.body);

    let head = ask(address, "HEAD", "/metrics", "");
    assert_eq!((head.status, &*head.body), (200, ""));
    let length = head
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    assert!(
        length.unwrap().parse::<usize>().unwrap() > 1000,
        "{}",
        head.head
    );
}

#[test]
fn a_request_with_a_body_is_refused() {
    let service = service();
    for lines in ["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"] {
        let answer = ask(service.address(), "GET", "/metrics", lines);
        assert_eq!(answer.status, 413, "{lines}");
    }
}

#[test]
fn what_is_no_request_is_refused_and_counted_and_the_next_scrape_answered() {
    const NO_REQUESTS: usize = 8;
    let service = service();
    let address = service.address();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200));
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(100_000));
    let no_requests: [&[u8]; NO_REQUESTS] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\r\n\0\0\0\0",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: a\nb\r\n\xff: 1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        many.as_bytes(),
        long.as_bytes(),
    ];
    for bytes in no_requests {
        let mut stream = TcpStream::connect(address).unwrap();
        // It may be closed before all of it is sent.
        let _ = stream.write_all(bytes);
        let answer = read_to_end(&mut stream);
        let answer = Answer::parse(&String::from_utf8_lossy(&answer));
        assert!(
            answer.as_ref().is_none_or(|of| of.status >= 400),
            "{bytes:?} {answer:?}"
        );
        Scrape::of(address);
    }
    wait_until_refused(address, "malformed", NO_REQUESTS as f64);
    assert_eq!(refused(address, "malformed"), NO_REQUESTS as f64);
}

#[test]
fn half_a_request_is_no_request() {
    let service = service();
    let address = service.address();
    for part in ["", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: test\r\n"] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(part.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut stream), b"", "{part:?}");
    }
    Scrape::of(address);
}

#[test]
fn a_head_that_comes_too_slowly_is_not_waited_for() {
    let service = service();
    let address = service.address();
    let mut silent = TcpStream::connect(address).unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let dripping = slow.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        let mut stream = dripping;
        // A byte from time to time is no reason to wait longer.
        let deadline = Instant::now() + PATIENCE;
        while stream.write_all(b"a").is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    Scrape::of(address);
    read_to_end(&mut silent);
    read_to_end(&mut slow);
    drop(slow);
    drip.join().unwrap();
    wait_until_refused(address, "slow", 2.0);
}

#[test]
fn a_thousand_silent_connections_keep_no_scraper_out() {
    const MANY: u64 = 1000;
    loadgen::raise_open_file_limit().unwrap();
    let service = service();
    let address = service.address();
    let silent: Vec<TcpStream> = (0..MANY)
        .filter_map(|_| TcpStream::connect(address).ok())
        .collect();
    assert!(silent.len() > 500, "only {} connected", silent.len());
    Scrape::of(address);
    // All but the last 64 had to give way, those that waited for it too long as slow ones.
    let least = silent.len() as f64 - 64.0;
    let deadline = Instant::now() + PATIENCE;
    while refused(address, "too_many") + refused(address, "slow") < least {
        assert!(Instant::now() < deadline, "{}", Scrape::of(address).0);
        std::thread::sleep(Duration::from_millis(100));
    }
    let files = Scrape::of(address).of_series("process_open_fds");
    // The other ends are this process's own; there is one of each, and those of other tests.
    assert!(files < 2.0 * MANY as f64, "{files}");
}

#[test]
fn scrapers_that_do_not_read_keep_no_other_out() {
    let service = service();
    let address = service.address();
    let request = b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n";
    let _deaf: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request).unwrap();
            stream
        })
        .collect();
    Scrape::of(address);
    assert!(send(address, request).unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn an_ended_service_listens_no_more() {
    let service = service();
    let address = service.address();
    Scrape::of(address);
    let mut open = TcpStream::connect(address).unwrap();
    drop(service);
    read_to_end(&mut open);
    assert!(TcpStream::connect(address).is_err());
}
