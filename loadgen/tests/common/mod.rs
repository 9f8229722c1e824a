//! A server that does exactly what a test tells it to, and what every run must obey.

// Each test program uses its own part of this.
#![allow(dead_code)]

pub mod reconcile;
pub mod stopped;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loadgen::clock::monotonic_ns;
use loadgen::{Config, EngineKind, Outcome, Progress, Row, RowReader, RowWriter, Summary, Target};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

/// A complete answer of 5 bytes that keeps the connection.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 5\r\n\r\nhello";

/// One connection, as the server's behaviour sees it.
pub struct Connection {
    pub stream: TcpStream,
    /// The how-manieth connection it is, from 0.
    pub number: u64,
    /// The bytes of the last whole request.
    pub last_request: Vec<u8>,
    requests: Arc<AtomicU64>,
    has_sent: bool,
    first_sent_ns: FirstSent,
}

/// When the first bytes had been sent, by the client's port.
type FirstSent = Arc<Mutex<BTreeMap<u16, u64>>>;

impl Connection {
    /// Waits for the next whole request and returns its length; `None` when the
    /// client has closed.
    pub fn request(&mut self) -> Option<usize> {
        let mut bytes = Vec::new();
        let mut piece = [0; 65536];
        loop {
            if let Some(length) = request_length(&bytes)
                && bytes.len() >= length
            {
                assert_eq!(bytes.len(), length, "the client must not pipeline");
                self.requests.fetch_add(1, Ordering::SeqCst);
                self.last_request = bytes;
                return Some(length);
            }
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Counts a request that is not read whole.
    pub fn count(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// Closes in order, although the client may still be sending.
    pub fn finish(self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.stall();
    }

    /// Sends bytes; the client may be gone.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
        if !std::mem::replace(&mut self.has_sent, true)
            && let Ok(peer) = self.stream.peer_addr()
        {
            let mut first_sent_ns = self.first_sent_ns.lock().expect("not poisoned");
            first_sent_ns.insert(peer.port(), monotonic_ns());
        }
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub fn reset(self) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.stream, sockopt::Linger, &linger).expect("SO_LINGER");
    }

    /// Says nothing until the client closes.
    pub fn stall(mut self) {
        let mut piece = [0; 65536];
        while matches!(self.stream.read(&mut piece), Ok(count) if count > 0) {}
    }
}

fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let body = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a number"));
    Some(head + body)
}

/// What was sent so long before a client's time was over must have been seen.
const UNSEEN_NS: u64 = 50_000_000;

/// How long a connection may take to its acceptance on a busy machine.
const ACCEPT_TIME: Duration = Duration::from_secs(60);

/// As many rows as requests came, or more, were sent.
pub fn check_sent(rows: &[Row], requests: u64) {
    let sent = rows.iter().filter(|row| row.sent_ns != 0).count() as u64;
    assert!(sent >= requests, "{sent} sent, {requests} came");
}

/// A port that refuses all connections: nobody listens there, and nobody else can come by it
/// as long as this lives.
pub struct ClosedPort {
    pub addr: SocketAddr,
    _bound: Socket,
}

impl ClosedPort {
    pub fn new() -> Self {
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        bound.bind(&any.into()).expect("a free port");
        let addr = bound.local_addr().expect("bound").as_socket();
        Self {
            addr: addr.expect("an IP address"),
            _bound: bound,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }
}

/// Listens on loopback; every connection gets a thread.
pub struct Server {
    pub addr: SocketAddr,
    requests: Arc<AtomicU64>,
    ports: Arc<Mutex<Vec<u16>>>,
    first_sent_ns: FirstSent,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(behaviour: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1", behaviour)
    }

    /// Listens on another address.
    pub fn start_on(ip: &str, behaviour: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let (requests, ports, ended) =
            <(Arc<AtomicU64>, Arc<Mutex<Vec<u16>>>, Arc<AtomicBool>)>::default();
        let first_sent_ns = FirstSent::default();
        COUNTERS
            .lock()
            .expect("not poisoned")
            .insert(addr, requests.clone());
        let behaviour = Arc::new(behaviour);
        let accepting = {
            let (requests, ports, ended) = (requests.clone(), ports.clone(), ended.clone());
            let first_sent_ns = first_sent_ns.clone();
            std::thread::spawn(move || {
                for (number, stream) in (0..).zip(listener.incoming()) {
                    let stream = stream.expect("accepted");
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let port = stream.peer_addr().map_or(0, |peer| peer.port());
                    ports.lock().expect("not poisoned").push(port);
                    stream.set_nodelay(true).expect("TCP_NODELAY");
                    let connection = Connection {
                        stream,
                        number,
                        last_request: Vec::new(),
                        requests: requests.clone(),
                        has_sent: false,
                        first_sent_ns: first_sent_ns.clone(),
                    };
                    let behaviour = behaviour.clone();
                    std::thread::spawn(move || behaviour(connection));
                }
            })
        };
        Self {
            addr,
            requests,
            ports,
            first_sent_ns,
            ended,
            accepting: Some(accepting),
        }
    }

