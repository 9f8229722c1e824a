//! A client that keeps the load generator's times of each request, and can be as slow as it is
//! told to.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, AsRawFd},
    thread,
    time::{Duration, Instant},
};

use loadgen::{Outcome, clock::monotonic_ns};
use mpm_observer::recording::ClientRow;
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt,
    },
};

use crate::span::Span;

/// What comes after such a silence into a buffer that is not read is TCP's own doing: an
/// acknowledgement that it had put off (40 ms), or a try whether there is room again (200 ms).
const SILENCE_NS: u64 = 20_000_000;

/// An answered request.
pub struct Exchange {
    /// The client's view of it.
    pub row: ClientRow,
    /// How long the client kept itself from sending or reading.
    pub paused: Span,
    /// When the whole request had been written.
    pub written_ns: u64,
    /// How long the client waited for a CPU after it had sent the request.
    pub without_cpu_ns: u64,
    headers: HashMap<String, String>,
}

impl Exchange {
    /// A figure of mod_truth's answer, by the end of its header's name.
    pub fn told(&self, name: &str) -> u64 {
        let header = format!("X-Truth-{name}");
        let text = self.headers.get(&header);
        text.unwrap_or_else(|| panic!("no {header} in {:?}", self.headers))
            .parse()
            .unwrap()
    }
}

/// How an answer is read.
#[derive(Clone, Copy)]
pub enum Reading {
    /// As it comes.
    AtOnce,
    /// When it has come, only after this time.
    Late(Duration),
    /// After the first bytes nothing for this time.
    Pausing(Duration),
}

/// A request on its way.
struct Sent {
    row: ClientRow,
    paused: Span,
    written_ns: u64,
    /// The client's wait for a CPU until then.
    without_cpu_ns: u64,
}

/// A connection, with the requests on it that are not yet answered.
pub struct Client {
    stream: TcpStream,
    connect_start_ns: u64,
    connected_ns: u64,
    ordinal: u32,
    waiting: VecDeque<Sent>,
    unread: Vec<u8>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Self {
        let connect_start_ns = monotonic_ns();
        Self::of(TcpStream::connect(addr).unwrap(), connect_start_ns)
    }

    /// With a receive buffer of its own size, which the kernel then leaves alone.
    pub fn connect_with_buffer(addr: SocketAddr, bytes: usize) -> Self {
        let SocketAddr::V4(addr) = addr else {
            unreachable!("httpd listens on 127.0.0.1")
        };
        let fd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        setsockopt(&fd, sockopt::RcvBuf, &bytes).unwrap();
        let connect_start_ns = monotonic_ns();
        connect(fd.as_raw_fd(), &SockaddrIn::from(addr)).unwrap();
        Self::of(TcpStream::from(fd), connect_start_ns)
    }

    fn of(stream: TcpStream, connect_start_ns: u64) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            connect_start_ns,
            connected_ns: monotonic_ns(),
            ordinal: 0,
            waiting: VecDeque::new(),
            unread: Vec::new(),
        }
    }

    /// Sends a request and reads the answer.
    pub fn get(&mut self, path: &str) -> Exchange {
        self.send(path);
        self.receive(Reading::AtOnce)
    }

    pub fn send(&mut self, path: &str) {
        self.send_in_parts(path, Duration::ZERO);
    }

    /// Sends the half of a request, and the rest after `pause`.
    pub fn send_in_parts(&mut self, path: &str, pause: Duration) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes();
        let sent_ns = monotonic_ns();
        let (first, second) = if pause.is_zero() {
            (&request[..], &[][..])
        } else {
            request.split_at(request.len() / 2)
        };
        self.stream.write_all(first).unwrap();
        let mut paused = Span::default();
        let mut written_ns = monotonic_ns();
        if !second.is_empty() {
            paused.least_ns = sleep_for(pause);
            self.stream.write_all(second).unwrap();
            written_ns = monotonic_ns();
            paused.most_ns = written_ns - sent_ns;
        }
        let reused = self.ordinal != 0;
        let local = self.stream.local_addr().unwrap();
        let remote = self.stream.peer_addr().unwrap();
        let row = ClientRow {
            measured: true,
            local_addr: local.ip().to_string(),
            local_port: local.port(),
            remote_addr: remote.ip().to_string(),
            remote_port: remote.port(),
            ordinal: self.ordinal,
            start_ns: if reused {
                sent_ns
            } else {
                self.connect_start_ns
            },
            connect_start_ns: self.connect_start_ns,
            connected_ns: self.connected_ns,
            sent_ns,
            request_bytes: request.len().try_into().unwrap(),
            reused,
            ..ClientRow::default()
        };
        self.waiting.push_back(Sent {
            row,
            paused,
            written_ns,
            without_cpu_ns: without_cpu_ns(),
        });
        self.ordinal += 1;
    }

    /// Reads the answer of the first request that has none yet.
    pub fn receive(&mut self, reading: Reading) -> Exchange {
        let sent = self.waiting.pop_front().expect("a request");
        let (mut row, mut paused) = (sent.row, sent.paused);
        let mut buffer = vec![0; 1 << 18];
        if !self.unread.is_empty() {
            row.loop_wake_ns = monotonic_ns();
            row.first_byte_ns = row.loop_wake_ns;
        }
        let (head_length, headers) = loop {
            if let Some(head) = head(&self.unread) {
                break head;
            }
            self.wait_readable();
            if let Reading::Late(pause) = reading {
                paused = sleep_for(pause).into();
            }
            let wake_ns = monotonic_ns();
            let count = self.stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "the server closed too early");
            if row.first_byte_ns == 0 {
                row.loop_wake_ns = wake_ns;
                row.first_byte_ns = monotonic_ns();
            }
            self.unread.extend_from_slice(&buffer[..count]);
        };
        if let Reading::Pausing(pause) = reading {
            paused.least_ns = self.leave_unread(pause);
        }
        let body_length: usize = headers["Content-Length"].parse().unwrap();
        let mut missing = (head_length + body_length).saturating_sub(self.unread.len());
        let kept = self
            .unread
            .split_off(self.unread.len().min(head_length + body_length));
        while missing > 0 {
            let count = self.stream.read(&mut buffer).unwrap();
            assert!((1..=missing).contains(&count), "{count} bytes of {missing}");
            missing -= count;
        }
        row.last_byte_ns = monotonic_ns();
        if let Reading::Pausing(_) = reading {
            // The server may also have waited for the first look and for the rest of the reading.
            paused.most_ns = row.last_byte_ns - row.sent_ns;
        }
        self.unread = kept;
        row.end_ns = row.last_byte_ns;
        row.status = 200;
        row.outcome = Outcome::Ok.name().to_owned();
        Exchange {
            row,
            paused,
            written_ns: sent.written_ns,
            without_cpu_ns: without_cpu_ns() - sent.without_cpu_ns,
            headers,
        }
    }

    /// Waits until there is something to read, without sleeping: to wake a CPU that sleeps takes
    /// the server's send a quarter of a millisecond on a virtual machine.
    fn wait_readable(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.is_readable() {
            assert!(Instant::now() < deadline, "no answer within 60 s");
        }
    }

    /// Reads nothing for a time; returns for how long of it nothing more has come.
    fn leave_unread(&self, length: Duration) -> u64 {
        let until_ns = monotonic_ns() + u64::try_from(length.as_nanos()).unwrap();
        let mut unread = 0;
        let mut full_ns = monotonic_ns();
        while monotonic_ns() < until_ns {
            let now_unread = self.unread_bytes();
            let now_ns = monotonic_ns();
            if now_unread > unread && now_ns - full_ns < SILENCE_NS {
                unread = now_unread;
                full_ns = now_ns;
            }
            thread::sleep(Duration::from_millis(1));
        }
        monotonic_ns() - full_ns
    }

    /// How much lies in the socket's buffer.
    fn unread_bytes(&self) -> i32 {
        let mut bytes = 0;
        // SAFETY: the call writes an int.
        let result =
            unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        bytes
    }

    /// Whether there is something to read.
    pub fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }
}

/// Sleeps; returns how long it really was.
fn sleep_for(length: Duration) -> u64 {
    let from_ns = monotonic_ns();
    thread::sleep(length);
    monotonic_ns() - from_ns
}

/// How long this thread has waited for a CPU so far.
fn without_cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Length and fields of a complete head.
fn head(bytes: &[u8]) -> Option<(usize, HashMap<String, String>)> {
    let length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let field = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    Some((length, text.lines().filter_map(field).collect()))
}