    /// Answers every request on a connection with the same bytes.
    pub fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |mut connection| {
            while connection.request().is_some() {
                connection.send(answer);
            }
        })
    }

    /// Answers the first request of each connection, then closes it.
    pub fn answering_once(answer: &'static [u8]) -> Self {
        Self::start(move |mut connection| {
            if connection.request().is_some() {
                connection.send(answer);
            }
        })
    }

    /// Whole requests that were received.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// The client's ports, in the order of accepting.
    pub fn client_ports(&self) -> Vec<u16> {
        self.ports.lock().expect("not poisoned").clone()
    }

    /// The number of a row's connection, which is accepted or soon will be.
    pub fn connection_of(&self, row: &Row) -> usize {
        let began = Instant::now();
        loop {
            let ports = self.client_ports();
            if let Some(number) = ports.iter().position(|port| *port == row.local_port) {
                return number;
            }
            assert!(began.elapsed() < ACCEPT_TIME, "not accepted: {row:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every request that came here was sent by the rows' account, too. A client that had to
    /// wait for a CPU until its time was over need not have sent one.
    pub fn check_sent(&self, rows: &[Row]) {
        check_sent(rows, self.requests());
    }

    /// Whether the server itself began its answer so late that the client need not have seen
    /// anything of it in its time: on a machine that is busy with other things, the thread of
    /// a connection may have to wait for a CPU.
    pub fn was_late(&self, row: &Row) -> bool {
        let first_sent_ns = self.first_sent_ns.lock().expect("not poisoned");
        let sent_ns = first_sent_ns.get(&row.local_port);
        sent_ns.is_none_or(|sent_ns| sent_ns + UNSEEN_NS > row.end_ns)
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    pub fn config(&self, requests: u64, concurrency: u32) -> Config {
        config(self.addr, requests, concurrency)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        COUNTERS.lock().expect("not poisoned").remove(&self.addr);
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

pub fn config(addr: SocketAddr, requests: u64, concurrency: u32) -> Config {
    let mut config = Config::new(Target::http(addr, "/"));
    config.requests = Some(requests);
    config.concurrency = concurrency;
    // Longer than any test needs: a test that meets it fails instead of hanging.
    config.timeout = Duration::from_secs(20);
    config.engine = ENGINE.get();
    config
}

thread_local! {
    /// What [`each_engine`] is at.
    static ENGINE: Cell<Option<EngineKind>> = const { Cell::new(None) };
}

/// Runs a test once with every engine that this machine can run: [`config`] asks for it.
pub fn each_engine(test: impl Fn()) {
    with_engines(|_| true, test);
}

/// The same without hyper, whose own parser is stricter in places and says less.
pub fn each_exact_engine(test: impl Fn()) {
    with_engines(|engine| engine != EngineKind::Hyper, test);
}

fn with_engines(wanted: impl Fn(EngineKind) -> bool, test: impl Fn()) {
    for engine in loadgen::available_engines() {
        if !wanted(engine) {
            continue;
        }
        let _named = NameOnPanic(engine);
        ENGINE.set(Some(engine));
        test();
        ENGINE.set(None);
    }
}

/// The engine that [`each_engine`] is at.
pub fn engine() -> Option<EngineKind> {
    ENGINE.get()
}

/// Says which engine a test has failed with.
struct NameOnPanic(EngineKind);

impl Drop for NameOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test failed with the engine {}", self.0.name());
        }
    }
}

/// The requests counted so far by the servers of this program.
static COUNTERS: Mutex<BTreeMap<SocketAddr, Arc<AtomicU64>>> = Mutex::new(BTreeMap::new());

fn counter(addr: SocketAddr) -> Option<Arc<AtomicU64>> {
    COUNTERS.lock().expect("not poisoned").get(&addr).cloned()
}

/// Writes to memory that the test can look into.
#[derive(Clone, Default)]
pub struct Memory(pub Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("not poisoned")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Memory {
    pub fn rows(&self) -> Vec<Row> {
        let bytes = self.0.lock().expect("not poisoned");
        assert_eq!(bytes.len() % Row::SIZE, 0, "only whole rows");
        RowReader::new(&bytes[..])
            .collect::<Result<_, _>>()
            .expect("readable rows")
    }
}

/// Runs to the end and checks what must hold of every run.
pub fn run(config: &Config) -> (Summary, Vec<Row>) {
    run_until(config, &AtomicBool::new(false))
}

/// The same, with a way to end it early.
pub fn run_until(config: &Config, stop: &AtomicBool) -> (Summary, Vec<Row>) {
    let memory = Memory::default();
    let sink = Box::new(RowWriter::new(memory.clone()));
    let progress = Progress::new();
    let counter = counter(config.target().addr);
    let before = counter
        .as_ref()
        .map(|counter| counter.load(Ordering::SeqCst));
    let summary = loadgen::run(config, Some(sink), &progress, stop).expect("a run");
    let rows = memory.rows();
    let counted = counter
        .zip(before)
        .map(|(counter, before)| counter.load(Ordering::SeqCst) - before);
    reconcile::reconcile(config, &summary, &rows, &progress, counted);
    (summary, rows)
}

/// The outcomes that occurred.
pub fn outcomes(summary: &Summary) -> Vec<(Outcome, u64)> {
    summary.outcomes.iter().filter(|(_, n)| *n > 0).collect()
}
